// Flat product of 8, 16, 32 or 64 tokens on wgmma (sm_90a): the sums of flat_parts.h, in their
// order.
//
// A warpgroup owns 64 outputs and one part of the inputs; each of its warps streams a tile of 16
// outputs through a ring of its own by cp.async, as in flat_narrow.cuh, from before pdl_wait() on.
// INT4 becomes q - 8 in fp16 registers, the A operand; tokens are B, in shared memory, brought as
// an image (TokenColumns) in stages of 128 inputs by the bulk copies of the block's first thread.
// Where all stages of a part fit, the ring never turns and nobody waits for room. While the tensor
// cores have one set of registers, the warp expands the next. A warp that only copies would cost a
// fifth of the registers: 17 warps are five on one of the four schedulers.
//
// A group of 128 inputs is eight wgmma from zero, then acc = fma(scale, part, acc). Parts are added
// in order at the end, out of the shared memory of the block and of its cluster; each block of a
// cluster finishes a share of the outputs, for few tokens if possible, since it then needs few
// norms.
//
// That mma.m16n8k16 and wgmma m64nNk16 round alike on Hopper is known from outside (Xie et al.
// 2025, MMA-Sim: both add 16 products and the sum in one step with 25 fraction bits); the
// laboratory checks.
//
// Grid: (parts.n / parts of a block, blocks of tiles), that many blocks a cluster; or (2, half of
// the blocks) with multicast. Block: Tiling::kThreads.
#pragma once

#include "kernels/cuda/flat_cluster.cuh"
#include "kernels/cuda/pdl.cuh"
#include "tests/bench/lab/flat_warpgroup_parts.cuh"

namespace incipit::kernels::cuda {

template <int kSums>
__device__ __forceinline__ void add_groups(float (&acc)[kSums], const float (&part)[kSums],
                                           const RowPairScale& scale) {
#pragma unroll
  for (int i = 0; i < kSums; ++i)
    acc[i] = __fmaf_rn(i % 4 < 2 ? scale.low : scale.high, part[i], acc[i]);
}

// All groups of a warpgroup's part. `part_at`: bytes from the start of a stage.
template <class Tiling>
__device__ __forceinline__ void multiply_on_wgmma(const WarpgroupArgs& args,
                                                  const WarpgroupBlock& block,
                                                  WarpWeights<Tiling>& weights,
                                                  TokenRing<Tiling>& tokens, uint32_t part_at,
                                                  float (&acc)[Tiling::kSums]) {
  constexpr int kSteps = Tiling::kSetSteps;
  constexpr int kSets = Tiling::kSets;
  const ZeroPoints zeros = symmetric_zero_points();
  float part[Tiling::kSums] = {};
  uint32_t a[2][kSteps][4];
  uint32_t word[4];
  weights.wait();
  weights.load_word(0, word);
#pragma unroll
  for (int step = 0; step < kSteps; ++step) dequantize_word(word[step], zeros, a[0][step]);
  RowPairScale scale = weights.scale();
  const bool turns = tokens.n_stages < block.n_groups;  // the ring of tokens
#pragma unroll 1
  for (int i = 0; i < block.n_groups; ++i) {
    if (turns) {
      if (threadIdx.x == 0) refill_columns(args, block, tokens, i);
      __syncwarp();
    }
    const uint64_t rows = wgmma_rows(tokens.wait() + part_at);
    RowPairScale next_scale;
#pragma unroll
    for (int set = 0; set < kSets; ++set) {
      wgmma_begin();
#pragma unroll
      for (int step = 0; step < kSteps; ++step) {
        const int k = set * kSteps + step;
        const uint64_t b = rows + (k / 4 * Tiling::kTileBytes / 16 + k % 4 * 2);
        if (k == 0) {
          wgmma_tokens<false>(part, a[set % 2][step], b);
        } else {
          wgmma_tokens<true>(part, a[set % 2][step], b);
        }
      }
      wgmma_commit();
      wgmma_wait<1>();  // the other set has been read
      if (set == kSets - 1) {
        weights.next();
        weights.wait();
        next_scale = weights.scale();
      }
      const int first = (set + 1) * kSteps % 8;  // step of the group, the next one's after the last
      if (first % 4 == 0) weights.load_word(first / 4, word);
#pragma unroll
      for (int step = 0; step < kSteps; ++step)
        dequantize_word(word[(first + step) % 4], zeros, a[(set + 1) % 2][step]);
    }
    wgmma_wait<0>();
    wgmma_settled(part);
    tokens.leave(static_cast<int>(threadIdx.x) % 128, i + tokens.n_stages < block.n_groups);
    add_groups(acc, part, scale);
    scale = next_scale;
  }
}

// The same on mma.sync: four matrices of a piece of 16 bytes of eight tokens are the B operands of
// 32 inputs.
template <class Tiling>
__device__ __forceinline__ void multiply_on_mma(const WarpgroupArgs& args,
                                                const WarpgroupBlock& block,
                                                WarpWeights<Tiling>& weights,
                                                TokenRing<Tiling>& tokens, uint32_t part_at,
                                                int lane, float (&acc)[Tiling::kSums]) {
  const ZeroPoints zeros = symmetric_zero_points();
  const uint32_t line = part_at + lane % 8 * TokenColumns::kLineBytes;
  const bool turns = tokens.n_stages < block.n_groups;  // the ring of tokens
#pragma unroll 1
  for (int i = 0; i < block.n_groups; ++i) {
    if (turns) {
      if (threadIdx.x == 0) refill_columns(args, block, tokens, i);
      __syncwarp();
    }
    const uint32_t rows = tokens.wait() + line;
    float part[Tiling::kTokenTiles][4];
    uint32_t word[4];
    weights.wait();
#pragma unroll
    for (int quarter = 0; quarter < 4; ++quarter) {
      if (quarter % 2 == 0) weights.load_word(quarter / 2, word);
      uint32_t a[2][4];
#pragma unroll
      for (int step = 0; step < 2; ++step)
        dequantize_word(word[quarter % 2 * 2 + step], zeros, a[step]);
#pragma unroll
      for (int t = 0; t < Tiling::kTokenTiles; ++t) {
        uint32_t b[4];
        load_matrices(b, rows + quarter / 2 * Tiling::kTileBytes +
                             t * 8 * TokenColumns::kLineBytes +
                             ((quarter % 2 * 4 + lane / 8) ^ lane % 8) * 16);
        if (quarter == 0) {
          mma_from_zero(part[t], a[0], b[0], b[1]);
        } else {
          mma_16x8x16(part[t], a[0], b[0], b[1]);
        }
        mma_16x8x16(part[t], a[1], b[2], b[3]);
      }
    }
    const RowPairScale scale = weights.scale();
    weights.next();
    __syncwarp();  // all lanes have read the tokens
    tokens.leave(lane, i + tokens.n_stages < block.n_groups);
#pragma unroll
    for (int t = 0; t < Tiling::kTokenTiles; ++t) {
#pragma unroll
      for (int k = 0; k < 4; ++k)
        acc[4 * t + k] = __fmaf_rn(k < 2 ? scale.low : scale.high, part[t][k], acc[4 * t + k]);
    }
  }
}

// reduce_norms() of flat_epilogues.cuh for some tokens, in the same order, but four of them at a
// time: one after the other each is a trip to L2.
__device__ __forceinline__ void reduce_norms_of(const FlatRows& in, int32_t cols, int first_token,
                                                int end_token, int warp, int n_warps, int lane,
                                                float* s_norm) {
  constexpr int kAtOnce = 4;
  if (in.square_sums == nullptr) return;
  const int32_t n_sums = cols / 16;
#pragma unroll 1
  for (int token = first_token + warp; token < end_token; token += n_warps * kAtOnce) {
    float total[kAtOnce] = {};
#pragma unroll 4
    for (int32_t i = lane; i < n_sums; i += kWarp) {
#pragma unroll
      for (int k = 0; k < kAtOnce; ++k) {
        const int row = min(token + k * n_warps, end_token - 1);
        total[k] += in.square_sums[int64_t{row} * n_sums + i];
      }
    }
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      for (int mask = 1; mask < kWarp; mask *= 2) total[k] += __shfl_xor_sync(~0u, total[k], mask);
      const float mean = __fdiv_rn(total[k], static_cast<float>(cols));
      if (lane == 0 && token + k * n_warps < end_token)
        s_norm[token + k * n_warps] = __frsqrt_rn(__fadd_rn(mean, in.norm_eps));
    }
  }
}

// The tiles of 16 outputs x 8 tokens that a block finishes: a run of the cluster's, by tokens
// first.
template <class Tiling>
struct WarpgroupUnits {
  WarpgroupBlock block;
  int n_rows;
  int first, end;

  __device__ __forceinline__ WarpgroupUnits(const WarpgroupBlock& of_block, int rows)
      : block(of_block), n_rows(rows) {
    const int n_units = block.out_tiles * Tiling::kTokenTiles;
    const int each = (n_units + block.n_ranks - 1) / block.n_ranks;
    first = block.n_ranks == 1 ? 0 : block.rank * each;
    end = min(first + each, n_units);
  }
  __device__ __forceinline__ int token(int unit) const { return unit / block.out_tiles * 8; }
  __device__ __forceinline__ int tile(int unit) const {
    return block.first_tile + unit % block.out_tiles;
  }
  __device__ __forceinline__ bool exists(int unit) const {
    return unit < end && tile(unit) < block.end_tile && token(unit) < n_rows;
  }
  // Tokens whose norms are needed.
  __device__ __forceinline__ int first_token() const { return token(first); }
  __device__ __forceinline__ int end_token() const {
    return first < end ? min(token(end - 1) + 8, n_rows) : 0;
  }

  // Adds the parts of a unit in order, four on their way at a time: one after the other each is a
  // trip to another multiprocessor.
  __device__ __forceinline__ void add_parts(int unit, int n_parts, int parts_of_block,
                                            uint32_t s_sums, int lane, float (&sum)[4]) const {
    constexpr int kAtOnce = 4;
    uint32_t rank = 0;
    int part = 0;
#pragma unroll 1
    for (int first_of = 0; first_of < n_parts; first_of += kAtOnce) {
      float4 of_part[kAtOnce];
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        if (first_of + i >= n_parts) continue;
        const int slot = part * block.out_tiles * Tiling::kTokenTiles + unit;
        of_part[i] = load_sum(s_sums + (slot * kWarp + lane) * 16, rank);
        if (++part == parts_of_block) part = 0, ++rank;
      }
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        if (first_of + i >= n_parts) continue;
        const float4 v = of_part[i];
        const bool is_first = first_of + i == 0;
        sum[0] = is_first ? v.x : __fadd_rn(sum[0], v.x);
        sum[1] = is_first ? v.y : __fadd_rn(sum[1], v.y);
        sum[2] = is_first ? v.z : __fadd_rn(sum[2], v.z);
        sum[3] = is_first ? v.w : __fadd_rn(sum[3], v.w);
      }
    }
  }

 private:
  __device__ __forceinline__ float4 load_sum(uint32_t at, uint32_t rank) const {
    if (block.n_ranks > 1) return load_cluster_shared(at, rank);
    const uint4 v = load_shared(at);
    return make_float4(__uint_as_float(v.x), __uint_as_float(v.y), __uint_as_float(v.z),
                       __uint_as_float(v.w));
  }
};

__device__ __forceinline__ void store_shared(uint32_t to, float x, float y, float z, float w) {
  asm volatile("st.shared.v4.f32 [%0], {%1, %2, %3, %4};" ::"r"(to), "f"(x), "f"(y), "f"(z), "f"(w)
               : "memory");
}

template <class Tiling, class Epilogue>
__global__ void __launch_bounds__(Tiling::kThreads, Tiling::kMinBlocks)
    flat_warpgroup_kernel(const FlatWeights w, const FlatRows in, const WarpgroupArgs args,
                          const Epilogue epilogue) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ std::byte s_raw[];
  // By its static shared memory the host knows that this code was compiled.
  __shared__ uint64_t s_barriers[2 * kMostTokenStages];
  __shared__ float s_norm[Tiling::kTokens];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  // The compiler must see that it is the same in all lanes: what follows from it goes to wgmma.
  const int warp = __shfl_sync(~0u, static_cast<int>(threadIdx.x) / kWarp, 0);
  const uint32_t s_base = (shared_address(s_raw) + 1023) & ~1023u;
  const uint32_t s_full = shared_address(s_barriers);
  const auto block = WarpgroupBlock::find<Tiling>(w, args);
  const int stage_bytes = args.parts * Tiling::kGroupBytes;
  TokenRing<Tiling> tokens = {s_base,        s_full,      s_full + 8 * kMostTokenStages,
                              stage_bytes,   args.stages, block.rank,
                              args.multicast};
  const int part = warp / block.out_tiles;  // of the block's
  const int out_tile = warp % block.out_tiles;
  const int tile = block.first_tile + out_tile;
  WarpWeights<Tiling> weights(w, min(tile, w.n_tiles - 1), block.first_part + part, block.n_groups,
                              tile < block.end_tile,
                              s_base + args.stages * stage_bytes + warp * Tiling::kRingBytes, lane);
  if (threadIdx.x == 0) tokens.init();
  pdl_launch_next();
  if (args.multicast) {
    cluster_sync();
  } else {
    __syncthreads();  // the barriers are there
  }
  pdl_wait();
  if (threadIdx.x == 0) {
#pragma unroll 1
    for (int i = 0; i < min(args.stages, block.n_groups); ++i)
      copy_columns(args, block, tokens, i, i);
  }
  __syncwarp();
  const WarpgroupUnits<Tiling> units(block, in.n_rows);
  const int first_unit = units.first + warp;
  reduce_norms_of(in, w.cols, units.first_token(), units.end_token(), warp, Tiling::kWarps, lane,
                  s_norm);

  float acc[Tiling::kSums] = {};
  const uint32_t part_at = part * Tiling::kGroupBytes;
  if constexpr (Tiling::kMath == FlatMath::kWarpgroup) {
    multiply_on_wgmma<Tiling>(args, block, weights, tokens, part_at, acc);
  } else {
    multiply_on_mma<Tiling>(args, block, weights, tokens, part_at, lane, acc);
  }
  copy_async_wait<0>();
  typename Epilogue::Inputs inputs = {};
  if (units.exists(first_unit))
    inputs = epilogue.load(units.tile(first_unit), units.token(first_unit), in.n_rows, lane);

  __syncthreads();  // the rings become sums: [part][unit][lane]
#pragma unroll
  for (int t = 0; t < Tiling::kTokenTiles; ++t) {
    const int slot = (part * Tiling::kTokenTiles + t) * block.out_tiles + out_tile;
    store_shared(s_base + (slot * kWarp + lane) * 16, acc[4 * t], acc[4 * t + 1], acc[4 * t + 2],
                 acc[4 * t + 3]);
  }
  if (block.n_ranks > 1) {
    cluster_sync();
  } else {
    __syncthreads();
  }
  for (int unit = first_unit; unit < units.end; unit += Tiling::kWarps) {
    if (!units.exists(unit)) continue;
    if (unit != first_unit)
      inputs = epilogue.load(units.tile(unit), units.token(unit), in.n_rows, lane);
    float sum[4] = {};
    units.add_parts(unit, w.parts.n, args.parts, s_base, lane, sum);
    epilogue.finish(inputs, units.tile(unit), units.token(unit), in.n_rows, sum, s_norm, lane);
  }
  if (block.n_ranks > 1) cluster_sync();  // a block's sums stay until all have read them
#else
  (void)w, (void)in, (void)args, (void)epilogue;
#endif
}

}  // namespace incipit::kernels::cuda
