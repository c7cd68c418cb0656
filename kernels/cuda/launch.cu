// Asks the runtime which image of this program's kernels it has taken.
#include "kernels/cuda/launch.h"

namespace incipit::kernels::cuda {

namespace {

constexpr int kHopper = 90;

__global__ void any_kernel() {}

}  // namespace

bool runs_hopper_code() {
  cudaFuncAttributes attributes = {};
  CUDA_CHECK(cudaFuncGetAttributes(&attributes, any_kernel));
  return attributes.ptxVersion >= kHopper;
}

}  // namespace incipit::kernels::cuda
