// The inner product of gemm.h, one table an instruction set. gemm_kernels.cpp is compiled once per
// ISA and reached through gemm_kernels_for(). Plain data only.
#pragma once

#include <stdint.h>

#include "kernels/cpu/isa.h"

namespace incipit::kernels {

struct GemmKernels {
  int32_t tile_rows;  // of C in registers
  int32_t tile_cols;
  // c[i][j] (+)= sum over k, ascending, of a[k][i] b[k][j]: a [n_k, tile_rows], b [n_k, tile_cols],
  // c [tile_rows, tile_cols] with c_stride floats between rows. The same bits on every ISA.
  void (*tile)(const float* a, const float* b, int64_t n_k, float* c, int64_t c_stride, bool add);
};

const GemmKernels& gemm_kernels_for(Isa isa);

namespace scalar {
extern const GemmKernels kGemmKernels;
}
namespace avx2 {
extern const GemmKernels kGemmKernels;
}
namespace avx512 {
extern const GemmKernels kGemmKernels;
}

}  // namespace incipit::kernels
