// The functions that each instruction set provides for matmul.h, as a table. The sources behind it
// are compiled with that instruction set's flags and see each other only through such tables.
#pragma once

#include "kernels/cpu/matmul.h"

namespace incipit::kernels {

struct MatmulKernels {
  void (*quantize_rows)(const float* x, int64_t x_stride, const QuantizedRows& out,
                        int32_t row_begin, int32_t row_end);
  void (*int4_tiles)(const Int4MatmulParams& params, int64_t tile_begin, int64_t tile_end);
  void (*int8_tiles)(const Int8MatmulParams& params, int64_t tile_begin, int64_t tile_end);
  void (*f16_tiles)(const F16MatmulParams& params, int64_t tile_begin, int64_t tile_end);
};

namespace scalar {
extern const MatmulKernels kMatmulKernels;
}
namespace avx2 {
extern const MatmulKernels kMatmulKernels;
}
namespace avx512 {
extern const MatmulKernels kMatmulKernels;
}

}  // namespace incipit::kernels
