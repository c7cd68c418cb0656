// Sum of an array: one block a tile, shared memory tree, then one atomic a block.
#include <cuda_runtime.h>

template <int kThreads>
__global__ void __launch_bounds__(kThreads) sum_kernel(const float* __restrict__ g_in, float* g_out, int n) {
  __shared__ float s_partial[kThreads / 32];
  float r_sum = 0.0f;
  for (int i = blockIdx.x * kThreads + threadIdx.x; i < n; i += gridDim.x * kThreads) r_sum += g_in[i];
#pragma unroll
  for (int offset = 16; offset > 0; offset >>= 1) r_sum += __shfl_down_sync(0xffffffffu, r_sum, offset);
  if ((threadIdx.x & 31) == 0) s_partial[threadIdx.x >> 5] = r_sum;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int w = 1; w < kThreads / 32; ++w) r_sum += s_partial[w];
    atomicAdd(g_out, r_sum);
  }
}

void sum(const float* g_in, float* g_out, int n, cudaStream_t stream) {
  sum_kernel<256><<<(n + 255) / 256, 256, 0, stream>>>(g_in, g_out, n);
}
