// Thread block clusters (PTX ISA, barrier.cluster and mapa; compute capability 9.0): blocks that
// run together and read each other's shared memory. Compiled for an older device kHasClusters is
// false and nobody calls these.
#pragma once

#include <cstdint>

namespace incipit::kernels::cuda {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
inline constexpr bool kHasClusters = true;
#else
inline constexpr bool kHasClusters = false;
#endif

// All threads of all blocks of the cluster; orders their shared memory.
__device__ __forceinline__ void cluster_sync() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;" ::: "memory");
#endif
}

// 16 bytes from what is at `address` in this block's shared memory, but in block `rank`'s.
__device__ __forceinline__ float4 load_cluster_shared(uint32_t address, uint32_t rank) {
  float4 v = {};
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  uint32_t remote;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(address), "r"(rank));
  asm volatile("ld.shared::cluster.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w)
               : "r"(remote)
               : "memory");
#else
  (void)address;
  (void)rank;
#endif
  return v;
}

}  // namespace incipit::kernels::cuda
