// Programmatic dependent launch, device side (PTX ISA, griddepcontrol; compute capability 9.0).
// Compiled for an older device both do nothing, so such code may not be launched dependently
// (runs_hopper_code(), launch.h): the stream orders whole kernels then.
#pragma once

namespace incipit::kernels::cuda {

// Waits until every kernel launched before has finished and its writes can be seen.
__device__ __forceinline__ void pdl_wait() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// The next kernel may be launched as soon as every block has said so.
__device__ __forceinline__ void pdl_launch_next() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

}  // namespace incipit::kernels::cuda
