// One tile of a float product in registers; compiled once per ISA.
#include "kernels/cpu/gemm_kernels.h"

#include "kernels/cpu/simd.h"

namespace incipit::kernels::KERNELS_ISA {

namespace {

void tile(const float* a, const float* b, int64_t n_k, float* c, int64_t c_stride, bool add) {
  F32x16 sum[kTileRows][kTileVectors];
  SIMD_UNROLL
  for (int m = 0; m < kTileRows; ++m) {
    SIMD_UNROLL
    for (int n = 0; n < kTileVectors; ++n) {
      sum[m][n] = add ? load(c + m * c_stride + n * 16) : splat(0.0f);
    }
  }
  for (int64_t k = 0; k < n_k; ++k) {
    F32x16 column[kTileVectors];
    SIMD_UNROLL
    for (int n = 0; n < kTileVectors; ++n) column[n] = load(b + n * 16);
    SIMD_UNROLL
    for (int m = 0; m < kTileRows; ++m) {
      const F32x16 factor = splat(a[m]);
      SIMD_UNROLL
      for (int n = 0; n < kTileVectors; ++n) sum[m][n] = fma(factor, column[n], sum[m][n]);
    }
    a += kTileRows;
    b += kTileVectors * 16;
  }
  SIMD_UNROLL
  for (int m = 0; m < kTileRows; ++m) {
    SIMD_UNROLL
    for (int n = 0; n < kTileVectors; ++n) store(c + m * c_stride + n * 16, sum[m][n]);
  }
}

}  // namespace

const GemmKernels kGemmKernels = {kTileRows, kTileVectors * 16, tile};

}  // namespace incipit::kernels::KERNELS_ISA
