#include "tests/unit/engine/cuda/broken_kernel.h"

#include <cuda_runtime.h>

namespace incipit::test {

namespace {

__global__ void broken_kernel(const int* nowhere, int* sink) {
  *sink = *nowhere;
}

}  // namespace

void launch_broken_kernel(void* stream) {
  auto* const nowhere = reinterpret_cast<int*>(0x10);
  broken_kernel<<<1, 1, 0, static_cast<cudaStream_t>(stream)>>>(nowhere, nowhere);
}

}  // namespace incipit::test
