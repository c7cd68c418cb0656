// Attention of a step of up to kFlatRows rows: split over keys (Flash-Decoding: Dao et al. 2023),
// all query heads of a KV head together (Ainslie et al. 2023, GQA).
//
// A chunk of keys is four strips. Each strip is summed up, 32 keys at a time, from nothing; the
// strips are added in order, and so are the chunks. Two kernels do that, with the same bits for a
// row:
//
// narrow: up to 16 queries an item, as when sequences decode; bound by reading keys and values.
// Grid
//   [items, kv heads, chunks], block 4 warps, a strip each, with its own ring in shared memory (96
//   KB in all: once on sm_86, twice on sm_90), so warps meet once, at the end. The last block of an
//   item and KV head to finish merges the chunks.
// wide: 64 queries an item. Same grid, block 4 warps with 16 queries each, which share one ring and
//   take the strips in turn (48 KB: two blocks on sm_86 and sm_90, bound by registers).
//   merge_chunks_kernel merges: for the last block alone it would be too much to read.
//
// Where a product meets a sum, intrinsics say whether they are fused: the compiler may choose
// otherwise in each of the kernels.
#include "kernels/common/check.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_args.cuh"
#include "kernels/cuda/attention_merge.cuh"
#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/flat_matmul.h"
#include "kernels/cuda/pdl.cuh"
#include "kernels/cuda/vector_load.cuh"

namespace incipit::kernels::cuda {

static_assert(kFlatAttentionRows == kFlatRows);

namespace {

constexpr int kStrips = 4;
constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;
constexpr int kNarrowStages = 3;  // of a warp's ring
constexpr int kWideStages = 6;

// A stage of a ring: the keys of a tile, or its values.
template <int kHeadDim>
constexpr int kStageBytes = kTileKeys* kHeadDim * 2;
template <int kHeadDim>
constexpr int kNarrowRingBytes = kNarrowStages* kStageBytes<kHeadDim>;  // of a warp
static_assert(kMergeBytes<128> <= kNarrowRingBytes<128>);
template <int kHeadDim>
constexpr int kNarrowBytes = kWarps* kNarrowRingBytes<kHeadDim>;
template <int kHeadDim>
constexpr int kWideBytes = kWideStages* kStageBytes<kHeadDim>;

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
template <int kHeadDim, int kCopiers, int kStages>
class TileRing {
 public:
  // `table`: index of the sequence's first page in the page tables.
  __device__ TileRing(const AttentionArgs& args, int table, int first_key, int end_key,
                      uint32_t ring)
      : args_(args), table_(table), key_(first_key), end_key_(end_key), ring_(ring) {}

  // The next half of a tile into the next stage; nothing (but a group) past the last.
  __device__ __forceinline__ void load_next(int kv_head) {
    if (key_ < end_key_) {
      const uint16_t* const from = is_values_ ? args_.v_pages : args_.k_pages;
      constexpr int kUnits = kHeadDim / 8;
#pragma unroll
      for (int i = 0; i < kTilePages; ++i) {
        // Past the last page comes the last again: it is masked.
        const int first = min(key_ + i * kPageTokens, end_key_ - 1) / kPageTokens;
        const int page = args_.page_tables[table_ + first];
        const uint16_t* const tokens = from + page_offset<kHeadDim>(args_, page, kv_head);
#pragma unroll
        for (int n = 0; n < kPageTokens * kUnits / kCopiers; ++n) {
          const int unit = opaque(static_cast<int>(threadIdx.x)) % kCopiers + n * kCopiers;
          copy_async(ring_ + filled_ * kStageBytes<kHeadDim> +
                         swizzled<kHeadDim>(i * kPageTokens + unit / kUnits, unit % kUnits),
                     tokens + unit * 8);
        }
      }
      if (is_values_) key_ += kTileKeys;
      is_values_ = !is_values_;
    }
    copy_async_commit();
    filled_ = filled_ + 1 == kStages ? 0 : filled_ + 1;
  }
  // The stage that is read next.
  __device__ __forceinline__ uint32_t next_stage() {
    const uint32_t stage = ring_ + read_ * kStageBytes<kHeadDim>;
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
template <int kHeadDim>
__device__ __forceinline__ void finish_narrow(const AttentionArgs& args, const AttentionItem& item,
                                              const Chunk& chunk, int kv_head, std::byte* s_memory,
                                              float2* s_stats, const SoftmaxState& state,
                                              const float (&out)[kHeadDim / 8][4]) {
  constexpr int kColumns = kHeadDim / 8;
  constexpr int kWarpColumns = kColumns / kWarps;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) & 31;
  auto* const s_own = reinterpret_cast<float4*>(s_memory + warp * kNarrowRingBytes<kHeadDim>);
#pragma unroll
  for (int j = 0; j < kColumns; ++j) {
    s_own[j * 32 + lane] = make_float4(out[j][0], out[j][1], out[j][2], out[j][3]);
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float2 stats =
        make_float2(__fmul_rn(state.largest[half], args.scale_log2), row_sum(state.sum[half]));
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
        reinterpret_cast<const float4*>(s_memory + strip * kNarrowRingBytes<kHeadDim>);
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

template <int kHeadDim>
__global__ __launch_bounds__(kThreads) void narrow_attention_kernel(
    const __grid_constant__ AttentionArgs args) {
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
  TileRing<kHeadDim, 32, kNarrowStages> ring(
      args, item.sequence * args.page_table_stride, strip_key, strip_end,
      shared_address(s_memory) + static_cast<uint32_t>(warp * kNarrowRingBytes<kHeadDim>));
  // Pages that earlier steps have filled may come before the kernels ahead are done.
  const bool is_settled = args.inputs_settled && chunk.end_key <= item.n_settled_keys;
  if (!is_settled) pdl_wait();
#pragma unroll
  for (int i = 0; i < kNarrowStages; ++i) ring.load_next(kv_head);
  if (is_settled) pdl_wait();

  int* const s_own_positions = s_positions + warp * 16;
  uint32_t q[kHeadDim / 16][4];
  load_queries<kHeadDim>(args, item, kv_head, 0, s_own_positions, q);
  SoftmaxState state;
  float out[kHeadDim / 8][4] = {};
  for (int key = strip_key; key < strip_end; key += kTileKeys) {
    float scores[2 * kTilePages][4] = {};
    uint32_t weights[kTilePages][4];
    copy_async_wait<kNarrowStages - 1>();
    __syncwarp();  // the keys of all lanes have come
    score_tile<kHeadDim>(ring.next_stage(), q, scores);
    __syncwarp();  // and been read, before others take their place
    ring.load_next(kv_head);
    weigh_tile<kHeadDim>(args.scale_log2, key, key + kTileKeys > item.lowest_position,
                         s_own_positions, scores, state, out, weights);
    copy_async_wait<kNarrowStages - 1>();
    __syncwarp();  // the values likewise
    add_values<kHeadDim>(ring.next_stage(), weights, out);
    __syncwarp();
    ring.load_next(kv_head);
  }
  copy_async_wait<0>();
  finish_narrow<kHeadDim>(args, item, chunk, kv_head, s_memory, s_stats, state, out);

  const int n_chunks = (item.n_keys + item.chunk_tokens - 1) / item.chunk_tokens;
  if (n_chunks == 1) return;
  int32_t* const counter = args.counters + blockIdx.x * gridDim.y + kv_head;
  if (!is_last_chunk(counter, n_chunks, &s_n_done)) return;
  for (int query = warp; query < item.n_rows * args.heads_a_group; query += kWarps) {
    const QueryRow row = query_row(args, item, kv_head, query);
    const int n = args.row_chunks[row.row];
    if (n > 1) {
      merge_chunks<kHeadDim>(
          args, head_index(args, row), n,
          reinterpret_cast<float*>(s_memory + warp * kNarrowRingBytes<kHeadDim>));
    }
  }
}

// A strip is complete: adds it to the chunk and begins the next from nothing.
template <int kHeadDim>
__device__ __forceinline__ void close_strip(float scale_log2, SoftmaxState& state,
                                            float (&out)[kHeadDim / 8][4], RowTotal (&rows)[2],
                                            float (&total)[kHeadDim / 8][4]) {
  PartFactors factors[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    factors[half] =
        rows[half].add(__fmul_rn(state.largest[half], scale_log2), row_sum(state.sum[half]));
  }
#pragma unroll
  for (int j = 0; j < kHeadDim / 8; ++j) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      total[j][i] = add_part(total[j][i], out[j][i], factors[i / 2]);
      out[j][i] = 0;
    }
  }
  state = SoftmaxState{};
}

template <int kHeadDim>
__global__ __launch_bounds__(kThreads, 2) void wide_attention_kernel(
    const __grid_constant__ AttentionArgs args) {
  extern __shared__ __align__(256) std::byte s_memory[];
  __shared__ int s_positions[kWarps * 16];
  pdl_launch_next();
  if (!args.inputs_settled) pdl_wait();
  const AttentionItem item = args.items[blockIdx.x];
  const int kv_head = static_cast<int>(blockIdx.y);
  const Chunk chunk = find_chunk(item, static_cast<int>(blockIdx.z));
  if (chunk.first_key >= item.n_keys) {
    pdl_wait();
    return;
  }
  TileRing<kHeadDim, kThreads, kWideStages> ring(args, item.sequence * args.page_table_stride,
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
      score_tile<kHeadDim>(keys, q, scores);
      weigh_tile<kHeadDim>(args.scale_log2, key, key + kTileKeys > item.lowest_position,
                           s_own_positions, scores, state, out, weights);
    }
    copy_async_wait<kWideStages - 2>();
    __syncthreads();  // the values likewise
    ring.load_next(kv_head);
    const uint32_t values = ring.next_stage();
    if (is_seen) add_values<kHeadDim>(values, weights, out);
    if (key + kTileKeys == strip_end) {
      close_strip<kHeadDim>(args.scale_log2, state, out, rows, total);
      strip_end += chunk.strip_tokens;
    }
  }
  close_strip<kHeadDim>(args.scale_log2, state, out, rows, total);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    store_chunk<kHeadDim>(args, query_row(args, item, kv_head, lane_query(warp * 16, half)), half,
                          total, rows[half].largest, rows[half].sum, chunk.index, chunk.first_key);
  }
}

// Grid: a warp for each (row, head).
template <int kHeadDim>
__global__ __launch_bounds__(kThreads) void merge_chunks_kernel(
    const __grid_constant__ AttentionArgs args, int32_t n_rows) {
  __shared__ __align__(16) float s_chunks[kWarps * kMergeBytes<kHeadDim> / 4];
  pdl_launch_next();
  pdl_wait();
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int head = static_cast<int>(blockIdx.x) * kWarps + warp;
  if (head >= n_rows * args.n_heads) return;
  const int n_chunks = args.row_chunks[head / args.n_heads];
  if (n_chunks > 1) {
    merge_chunks<kHeadDim>(args, head, n_chunks, s_chunks + warp * kMergeBytes<kHeadDim> / 4);
  }
}

using FlatKernel = void (*)(AttentionArgs);

}  // namespace

void merge_attention_chunks(const AttentionArgs& args, int32_t n_rows, int32_t head_dim,
                            const LaunchContext& context) {
  const dim3 grid(static_cast<uint32_t>(ceil_div(int64_t{n_rows} * args.n_heads, kWarps)));
  launch(context, head_dim == 128 ? &merge_chunks_kernel<128> : &merge_chunks_kernel<64>, grid,
         dim3(kThreads), 0, args, n_rows);
}

int64_t attention_scratch_bytes(const AttentionLimits& limits) {
  return partial_out_offset(limits) + partial_slots(limits) * limits.heads.head_dim * 4;
}

void prepare_prefill_attention();  // prefill_attention.cu

void prepare_attention() {
  allow_shared(&narrow_attention_kernel<64>, kNarrowBytes<64>);
  allow_shared(&narrow_attention_kernel<128>, kNarrowBytes<128>);
  allow_shared(&wide_attention_kernel<64>, kWideBytes<64>);
  allow_shared(&wide_attention_kernel<128>, kWideBytes<128>);
  allow_shared(&merge_chunks_kernel<64>, 0);
  allow_shared(&merge_chunks_kernel<128>, 0);
  prepare_prefill_attention();
}

void flat_attention(const CudaAttentionParams& params, const AttentionLimits& limits,
                    const AttentionScratch& scratch, const LaunchContext& context) {
  CHECK_LE(params.rows.n_rows, kFlatAttentionRows);
  CHECK(params.heads.head_dim == 64 || params.heads.head_dim == 128);
  const AttentionBounds& bounds = params.bounds;
  CHECK(bounds.block_queries == 16 || bounds.block_queries == 64);
  const bool is_narrow = bounds.block_queries == 16;
  const bool is_128 = params.heads.head_dim == 128;
  const AttentionArgs args = attention_args(params, limits, scratch);
  FlatKernel kernel = is_128 ? &wide_attention_kernel<128> : &wide_attention_kernel<64>;
  int shared_bytes = is_128 ? kWideBytes<128> : kWideBytes<64>;
  if (is_narrow) {
    kernel = is_128 ? &narrow_attention_kernel<128> : &narrow_attention_kernel<64>;
    shared_bytes = is_128 ? kNarrowBytes<128> : kNarrowBytes<64>;
  }
  const dim3 grid(static_cast<uint32_t>(bounds.max_items), static_cast<uint32_t>(args.n_kv_heads),
                  static_cast<uint32_t>(bounds.max_chunks));
  launch(context, kernel, grid, dim3(kThreads), static_cast<size_t>(shared_bytes), args);
  if (!is_narrow && bounds.max_chunks > 1) {
    merge_attention_chunks(args, params.rows.n_rows, params.heads.head_dim, context);
  }
}

}  // namespace incipit::kernels::cuda
