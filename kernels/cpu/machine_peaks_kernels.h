// The inner loops of machine_peaks.h, one table an instruction set.
#pragma once

#include <cstdint>

namespace incipit::kernels {

struct PeakKernels {
  uint64_t (*read)(const void* data, int64_t size_bytes);  // 64-byte aligned, multiple of 1024
  void (*int8_loop)(int64_t iterations);
  int64_t int8_ops_per_iteration;
  void (*fma_loop)(int64_t iterations);
  int64_t fma_flops_per_iteration;
};

namespace scalar {
extern const PeakKernels kPeakKernels;
}
namespace avx2 {
extern const PeakKernels kPeakKernels;
}
namespace avx512 {
extern const PeakKernels kPeakKernels;
}

}  // namespace incipit::kernels
