// How long a wgmma takes that has its A operand in registers, for few tokens: what the floor of a
// flat product on wgmma is, besides the bytes. (Its rate at 64 tokens and more is known: 32 cycles
// at 64.)
#include <cstdio>

#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/device_buffer.h"
#include "kernels/cuda/vector_load.cuh"
#include "tests/bench/lab/flat_warpgroup.h"
#include "tests/bench/lab/wgmma_tokens.cuh"

namespace incipit::kernels::cuda {

namespace {

constexpr int kRounds = 256;
constexpr int kMostWarpgroups = 4;

// Rounds of eight products that add to one another, as a group of 128 inputs is, then a wait.
template <int kTokens>
__global__ void __launch_bounds__(kMostWarpgroups * 128)
    wgmma_cycles_kernel(int n_rounds, long long* cycles, float* sink) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  __shared__ __align__(1024) uint4 s_tokens[kTokens * 8];
  if (threadIdx.x < kTokens * 8) s_tokens[threadIdx.x] = make_uint4(0, 0, 0, 0);
  bulk_store_ready();  // the products read what ordinary stores have put there
  __syncthreads();
  const uint64_t rows = wgmma_rows(shared_address(s_tokens));
  const uint32_t a[4] = {threadIdx.x, threadIdx.x + 1, threadIdx.x + 2, threadIdx.x + 3};
  float sums[kTokens / 2] = {};
  const long long begin = clock64();
  for (int i = 0; i < n_rounds; ++i) {
    wgmma_begin();
#pragma unroll
    for (int k = 0; k < 8; ++k) wgmma_tokens<true>(sums, a, rows + k % 4 * 2);
    wgmma_commit();
    wgmma_wait<0>();
  }
  wgmma_settled(sums);
  __syncthreads();
  if (threadIdx.x == 0) *cycles = clock64() - begin;
  float total = 0;
#pragma unroll
  for (const float sum : sums) total += sum;
  if (total != 0) *sink = total;
#else
  (void)n_rounds, (void)cycles, (void)sink;
#endif
}

template <int kTokens>
void print_cycles_of(const DeviceBuffer& memory) {
  std::printf("%5d tokens:", kTokens);
  for (int n = 1; n <= kMostWarpgroups; n *= 2) {
    for (int i = 0; i < 2; ++i) {  // the first time finds the instructions
      wgmma_cycles_kernel<kTokens>
          <<<1, n * 128>>>(kRounds, memory.as<long long>(), memory.as<float>() + 2);
      CUDA_CHECK(cudaDeviceSynchronize());
    }
    long long cycles = 0;
    CUDA_CHECK(cudaMemcpy(&cycles, memory.data(), sizeof(cycles), cudaMemcpyDeviceToHost));
    std::printf(" %7.1f", static_cast<double>(cycles) / (kRounds * 8.0 * n));
  }
  std::printf("\n");
}

}  // namespace

void print_wgmma_cycles() {
  const DeviceBuffer memory = DeviceBuffer::allocate(64);
  std::printf("cycles a wgmma (chains of 8, then a wait), by 1, 2, 4 warpgroups\n");
  print_cycles_of<8>(memory);
  print_cycles_of<16>(memory);
  print_cycles_of<32>(memory);
  print_cycles_of<64>(memory);
}

}  // namespace incipit::kernels::cuda
