// The kernels of flat attention, over a page type (HalfPages in attention_half.cuh, Int8Pages in
// attention_int8.cuh), which has: kHeadDim; kStageBytes, a multiple of 128; kNarrowStages;
// copy_stage() of a tile's keys or values by kCopiers threads; score(), weigh() and add() on them;
// base2(). See flat_attention.cu for the algorithm.
#pragma once

#include "kernels/cuda/attention_args.cuh"
#include "kernels/cuda/attention_merge.cuh"
#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/pdl.cuh"
#include "kernels/cuda/vector_load.cuh"

namespace incipit::kernels::cuda {

inline constexpr int kStrips = 4;
inline constexpr int kFlatThreads = 128;
inline constexpr int kFlatWarps = kFlatThreads / 32;
inline constexpr int kWideStages = 6;

template <class Pages>
constexpr int kNarrowRingBytes = Pages::kNarrowStages* Pages::kStageBytes;  // of a warp
template <class Pages>
constexpr int kNarrowBytes = kFlatWarps* kNarrowRingBytes<Pages>;
template <class Pages>
constexpr int kWideBytes = kWideStages* Pages::kStageBytes;

// The keys of a block.
struct Chunk {
  int index;
  int first_key;
  int end_key;       // past the last
  int strip_tokens;  // a multiple of kPageTokens
};

__device__ __forceinline__ Chunk find_chunk(const AttentionItem& item, int index) {
  Chunk chunk;
  chunk.index = index;
  chunk.first_key = index * item.chunk_tokens;
  chunk.end_key = min(chunk.first_key + item.chunk_tokens, item.n_keys);
  chunk.strip_tokens = item.chunk_tokens / kStrips;
  return chunk;
}

// Tiles on their way to shared memory: keys, then values, of each in ascending order, into the
// stages of a ring in turn, by kCopiers threads.
template <class Pages, int kCopiers, int kStages>
class TileRing {
 public:
  // `table`: index of the sequence's first page in the page tables.
  __device__ TileRing(const AttentionArgs& args, int table, int first_key, int end_key,
                      uint32_t ring)
      : args_(args), table_(table), key_(first_key), end_key_(end_key), ring_(ring) {}

  // The next half of a tile into the next stage; nothing (but a group) past the last.
  __device__ __forceinline__ void load_next(int kv_head) {
    if (key_ < end_key_) {
      Pages::template copy_stage<kCopiers>(args_, table_, key_, end_key_, kv_head, is_values_,
                                           ring_ + filled_ * Pages::kStageBytes);
      if (is_values_) key_ += kTileKeys;
      is_values_ = !is_values_;
    }
    copy_async_commit();
    filled_ = filled_ + 1 == kStages ? 0 : filled_ + 1;
  }
  // The stage that is read next.
  __device__ __forceinline__ uint32_t next_stage() {
    const uint32_t stage = ring_ + read_ * Pages::kStageBytes;
    read_ = read_ + 1 == kStages ? 0 : read_ + 1;
    return stage;
  }

 private:
  const AttentionArgs& args_;
  int table_;
  int key_;
  int end_key_;
  uint32_t ring_;
  int filled_ = 0;
  int read_ = 0;
  bool is_values_ = false;
};

// Query of a lane's row g (half 0) or g + 8 of a warp's 16.
__device__ __forceinline__ int lane_query(int first, int half) {
  return first + half * 8 + static_cast<int>(threadIdx.x & 31) / 4;
}

// A warp's 16 queries from `first` on as the A operand, straight from global memory; zeros past the
// item's last. Their positions go to s_positions. Returns the largest position of the lane's two.
template <int kHeadDim>
__device__ __forceinline__ int load_queries(const AttentionArgs& args, const AttentionItem& item,
                                            int kv_head, int first, int* s_positions,
                                            uint32_t (&q)[kHeadDim / 16][4]) {
  int highest = -1;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const QueryRow row = query_row(args, item, kv_head, lane_query(first, half));
    const auto* const from =
        reinterpret_cast<const uint32_t*>(args.q + head_index(args, row) * kHeadDim) +
        (threadIdx.x & 3);
#pragma unroll
    for (int step = 0; step < kHeadDim / 16; ++step) {
      q[step][half] = row.row < 0 ? 0 : __ldcg(from + step * 8);
      q[step][half + 2] = row.row < 0 ? 0 : __ldcg(from + step * 8 + 4);
    }
    highest = max(highest, row.position);
    if ((threadIdx.x & 3) == 0) s_positions[lane_query(0, half)] = row.position;
  }
  __syncwarp();
  return highest;
}

// Adds the strips of the four warps, each warp a quarter of head_dim, and stores the chunk. `out`
// and `state` of a strip go through the place of its own ring, which its warp has read to the end.
template <class Pages>
__device__ __forceinline__ void finish_narrow(const AttentionArgs& args, const AttentionItem& item,
                                              const Chunk& chunk, int kv_head, std::byte* s_memory,
                                              float2* s_stats, const SoftmaxState& state,
                                              const float (&out)[Pages::kHeadDim / 8][4]) {
  constexpr int kHeadDim = Pages::kHeadDim;
  static_assert(kHeadDim / 8 * 32 * int{sizeof(float4)} <= kNarrowRingBytes<Pages>);
  constexpr int kColumns = kHeadDim / 8;
  constexpr int kWarpColumns = kColumns / kFlatWarps;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) & 31;
  auto* const s_own = reinterpret_cast<float4*>(s_memory + warp * kNarrowRingBytes<Pages>);
#pragma unroll
  for (int j = 0; j < kColumns; ++j) {
    s_own[j * 32 + lane] = make_float4(out[j][0], out[j][1], out[j][2], out[j][3]);
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float2 stats =
        make_float2(Pages::base2(state.largest[half], args.scale_log2), row_sum(state.sum[half]));
    if ((lane & 3) == 0) s_stats[warp * 16 + lane_query(0, half)] = stats;
  }
  __syncthreads();  // every strip's part is there

  RowTotal rows[2];
  float total[kWarpColumns][4] = {};
#pragma unroll
  for (int strip = 0; strip < kStrips; ++strip) {
    PartFactors factors[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float2 stats = s_stats[strip * 16 + lane_query(0, half)];
      factors[half] = rows[half].add(stats.x, stats.y);
    }
    const auto* const s_part =
        reinterpret_cast<const float4*>(s_memory + strip * kNarrowRingBytes<Pages>);
#pragma unroll
    for (int j = 0; j < kWarpColumns; ++j) {
      const float4 part = s_part[(warp * kWarpColumns + j) * 32 + lane];
      total[j][0] = add_part(total[j][0], part.x, factors[0]);
      total[j][1] = add_part(total[j][1], part.y, factors[0]);
      total[j][2] = add_part(total[j][2], part.z, factors[1]);
      total[j][3] = add_part(total[j][3], part.w, factors[1]);
    }
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    store_chunk<kHeadDim>(args, query_row(args, item, kv_head, lane_query(0, half)), half, total,
                          rows[half].largest, rows[half].sum, chunk.index, chunk.first_key,
                          warp * kWarpColumns);
  }
}

// Whether this block is the last of its item and KV head; the counter is zero again then. What the
// block's threads have written is visible to who counts later, and the other way round: the barrier
// orders them before thread 0, whose addition is a release and an acquire.
__device__ __forceinline__ bool is_last_chunk(int32_t* counter, int n_chunks, int* s_n_done) {
  __syncthreads();
  if (threadIdx.x == 0) {
    int n_done = 0;
    asm volatile("atom.add.acq_rel.gpu.global.s32 %0, [%1], 1;"
                 : "=r"(n_done)
                 : "l"(counter)
                 : "memory");
    *s_n_done = n_done;
    if (n_done == n_chunks - 1) *counter = 0;
  }
  __syncthreads();
  return *s_n_done == n_chunks - 1;
}

template <class Pages>
__global__ __launch_bounds__(kFlatThreads) void narrow_attention_kernel(
    const __grid_constant__ AttentionArgs args) {
  constexpr int kHeadDim = Pages::kHeadDim;
  static_assert(kMergeBytes<kHeadDim> <= kNarrowRingBytes<Pages>);
  extern __shared__ __align__(256) std::byte s_memory[];
  __shared__ float2 s_stats[kStrips * 16];
  __shared__ int s_positions[kStrips * 16];
  __shared__ int s_n_done;
  pdl_launch_next();
  if (!args.inputs_settled) pdl_wait();
  const AttentionItem item = args.items[blockIdx.x];
  const int kv_head = static_cast<int>(blockIdx.y);
  const Chunk chunk = find_chunk(item, static_cast<int>(blockIdx.z));
  if (chunk.first_key >= item.n_keys) {
    pdl_wait();
    return;
  }
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int strip_key = chunk.first_key + warp * chunk.strip_tokens;
  const int strip_end = min(strip_key + chunk.strip_tokens, chunk.end_key);
  TileRing<Pages, 32, Pages::kNarrowStages> ring(
      args, item.sequence * args.page_table_stride, strip_key, strip_end,
      shared_address(s_memory) + static_cast<uint32_t>(warp * kNarrowRingBytes<Pages>));
  // Pages that earlier steps have filled may come before the kernels ahead are done.
  const bool is_settled = args.inputs_settled && chunk.end_key <= item.n_settled_keys;
  if (!is_settled) pdl_wait();
#pragma unroll
  for (int i = 0; i < Pages::kNarrowStages; ++i) ring.load_next(kv_head);
  if (is_settled) pdl_wait();

  int* const s_own_positions = s_positions + warp * 16;
  uint32_t q[kHeadDim / 16][4];
  load_queries<kHeadDim>(args, item, kv_head, 0, s_own_positions, q);
  SoftmaxState state;
  float out[kHeadDim / 8][4] = {};
  for (int key = strip_key; key < strip_end; key += kTileKeys) {
    float scores[2 * kTilePages][4] = {};
    uint32_t weights[kTilePages][4];
    copy_async_wait<Pages::kNarrowStages - 1>();
    __syncwarp();  // the keys of all lanes have come
    const typename Pages::KeyScales scales =
        Pages::score(ring.next_stage(), args.scale_log2, q, scores);
    __syncwarp();  // and been read, before others take their place
    ring.load_next(kv_head);
    Pages::weigh(args.scale_log2, scales, key, key + kTileKeys > item.lowest_position,
                 s_own_positions, scores, state, out, weights);
    copy_async_wait<Pages::kNarrowStages - 1>();
    __syncwarp();  // the values likewise
    Pages::add(ring.next_stage(), weights, out);
    __syncwarp();
    ring.load_next(kv_head);
  }
  copy_async_wait<0>();
  finish_narrow<Pages>(args, item, chunk, kv_head, s_memory, s_stats, state, out);

  const int n_chunks = (item.n_keys + item.chunk_tokens - 1) / item.chunk_tokens;
  if (n_chunks == 1) return;
  int32_t* const counter = args.counters + blockIdx.x * gridDim.y + kv_head;
  if (!is_last_chunk(counter, n_chunks, &s_n_done)) return;
  for (int query = warp; query < item.n_rows * args.heads_a_group; query += kFlatWarps) {
    const QueryRow row = query_row(args, item, kv_head, query);
    const int n = args.row_chunks[row.row];
    if (n > 1) {
      merge_chunks<kHeadDim>(args, head_index(args, row), n,
                             reinterpret_cast<float*>(s_memory + warp * kNarrowRingBytes<Pages>));
    }
  }
}

// A strip is complete: adds it to the chunk and begins the next from nothing.
template <class Pages>
__device__ __forceinline__ void close_strip(float scale_log2, SoftmaxState& state,
                                            float (&out)[Pages::kHeadDim / 8][4],
                                            RowTotal (&rows)[2],
                                            float (&total)[Pages::kHeadDim / 8][4]) {
  PartFactors factors[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    factors[half] =
        rows[half].add(Pages::base2(state.largest[half], scale_log2), row_sum(state.sum[half]));
  }
#pragma unroll
  for (int j = 0; j < Pages::kHeadDim / 8; ++j) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      total[j][i] = add_part(total[j][i], out[j][i], factors[i / 2]);
      out[j][i] = 0;
    }
  }
  state = SoftmaxState{};
}

template <class Pages>
__global__ __launch_bounds__(kFlatThreads, 2) void wide_attention_kernel(
    const __grid_constant__ AttentionArgs args) {
  constexpr int kHeadDim = Pages::kHeadDim;
  extern __shared__ __align__(256) std::byte s_memory[];
  __shared__ int s_positions[kFlatWarps * 16];
  pdl_launch_next();
  if (!args.inputs_settled) pdl_wait();
  const AttentionItem item = args.items[blockIdx.x];
  const int kv_head = static_cast<int>(blockIdx.y);
  const Chunk chunk = find_chunk(item, static_cast<int>(blockIdx.z));
  if (chunk.first_key >= item.n_keys) {
    pdl_wait();
    return;
  }
  TileRing<Pages, kFlatThreads, kWideStages> ring(args, item.sequence * args.page_table_stride,
                                                  chunk.first_key, chunk.end_key,
                                                  shared_address(s_memory));
  const bool is_settled = args.inputs_settled && chunk.end_key <= item.n_settled_keys;
  if (!is_settled) pdl_wait();
#pragma unroll 1
  for (int i = 0; i < kWideStages - 1; ++i) ring.load_next(kv_head);
  if (is_settled) pdl_wait();

  const int warp = static_cast<int>(threadIdx.x) / 32;
  int* const s_own_positions = s_positions + warp * 16;
  uint32_t q[kHeadDim / 16][4];
  const int highest = __reduce_max_sync(
      0xffffffffu, load_queries<kHeadDim>(args, item, kv_head, warp * 16, s_own_positions, q));
  SoftmaxState state;
  float out[kHeadDim / 8][4] = {};
  RowTotal rows[2];
  float total[kHeadDim / 8][4] = {};
  int strip_end = chunk.first_key + chunk.strip_tokens;
  for (int key = chunk.first_key; key < chunk.end_key; key += kTileKeys) {
    // Tiles past a warp's rows change nothing: no work.
    const bool is_seen = key <= highest;
    uint32_t weights[kTilePages][4];
    copy_async_wait<kWideStages - 2>();
    __syncthreads();  // the keys of all threads have come, and the stage before has been read
    ring.load_next(kv_head);
    const uint32_t keys = ring.next_stage();
    if (is_seen) {
      float scores[2 * kTilePages][4] = {};
      const typename Pages::KeyScales scales = Pages::score(keys, args.scale_log2, q, scores);
      Pages::weigh(args.scale_log2, scales, key, key + kTileKeys > item.lowest_position,
                   s_own_positions, scores, state, out, weights);
    }
    copy_async_wait<kWideStages - 2>();
    __syncthreads();  // the values likewise
    ring.load_next(kv_head);
    const uint32_t values = ring.next_stage();
    if (is_seen) Pages::add(values, weights, out);
    if (key + kTileKeys == strip_end) {
      close_strip<Pages>(args.scale_log2, state, out, rows, total);
      strip_end += chunk.strip_tokens;
    }
  }
  close_strip<Pages>(args.scale_log2, state, out, rows, total);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    store_chunk<kHeadDim>(args, query_row(args, item, kv_head, lane_query(warp * 16, half)), half,
                          total, rows[half].largest, rows[half].sum, chunk.index, chunk.first_key);
  }
}

// The kernels of a page type, with the shared memory that each wants.
struct FlatKernels {
  using Kernel = void (*)(AttentionArgs);
  Kernel narrow;
  Kernel wide;
  int narrow_bytes;
  int wide_bytes;

  void prepare() const {
    allow_shared(narrow, narrow_bytes);
    allow_shared(wide, wide_bytes);
  }
};
template <class Pages>
FlatKernels flat_kernels() {
  return {&narrow_attention_kernel<Pages>, &wide_attention_kernel<Pages>, kNarrowBytes<Pages>,
          kWideBytes<Pages>};
}

// Of Int8Pages, in flat_attention_int8.cu.
FlatKernels int8_flat_kernels(int32_t head_dim);

}  // namespace incipit::kernels::cuda
