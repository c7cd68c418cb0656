// Launches of the steps' kernels: with programmatic dependent launch where their code has it
// (compute capability 9.0 and newer), so that a kernel may start, and ask for its weights, while
// the one before it still runs. Such a kernel calls pdl_wait() (kernels/cuda/pdl.cuh) before it
// reads or writes anything that an earlier kernel touches, on every path.
#pragma once

#include <cuda_runtime.h>

#include <utility>

#include "kernels/cuda/cuda_check.h"

namespace incipit::kernels::cuda {

// Whether the kernels that run on the current device were compiled for 9.0 or newer: whether they
// wait for those before them (pdl.cuh) and know clusters (flat_cluster.cuh). The device alone does
// not tell: of a build without an image for it, or under CUDA_FORCE_PTX_JIT=1, the driver compiles
// the PTX of an older one, in which both do nothing.
bool runs_hopper_code();

struct LaunchContext {
  cudaStream_t stream = nullptr;
  bool dependent = false;  // programmatic dependent launch: only if runs_hopper_code()
};

template <class... Parameters, class... Arguments>
void launch(const LaunchContext& context, void (*kernel)(Parameters...), dim3 grid, dim3 block,
            size_t shared_bytes, Arguments&&... arguments) {
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = context.stream;
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &attribute;
  config.numAttrs = context.dependent ? 1 : 0;
  CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...));
}

}  // namespace incipit::kernels::cuda
