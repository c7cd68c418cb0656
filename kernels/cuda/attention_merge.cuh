// Where a block's result goes: out, if the row has one chunk; else to scratch, from which the
// chunks of a row are merged in order (Flash-Decoding: Dao et al. 2023).
#pragma once

#include "kernels/cuda/attention_args.cuh"
#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/vector_load.cuh"

namespace incipit::kernels::cuda {

// Stores a lane's half (0: row g, 1: row g + 8) of a chunk's result: dimensions 8 j + 2 c of its
// kColumns columns from first_column on. `largest` in base 2, `sum` over the whole row. A row that
// sees nothing of the chunk stores nothing.
template <int kHeadDim, int kColumns>
__device__ __forceinline__ void store_chunk(const AttentionArgs& args, const QueryRow& query,
                                            int half, const float (&out)[kColumns][4],
                                            float largest, float sum, int chunk, int first_key,
                                            int first_column = 0) {
  if (query.position < first_key) return;
  const int c = threadIdx.x & 3;
  if (args.row_chunks[query.row] == 1) {
    const float inverse = 1.0f / sum;
    auto* const to = reinterpret_cast<uint32_t*>(args.out + head_index(args, query) * kHeadDim) +
                     first_column * 4 + c;
#pragma unroll
    for (int j = 0; j < kColumns; ++j) {
      to[4 * j] = half_pair(to_half_range(out[j][2 * half] * inverse),
                            to_half_range(out[j][2 * half + 1] * inverse));
    }
    return;
  }
  const int64_t slot = head_index(args, query) * args.max_chunks + chunk;
  auto* const to =
      reinterpret_cast<float2*>(args.partial_out + slot * kHeadDim) + first_column * 4 + c;
#pragma unroll
  for (int j = 0; j < kColumns; ++j) {
    __stcg(to + 4 * j, make_float2(out[j][2 * half], out[j][2 * half + 1]));
  }
  if (c == 0 && first_column == 0) {
    __stcg(args.partial_stats + slot, make_float2(largest, sum));
  }
}

// Bytes of shared memory that a warp needs for merging.
template <int kHeadDim>
constexpr int kMergeBytes = kMaxChunks* kHeadDim * 4;

template <int kSize>
struct alignas(kSize * 4) LaneValues {
  float values[kSize];
};

// One (row, head) by one warp; n_chunks from 2 to kMaxChunks, a lane each for the statistics. All
// chunks are on their way together, through shared memory: each is a trip to L2, and the compiler
// would not keep 64 registers for them.
template <int kHeadDim>
__device__ __forceinline__ void merge_chunks(const AttentionArgs& args, int64_t head, int n_chunks,
                                             float* s_chunks) {
  constexpr int kUnits = kHeadDim / 4;  // of 16 bytes
  constexpr int kLaneValues = kHeadDim / 32;
  const int lane = static_cast<int>(threadIdx.x) & 31;
  const int64_t first_slot = head * args.max_chunks;
  const float* const chunks = args.partial_out + first_slot * kHeadDim;
#pragma unroll
  for (int n = 0; n < kMaxChunks * kUnits / 32; ++n) {
    const int unit = n * 32 + lane;
    if (unit / kUnits < n_chunks) {
      copy_async(shared_address(s_chunks + unit * 4), chunks + unit * 4);
    }
  }
  copy_async_commit();
  const float2 stats = lane < n_chunks ? __ldcg(args.partial_stats + first_slot + lane)
                                       : make_float2(-INFINITY, 0.0f);
  float largest = stats.x;
#pragma unroll
  for (int step = kMaxChunks / 2; step > 0; step /= 2) {
    largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, step));
  }
  const float weight = exp2_fast(__fsub_rn(stats.x, largest));
  float sum = __fmul_rn(weight, stats.y);
#pragma unroll
  for (int step = kMaxChunks / 2; step > 0; step /= 2) {
    sum = __fadd_rn(sum, __shfl_xor_sync(0xffffffffu, sum, step));
  }
  sum = __shfl_sync(0xffffffffu, sum, 0);
  copy_async_wait<0>();
  __syncwarp();  // the copies of all lanes
  float total[kLaneValues] = {};
  for (int i = 0; i < n_chunks; ++i) {
    const float w = __shfl_sync(0xffffffffu, weight, i);
    const LaneValues<kLaneValues> part =
        reinterpret_cast<const LaneValues<kLaneValues>*>(s_chunks + i * kHeadDim)[lane];
#pragma unroll
    for (int k = 0; k < kLaneValues; ++k) total[k] = fmaf(w, part.values[k], total[k]);
  }
  __syncwarp();  // read, before another query's come
  const float inverse = 1.0f / sum;
  auto* const to =
      reinterpret_cast<uint32_t*>(args.out + head * kHeadDim) + lane * (kLaneValues / 2);
#pragma unroll
  for (int k = 0; k < kLaneValues; k += 2) {
    to[k / 2] = half_pair(to_half_range(total[k] * inverse), to_half_range(total[k + 1] * inverse));
  }
}

}  // namespace incipit::kernels::cuda
