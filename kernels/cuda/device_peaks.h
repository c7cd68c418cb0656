// What a CUDA device can do at best, measured: the figures that every speed is held against. Used
// by `incipit bench` and tests while nothing else runs; never by the engine. Plain C++ header.
#pragma once

#include <cstdint>

namespace incipit::kernels::cuda {

struct DevicePeaks {
  double read_bytes_per_s = 0;    // best pass of a sequential read far larger than the caches
  double copy_bytes_per_s = 0;    // the same for a copy; bytes read and written both count
  double tensor_flops_per_s = 0;  // mma.m16n8k16, fp16 with float sums; 2 a multiply-add
};

// Of the current device. Takes buffer_bytes twice for as long as it runs; throws CudaError.
DevicePeaks measure_device_peaks(int64_t buffer_bytes, int32_t n_passes = 10);

}  // namespace incipit::kernels::cuda
