// Mixed product on wgmma (after Machete and FlashAttention-3: A from registers, one warp group
// copies): a block owns 128 outputs x 128 or 256 tokens. Weights are A, expanded and scaled in
// fp16 registers (CudaTile is A's order); tokens are B, in shared memory. While the tensor cores
// have 64 inputs, a warp expands the next 64.
//
// Two blocks are a cluster. Usually they have neighbouring outputs and the same tokens, of which
// each brings half to both: without that the tokens of all blocks are more than L2 can deliver.
// With few tiles they have halves of the inputs instead, and exchange sums at the end.
//
// Grid: two blocks for each of up to half of the multiprocessors, persistent; kMixedThreads;
// shared: Tiling::kSharedBytes, one block a multiprocessor.
#include <algorithm>

#include "kernels/common/check.h"
#include "kernels/cuda/flat_cluster.cuh"
#include "kernels/cuda/large_mixed.cuh"
#include "kernels/cuda/pdl.cuh"

namespace incipit::kernels::cuda {

namespace {

template <MixedEnd kEnd, int kTokens>
__device__ __forceinline__ void finish(const MixedParams& p, const MixedPlace& place,
                                       const float (&sums)[kTokens / 2]) {
  if constexpr (kEnd == MixedEnd::kHalf) {
    store_halves<kTokens>(p, place, sums);
  } else if constexpr (kEnd == MixedEnd::kAdd) {
    add_sums<kTokens>(p, place, sums);
  } else {
    store_image<kTokens>(p, place, sums);
  }
}

// A stage has been read by this warpgroup: said to the blocks that fill it.
template <class Tiling>
__device__ __forceinline__ void release(uint32_t s_empty, int stage, int rank) {
  const int thread = static_cast<int>(threadIdx.x) % 128;
  if constexpr (Tiling::kSplit) {
    if (thread == 0) barrier_arrive(address_in(s_empty + 8 * stage, static_cast<uint32_t>(rank)));
  } else {
    if (thread < 2) barrier_arrive(address_in(s_empty + 8 * stage, static_cast<uint32_t>(thread)));
  }
}

template <class Tiling, MixedEnd kEnd>
__device__ __forceinline__ void multiply_tiles(const MixedParams& p, const MixedWork<Tiling>& work,
                                               uint32_t s_base, uint32_t s_full, uint32_t s_empty,
                                               uint32_t s_exchange) {
  constexpr int kTokens = Tiling::kTokens;
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % 32;
  MixedWeights<Tiling> weights(
      p, work, s_base + Tiling::kRingsAt + thread / 32 * Tiling::kRingBytes, thread / 32, lane);
  pdl_wait();
  int stage = 0;
  uint32_t parity = 0;
  uint32_t exchange_parity = 0;
  for (int item = work.first; item < work.n_items; item += work.step) {
    float sums[kTokens / 2];
#pragma unroll
    for (float& sum : sums) sum = 0;
    uint32_t a[2][4][4];
    for (int group = 0; group < work.n_groups; ++group) {
      const uint32_t at = weights.next();
      uint32_t scale;
      asm volatile("ld.shared.u32 %0, [%1];"
                   : "=r"(scale)
                   : "r"(at + Tiling::kScalesAt + lane * 4));
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        expand_word(at + half * CudaTile::kWordBytes + lane * 16, scale, a[half]);
        if (half == 0 || !Tiling::kStageIsGroup) barrier_wait(s_full + 8 * stage, parity);
        const uint64_t rows = wgmma_rows(s_base + stage * Tiling::kStageBytes +
                                         (Tiling::kStageIsGroup ? half * TokenImage::kBytes : 0));
        wgmma_begin();
#pragma unroll
        for (int j = 0; j < 4; ++j) wgmma(sums, a[half][j], rows + 2 * j);
        wgmma_commit();
        wgmma_wait<1>();
        // All but the last 64 inputs are done.
        if (half == 0 ? group > 0 : !Tiling::kStageIsGroup)
          release<Tiling>(s_empty, (stage + Tiling::kStages - 1) % Tiling::kStages, work.rank);
        if (half == 1 || !Tiling::kStageIsGroup) {
          if (++stage == Tiling::kStages) stage = 0, parity ^= 1;
        }
      }
    }
    wgmma_wait<0>();
    wgmma_settled(sums);
    release<Tiling>(s_empty, (stage + Tiling::kStages - 1) % Tiling::kStages, work.rank);
    MixedPlace place = {work.token_tile(item) * kTokens, work.out_tile(item),
                        s_base + Tiling::kStagingAt, thread};
    if constexpr (Tiling::kSplit) {
      float mine[32];
      exchange(place.s_staging, s_exchange, s_exchange + 8, exchange_parity, work.rank, thread,
               sums, mine);
      exchange_parity ^= 1;
      place.first_token += work.rank * 64;
      finish<kEnd, 64>(p, place, mine);
    } else {
      finish<kEnd, kTokens>(p, place, sums);
    }
  }
  if (kEnd == MixedEnd::kSiluMul && thread == 0) bulk_store_wait();
}

template <class Tiling, MixedEnd kEnd>
__global__ void __launch_bounds__(kMixedThreads, 1) mixed_kernel(const MixedParams p) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ std::byte s_raw[];
  // By its static shared memory the host knows that this code was compiled.
  __shared__ uint64_t s_barriers[Tiling::kBarriers];
  const uint32_t s_base = (shared_address(s_raw) + 1023) & ~1023u;
  const uint32_t s_full = shared_address(s_barriers);
  const uint32_t s_empty = s_full + 8 * Tiling::kStages;
  const uint32_t s_exchange = s_empty + 8 * Tiling::kStages;
  const MixedWork<Tiling> work(p);
  pdl_launch_next();
  if (threadIdx.x == 0) {
    for (int i = 0; i < Tiling::kStages; ++i) {
      barrier_init(s_full + 8 * i, 1);
      barrier_init(s_empty + 8 * i, Tiling::kSplit ? 2 : 4);
    }
    barrier_init(s_exchange, 1);
    barrier_init(s_exchange + 8, kMixedMath);
    barrier_init_done();
  }
  cluster_sync();
  if (threadIdx.x >= kMixedMath) {
    registers_down<40>();
    if (threadIdx.x == kMixedMath) {
      pdl_wait();
      copy_tokens<Tiling>(p, work, s_base, s_full, s_empty);
    }
    __syncwarp();
  } else {
    registers_up<232>();
    multiply_tiles<Tiling, kEnd>(p, work, s_base, s_full, s_empty, s_exchange);
  }
  cluster_sync();  // a block's memory stays until the other is done with it
#else
  (void)p;
#endif
}

// A thread has 32 inputs of a token: 64 bytes in, four pieces of 16 bytes out.
__global__ void __launch_bounds__(256)
    arrange_kernel(const uint16_t* in, int32_t n_rows, int32_t cols, std::byte* image) {
  const int32_t n_blocks = TokenImage::n_columns(cols) * 2;  // of 32 inputs
  const int64_t item = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const auto row = static_cast<int32_t>(item / n_blocks);
  const auto block = static_cast<int32_t>(item % n_blocks);
  pdl_launch_next();
  pdl_wait();
  if (row >= n_rows) return;
  uint4 v[4];
#pragma unroll
  for (int c = 0; c < 4; ++c) {
    const int32_t col = block * 32 + c * 8;
    v[c] = make_uint4(0, 0, 0, 0);
    if (col < cols) v[c] = *reinterpret_cast<const uint4*>(in + int64_t{row} * cols + col);
  }
  const int32_t r = row % TokenImage::kTokens;
  std::byte* const line =
      image +
      (int64_t{row / TokenImage::kTokens} * (n_blocks / 2) + block / 2) * TokenImage::kBytes +
      r * 128;
  const uint4 pieces[4] = {
      make_uint4(v[0].x, v[1].x, v[2].x, v[3].x), make_uint4(v[0].y, v[1].y, v[2].y, v[3].y),
      make_uint4(v[0].z, v[1].z, v[2].z, v[3].z), make_uint4(v[0].w, v[1].w, v[2].w, v[3].w)};
#pragma unroll
  for (int i = 0; i < 4; ++i)
    *reinterpret_cast<uint4*>(line + ((block % 2 * 4 + i) ^ (r % 8)) * 16) = pieces[i];
}

using Tokens128 = MixedTiling<128, false>;
using Tokens256 = MixedTiling<256, false>;
using InputHalves = MixedTiling<128, true>;

int n_multiprocessors() {
  static const int n = [] {
    int device = 0;
    int count = 0;
    CUDA_CHECK(cudaGetDevice(&device));
    CUDA_CHECK(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
    return count;
  }();
  return n;
}

template <class Tiling>
int64_t n_items(const MixedProduct& product) {
  return (Tiling::kSplit ? 2 : 1) * mixed_out_pairs(product.w.shape.rows) *
         ceil_div(product.n_rows, Tiling::kTokens);
}

// Microseconds on an H100, fitted to what tests/bench/lab/mixed_lab.cpp measures: a round of tiles
// of so many tokens takes so long a group of inputs.
MixedCut best_cut(const MixedProduct& product) {
  const int64_t n_clusters = n_multiprocessors() / 2;
  const double n_groups = product.w.shape.n_groups();
  const auto rounds = [&](int64_t items) {
    return static_cast<double>(ceil_div(items, n_clusters));
  };
  const double tokens256 = rounds(n_items<Tokens256>(product)) * 1.93 * n_groups;
  const double tokens128 = rounds(n_items<Tokens128>(product)) * 1.13 * n_groups;
  const double halves = rounds(n_items<InputHalves>(product)) * (0.556 * n_groups + 3.7);
  if (n_groups >= 2 && halves < std::min(tokens128, tokens256)) return MixedCut::kInputHalves;
  return tokens128 < tokens256 ? MixedCut::kTokens128 : MixedCut::kTokens256;
}

template <class Tiling, MixedEnd kEnd>
void launch_mixed(const MixedProduct& product, const MixedParams& params,
                  const LaunchContext& context) {
  const auto kernel = mixed_kernel<Tiling, kEnd>;
  static const bool is_ready = [&] {
    CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    Tiling::kSharedBytes));
    return true;
  }();
  CHECK(is_ready);
  const int64_t n_clusters = std::min<int64_t>(n_items<Tiling>(product), n_multiprocessors() / 2);
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(2 * n_clusters));
  config.blockDim = dim3(kMixedThreads);
  config.dynamicSmemBytes = Tiling::kSharedBytes;
  config.stream = context.stream;
  cudaLaunchAttribute attributes[2] = {};
  attributes[0].id = cudaLaunchAttributeClusterDimension;
  attributes[0].val.clusterDim = {2, 1, 1};
  attributes[1].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[1].val.programmaticStreamSerializationAllowed = 1;
  config.attrs = attributes;
  config.numAttrs = context.dependent ? 2 : 1;
  CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, params));
}

template <MixedEnd kEnd>
void launch_mixed(const MixedProduct& product, void* out, RowOrder order, const HeadOrder& heads,
                  const LaunchContext& context) {
  CHECK(is_mixed_shape(product.w.shape));
  if (product.n_rows == 0) return;
  const MixedParams params = {product.w, product.tokens, product.n_rows, out, order, heads};
  const MixedCut cut = product.cut == MixedCut::kBest ? best_cut(product) : product.cut;
  if (cut == MixedCut::kTokens256) {
    launch_mixed<Tokens256, kEnd>(product, params, context);
  } else if (cut == MixedCut::kTokens128 || product.w.shape.n_groups() < 2) {
    launch_mixed<Tokens128, kEnd>(product, params, context);
  } else {
    launch_mixed<InputHalves, kEnd>(product, params, context);
  }
}

}  // namespace

bool has_mixed_products() {
  cudaFuncAttributes attributes = {};
  CUDA_CHECK(cudaFuncGetAttributes(&attributes, mixed_kernel<Tokens128, MixedEnd::kHalf>));
  return attributes.sharedSizeBytes > 0;
}

void arrange_rows(const uint16_t* rows, int32_t n_rows, int32_t cols, std::byte* image,
                  const LaunchContext& context) {
  CHECK_EQ(cols % 8, 0);
  const int64_t n = int64_t{n_rows} * TokenImage::n_columns(cols) * 2;
  if (n == 0) return;
  launch(context, arrange_kernel, static_cast<unsigned>(ceil_div(n, 256)), 256, 0, rows, n_rows,
         cols, image);
}

void mixed_product(const MixedProduct& product, RowOrder order, const HeadOrder& heads,
                   uint16_t* out, const LaunchContext& context) {
  CHECK(order != RowOrder::kGateUp);
  launch_mixed<MixedEnd::kHalf>(product, out, order, heads, context);
}

void mixed_gate_up(const MixedProduct& product, std::byte* act, const LaunchContext& context) {
  CHECK_EQ(product.w.shape.rows % 16, 0);
  launch_mixed<MixedEnd::kSiluMul>(product, act, RowOrder::kGateUp, {}, context);
}

void mixed_add(const MixedProduct& product, float* x, const LaunchContext& context) {
  launch_mixed<MixedEnd::kAdd>(product, x, RowOrder::kPlain, {}, context);
}

}  // namespace incipit::kernels::cuda
