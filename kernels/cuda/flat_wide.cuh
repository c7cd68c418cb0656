// Flat product of up to 64 tokens: the same sums as flat_narrow.cuh, to the bit.
//
// A block owns 128 outputs, all tokens and one part of the inputs. Stages of 128 inputs (weights,
// their scales, the rows) go through a ring in shared memory by cp.async, Marlin's pipeline;
// weights of the first stages are asked for before pdl_wait(). Eight warps of one tile of 16
// outputs each; of up to 64 tokens, of two tiles x half of the tokens, since a piece of rows read
// from shared memory must then feed more than two mma. Four warps of 64 x 32 read less, but cannot
// hide the latencies of dequantising (64 rows, gate and up: 78 us on an H100).
//
// Parts of the inputs are added in order: through the shared memory of a cluster of all parts where
// the device has clusters, each block a share of the outputs; else through scratch, by the block
// that arrives last.
//
// Grid: (parts.n, ceil(n_tiles / 8)), Tiling::kThreads; shared: Tiling::kSharedBytes.
#pragma once

#include "kernels/cuda/flat_cluster.cuh"
#include "kernels/cuda/flat_epilogues.cuh"
#include "kernels/cuda/flat_operands.cuh"
#include "kernels/cuda/flat_wide_stream.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/pdl.cuh"

namespace incipit::kernels::cuda {

struct WideScratch {
  float4* sums;       // [column block][part][unit][lane]
  int32_t* counters;  // [column block], zero between launches
};

// The sums of a warp's tiles.
template <class Tiling>
struct WideSums {
  float of[Tiling::kOutTiles][Tiling::kTokenTiles][4];
};

// One stage of 128 inputs.
template <class Codec, class Tiling>
__device__ __forceinline__ void multiply_stage(const FlatWeights& w, int32_t stage, uint32_t at,
                                               int out_warp, int token_warp, int lane,
                                               WideSums<Tiling>& acc) {
  constexpr int kOutTiles = Tiling::kOutTiles;
  constexpr int kTokenTiles = Tiling::kTokenTiles;
  const int g = lane / 4;
  const uint32_t weights_at = at + out_warp * kOutTiles * Codec::kStageWords * 512 + lane * 16;
  const uint32_t scales_at =
      at + Tiling::template kScalesAt<Codec> + out_warp * kOutTiles * Codec::kStageScaleBytes;
  const uint32_t b_even = at + Tiling::template kRowsAt<Codec> +
                          (token_warp * kTokenTiles * 8 + g) * Tiling::kRowBytes +
                          ((g & 1) * 4 + lane % 4) * 16;
  const uint32_t b_odd = b_even ^ 64;
  WideSums<Tiling> part;
  uint4 words[kOutTiles];
#pragma unroll
  for (int block = 0; block < kStageCols / 32; ++block) {
    const bool starts = block % Codec::kGroupBlocks == 0;
    const bool ends = block % Codec::kGroupBlocks == Codec::kGroupBlocks - 1;
    int32_t place = 0;
    if constexpr (Codec::kScaled) place = Codec::place_in_quad(w, stage * 4 + block);
    uint4 inputs[kTokenTiles];
#pragma unroll
    for (int t = 0; t < kTokenTiles; ++t)
      inputs[t] = load_shared((block % 2 == 0 ? b_even : b_odd) + block / 2 * 128 +
                              t * 8 * Tiling::kRowBytes);
#pragma unroll
    for (int r = 0; r < kOutTiles; ++r) {
      if (block % (4 / Codec::kStageWords) == 0)
        words[r] = load_shared(weights_at +
                               (r * Codec::kStageWords + block * Codec::kStageWords / 4) * 512);
      ZeroPoints zeros = symmetric_zero_points();
      if constexpr (Codec::kZeroPoints) {
        if (w.zeros_at != 0) {
          const uint32_t quad = scales_at + r * Codec::kStageScaleBytes + 128;
          const uint32_t pair = load_shared_word(quad + (g * 8 + place * 2) / 4 * 4);
          const uint32_t bytes = pair >> (place % 2 * 16);
          zeros = zero_points(bytes & 0xffu, bytes >> 8 & 0xffu);
        }
      }
      uint32_t a[2][4];
      if (block % 2 == 0) {
        Codec::template dequantize<0, 0>(words[r], zeros, a[0]);
        Codec::template dequantize<0, 1>(words[r], zeros, a[1]);
      } else {
        Codec::template dequantize<1, 0>(words[r], zeros, a[0]);
        Codec::template dequantize<1, 1>(words[r], zeros, a[1]);
      }
#pragma unroll
      for (int t = 0; t < kTokenTiles; ++t) {
        if (starts) {
          mma_from_zero(part.of[r][t], a[0], inputs[t].x, inputs[t].y);
        } else {
          mma_16x8x16(part.of[r][t], a[0], inputs[t].x, inputs[t].y);
        }
      }
#pragma unroll
      for (int t = 0; t < kTokenTiles; ++t)
        mma_16x8x16(part.of[r][t], a[1], inputs[t].z, inputs[t].w);
      if (!ends) continue;
      RowPairScale scale = {1.0f, 1.0f};
      if constexpr (Codec::kScaled) {
        scale = row_pair_scale(
            load_shared_word(scales_at + r * Codec::kStageScaleBytes + g * 16 + place * 4));
      }
#pragma unroll
      for (int t = 0; t < kTokenTiles; ++t) add_group(acc.of[r][t], part.of[r][t], scale);
    }
  }
}

// The tiles of 16 x 8 of a block when its parts are added: `unit` of them, some past the end.
template <class Tiling>
struct WideUnits {
  int first_tile;
  int end_tile;
  int32_t n_rows;
  int lane;

  __device__ __forceinline__ int tile(int unit) const {
    return first_tile + unit / Tiling::kAllTokenTiles;
  }
  __device__ __forceinline__ int first_token(int unit) const {
    return unit % Tiling::kAllTokenTiles * 8;
  }
  __device__ __forceinline__ bool exists(int unit) const {
    return unit < Tiling::kUnits && tile(unit) < end_tile && first_token(unit) < n_rows;
  }
  template <class Epilogue>
  __device__ __forceinline__ typename Epilogue::Inputs load(const Epilogue& epilogue,
                                                            int unit) const {
    if (!exists(unit)) return {};
    return epilogue.load(tile(unit), first_token(unit), n_rows, lane);
  }

  // Adds the parts of units first, first + step, ... in order and finishes them. `inputs` are the
  // first one's, asked for before the parts were there.
  template <class Epilogue, class LoadPart>
  __device__ __forceinline__ void finish(int first, int step, int n_parts,
                                         typename Epilogue::Inputs inputs, const float* s_norm,
                                         const Epilogue& epilogue,
                                         const LoadPart& load_part) const {
    for (int unit = first; unit < Tiling::kUnits; unit += step) {
      if (unit != first || !Tiling::kLoadsEarly) inputs = load(epilogue, unit);
      if (!exists(unit)) continue;
      float4 parts[kFlatMaxParts];  // all asked for before the first is added
#pragma unroll
      for (int part = 0; part < kFlatMaxParts; ++part) {
        if (part < n_parts) parts[part] = load_part(part, unit);
      }
      float sum[4] = {parts[0].x, parts[0].y, parts[0].z, parts[0].w};
#pragma unroll
      for (int part = 1; part < kFlatMaxParts; ++part) {
        if (part >= n_parts) break;
        sum[0] = __fadd_rn(sum[0], parts[part].x);
        sum[1] = __fadd_rn(sum[1], parts[part].y);
        sum[2] = __fadd_rn(sum[2], parts[part].z);
        sum[3] = __fadd_rn(sum[3], parts[part].w);
      }
      epilogue.finish(inputs, tile(unit), first_token(unit), n_rows, sum, s_norm, lane);
    }
  }
};

// True in the block that arrives last; its counter is then zero again.
__device__ __forceinline__ bool arrive_last(int32_t* counter, int32_t n_parts) {
  __shared__ bool s_last;
  __threadfence();  // this block's sums, before its arrival
  __syncthreads();
  if (threadIdx.x == 0) {
    s_last = atomicAdd(counter, 1) == n_parts - 1;
    if (s_last) *counter = 0;
    __threadfence();  // the other blocks' sums, after theirs
  }
  __syncthreads();
  return s_last;
}

template <class Codec, class Epilogue, class Tiling>
__global__ void __launch_bounds__(Tiling::kThreads, Codec::kZeroPoints ? 1 : Tiling::kBlocks)
    flat_wide_kernel(const FlatWeights w, const FlatRows in, const WideScratch scratch,
                     const int tiles_per_block, const Epilogue epilogue) {
  extern __shared__ __align__(128) uint4 s_stages[];
  __shared__ float s_norm[Tiling::kTokens];
  constexpr int kStages = Tiling::kStages;
  constexpr int kStageBytes = Tiling::template kStageBytes<Codec>;
  constexpr int kRowsAt = Tiling::template kRowsAt<Codec>;
  const int lane = threadIdx.x % kWarp;
  const int warp = threadIdx.x / kWarp;
  const int out_warp = warp % Tiling::kOutWarps;
  const int token_warp = warp / Tiling::kOutWarps;
  const int part = blockIdx.x;
  const int first_tile = blockIdx.y * tiles_per_block;
  const int end_tile = min(first_tile + tiles_per_block, w.n_tiles);
  const int32_t first_col = part * w.parts.cols;
  const int32_t first_stage = first_col / kStageCols;
  const int32_t n_stages = min(w.parts.cols, w.padded_cols() - first_col) / kStageCols;
  const uint32_t ring = shared_address(s_stages);

  WideStream<Codec, Tiling> stream(w, in, first_tile, end_tile - first_tile, first_stage);
  for (int i = 0; i < min(kStages - 1, n_stages); ++i)
    stream.copy_weights(i, ring + i * kStageBytes);
  pdl_launch_next();
  pdl_wait();
  stream.find_rows();
  for (int i = 0; i < kStages - 1; ++i) {
    if (i < n_stages) stream.copy_rows(i, ring + i * kStageBytes + kRowsAt);
    copy_async_commit();
  }
  reduce_norms(in, w.cols, warp, Tiling::kWarps, lane, s_norm);

  WideSums<Tiling> acc = {};
  int slot = 0;
  int next_slot = kStages - 1;
  for (int32_t i = 0; i < n_stages; ++i) {
    copy_async_wait<kStages - 2>();
    __syncthreads();  // the stage is there for all warps, and all have left the one before it
    if (i + kStages - 1 < n_stages) {
      stream.copy_weights(i + kStages - 1, ring + next_slot * kStageBytes);
      stream.copy_rows(i + kStages - 1, ring + next_slot * kStageBytes + kRowsAt);
    }
    copy_async_commit();
    if (first_tile + out_warp * Tiling::kOutTiles < end_tile)
      multiply_stage<Codec, Tiling>(w, first_stage + i, ring + slot * kStageBytes, out_warp,
                                    token_warp, lane, acc);
    slot = slot + 1 == kStages ? 0 : slot + 1;
    next_slot = next_slot + 1 == kStages ? 0 : next_slot + 1;
  }

  // The ends of all tiles are one piece of code: sums go through shared memory in any case.
  const bool is_whole = w.parts.n == 1;
  auto* const s_sums = reinterpret_cast<float4*>(s_stages);
  const int64_t block_sums = int64_t{blockIdx.y} * w.parts.n * Tiling::kUnits * kWarp;
  float4* sums = s_sums;
  if (!kHasClusters && !is_whole) sums = scratch.sums + block_sums + part * Tiling::kUnits * kWarp;
  const WideUnits<Tiling> units = {first_tile, end_tile, in.n_rows, lane};
  // Of few units each block of a cluster has some.
  const int first_unit = kHasClusters ? warp * w.parts.n + part : warp;
  typename Epilogue::Inputs inputs = {};
  if constexpr (Tiling::kLoadsEarly) inputs = units.load(epilogue, first_unit);
  __syncthreads();  // the ring becomes sums
#pragma unroll
  for (int r = 0; r < Tiling::kOutTiles; ++r) {
#pragma unroll
    for (int t = 0; t < Tiling::kTokenTiles; ++t) {
      const int unit = (out_warp * Tiling::kOutTiles + r) * Tiling::kAllTokenTiles +
                       token_warp * Tiling::kTokenTiles + t;
      const float(&sum)[4] = acc.of[r][t];
      sums[unit * kWarp + lane] = make_float4(sum[0], sum[1], sum[2], sum[3]);
    }
  }
  if (is_whole) {
    __syncthreads();
  } else if constexpr (kHasClusters) {
    cluster_sync();
  } else if (!arrive_last(scratch.counters + blockIdx.y, w.parts.n)) {
    return;
  }
  const int n_sharing = kHasClusters ? w.parts.n : 1;
  units.finish(first_unit, n_sharing * Tiling::kWarps, w.parts.n, inputs, s_norm, epilogue,
               [&](int of_part, int unit) {
                 const int at = unit * kWarp + lane;
                 if (is_whole) return s_sums[at];
                 if constexpr (kHasClusters) return load_cluster_shared(ring + at * 16, of_part);
                 return __ldcg(scratch.sums + block_sums + of_part * Tiling::kUnits * kWarp + at);
               });
  if constexpr (kHasClusters) {
    if (!is_whole) cluster_sync();  // a block's sums stay until all have read them
  }
}

template <class Codec, class Epilogue, class Tiling>
void prepare_wide() {
  static_assert(Tiling::template kSharedBytes<Codec> + 1024 <= 99 * 1024);
  static_assert(Tiling::kUnits * kWarp * 16 <= Tiling::template kSharedBytes<Codec>);
  prepare_kernel(flat_wide_kernel<Codec, Epilogue, Tiling>, Tiling::template kSharedBytes<Codec>);
}

template <class Codec, class Epilogue, class Tiling>
void launch_wide(const FlatWeights& w, const FlatRows& in, const WideScratch& scratch,
                 const Epilogue& epilogue, const LaunchContext& context) {
  const auto kernel = flat_wide_kernel<Codec, Epilogue, Tiling>;
  static const bool has_clusters = runs_hopper_code();
  // Clusters have to fit into the groups of multiprocessors: fewer, fuller blocks.
  const int tiles_per_block = Tiling::kOutTiles == 1 && w.parts.n == 1
                                  ? balanced_tiles(w.n_tiles, 1, kWideTiles - 1, kWideTiles)
                                  : kWideTiles;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(w.parts.n),
                        static_cast<unsigned>(ceil_div(w.n_tiles, tiles_per_block)));
  config.blockDim = dim3(Tiling::kThreads);
  config.dynamicSmemBytes = Tiling::template kSharedBytes<Codec>;
  config.stream = context.stream;
  cudaLaunchAttribute attributes[2] = {};
  unsigned n = 0;
  if (context.dependent) {
    attributes[n].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[n++].val.programmaticStreamSerializationAllowed = 1;
  }
  if (has_clusters && w.parts.n > 1) {
    attributes[n].id = cudaLaunchAttributeClusterDimension;
    attributes[n++].val.clusterDim = {static_cast<unsigned>(w.parts.n), 1, 1};
  }
  config.attrs = attributes;
  config.numAttrs = n;
  CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, w, in, scratch, tiles_per_block, epilogue));
}

}  // namespace incipit::kernels::cuda
