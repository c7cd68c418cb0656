// The kernel of prefill attention, over a page type, which has: kHeadDim; kTileBytes of the keys or
// values of kBlockKeys tokens, a multiple of 128; load() of such a tile by all threads, as a group;
// score(), prepare(), update() and add() on them; base2(). See prefill_attention.cu for the
// algorithm.
#pragma once

#include "kernels/cuda/attention_args.cuh"
#include "kernels/cuda/attention_merge.cuh"
#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/pdl.cuh"
#include "kernels/cuda/vector_load.cuh"

namespace incipit::kernels::cuda {

inline constexpr int kPrefillThreads = 128;
inline constexpr int kPrefillQueries = 128;
inline constexpr int kBlockKeys = 64;
inline constexpr int kBlockPages = kBlockKeys / kPageTokens;

template <int kHeadDim>
constexpr int kQueryBytes = kPrefillQueries* kHeadDim * 2;
template <class Pages>
constexpr int kPrefillBytes = kQueryBytes<Pages::kHeadDim> + 4 * Pages::kTileBytes;

template <int kHeadDim>
__device__ __forceinline__ void load_block_queries(const AttentionArgs& args,
                                                   const AttentionItem& item, int kv_head,
                                                   uint32_t to) {
  constexpr int kUnits = kHeadDim / 8;
#pragma unroll 4
  for (int n = 0; n < kPrefillQueries * kUnits / kPrefillThreads; ++n) {
    const int unit = static_cast<int>(threadIdx.x) + n * kPrefillThreads;
    const int query = unit / kUnits;
    const int in_item = query / args.heads_a_group;
    const bool is_there = in_item < item.n_rows;
    const int64_t head = int64_t{is_there ? item.first_row + in_item : 0} * args.n_heads +
                         kv_head * args.heads_a_group + query % args.heads_a_group;
    copy_async(to + swizzled<kHeadDim>(query, unit % kUnits),
               args.q + head * kHeadDim + unit % kUnits * 8, is_there ? 16 : 0);
  }
}

// The pages of a tile. Past the last page of the keys comes the last again: it is masked.
struct TilePages {
  int ids[kBlockPages];
};
__device__ __forceinline__ TilePages find_pages(const int32_t* table, int first_page,
                                                int last_page) {
  TilePages pages;
#pragma unroll
  for (int i = 0; i < kBlockPages; ++i) pages.ids[i] = table[min(first_page + i, last_page)];
  return pages;
}

// A warp's 32 queries: two tiles of 16, and what has been summed up for them.
template <int kHeadDim>
struct WarpRows {
  int positions[2][2];  // of rows g and g + 8 of each tile; -1: no row
  SoftmaxState state[2];
  float out[2][kHeadDim / 8][4] = {};
};

template <class Pages>
__device__ __forceinline__ void soften(float scale_log2, const typename Pages::KeyScales& scales,
                                       int first_key, bool is_masked,
                                       float (&scores)[2][kBlockKeys / 8][4],
                                       WarpRows<Pages::kHeadDim>& rows,
                                       uint32_t (&weights)[2][kBlockPages][4]) {
#pragma unroll
  for (int m = 0; m < 2; ++m) {
    Pages::prepare(scores[m], scale_log2, scales);
    if (is_masked) mask_scores(scores[m], first_key, rows.positions[m]);
    rescale(rows.out[m], Pages::update(scores[m], scale_log2, scales, rows.state[m]));
#pragma unroll
    for (int page = 0; page < kBlockPages; ++page) {
      weights_of(scores[m][2 * page], scores[m][2 * page + 1], weights[m][page]);
    }
  }
}

template <class Pages>
__device__ __forceinline__ void store_rows(const AttentionArgs& args, const AttentionItem& item,
                                           int kv_head, int chunk, int first_key,
                                           const WarpRows<Pages::kHeadDim>& rows) {
  constexpr int kHeadDim = Pages::kHeadDim;
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float sum = row_sum(rows.state[m].sum[half]);
      const int query = static_cast<int>(threadIdx.x) / 32 * 32 + m * 16 + half * 8 +
                        static_cast<int>(threadIdx.x & 31) / 4;
      const QueryRow row = query_row(args, item, kv_head, query);
      store_chunk<kHeadDim, kHeadDim / 8>(
          args, row, half, rows.out[m], Pages::base2(rows.state[m].largest[half], args.scale_log2),
          sum, chunk, first_key);
    }
  }
}

template <class Pages>
__global__ __launch_bounds__(kPrefillThreads, 2) void prefill_attention_kernel(
    const __grid_constant__ AttentionArgs args) {
  constexpr int kHeadDim = Pages::kHeadDim;
  extern __shared__ __align__(256) std::byte s_memory[];
  pdl_launch_next();
  pdl_wait();
  const AttentionItem item = args.items[gridDim.y - 1 - blockIdx.y];
  const int kv_head = static_cast<int>(blockIdx.x);
  const int chunk = static_cast<int>(blockIdx.z);
  const int first_key = chunk * item.chunk_tokens;
  if (first_key >= item.n_keys) return;
  const int end_key = min(first_key + item.chunk_tokens, item.n_keys);
  const int last_page = (end_key - 1) / kPageTokens;
  const int lane = static_cast<int>(threadIdx.x) & 31;
  const int first_query = static_cast<int>(threadIdx.x) / 32 * 32;
  const int32_t* const table = args.page_tables + int64_t{item.sequence} * args.page_table_stride;

  const uint32_t shared = shared_address(s_memory);
  const uint32_t keys = shared + kQueryBytes<kHeadDim>;
  const uint32_t values = keys + 2 * Pages::kTileBytes;
  const TilePages pages = find_pages(table, first_key / kPageTokens, last_page);
  load_block_queries<kHeadDim>(args, item, kv_head, shared);
  Pages::load(args, false, pages, kv_head, keys);
  Pages::load(args, true, pages, kv_head, values);

  WarpRows<kHeadDim> rows;
  int highest = -1;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int query = first_query + i * 8 + lane / 4;
    rows.positions[i / 2][i % 2] = query_row(args, item, kv_head, query).position;
    highest = max(highest, rows.positions[i / 2][i % 2]);
  }
  highest = __reduce_max_sync(0xffffffffu, highest);

  uint32_t buffer = 0;
  for (int key = first_key; key < end_key; key += kBlockKeys) {
    const bool has_next = key + kBlockKeys < end_key;
    const uint32_t next_buffer = Pages::kTileBytes - buffer;
    copy_async_wait<1>();
    __syncthreads();  // the tile's keys (and the queries) are there; the last tile has been read
    if (has_next) {
      const TilePages next = find_pages(table, (key + kBlockKeys) / kPageTokens, last_page);
      Pages::load(args, false, next, kv_head, keys + next_buffer);
    } else {
      copy_async_commit();
    }
    // A warp whose rows all end before this tile only helps with loading.
    const bool sees_tile = key <= highest;
    uint32_t weights[2][kBlockPages][4];
    if (sees_tile) {
      float scores[2][kBlockKeys / 8][4] = {};
      const typename Pages::KeyScales scales =
          Pages::score(shared + first_query * kHeadDim * 2 + value_lane_offset<kHeadDim>(lane),
                       keys + buffer, lane, scores);
      soften<Pages>(args.scale_log2, scales, key, key + kBlockKeys > item.lowest_position, scores,
                    rows, weights);
    }
    copy_async_wait<1>();
    __syncthreads();  // the tile's values are there
    if (has_next) {
      const TilePages next = find_pages(table, (key + kBlockKeys) / kPageTokens, last_page);
      Pages::load(args, true, next, kv_head, values + next_buffer);
    } else {
      copy_async_commit();
    }
    if (sees_tile) {
      Pages::add(values + buffer, lane, weights, rows.out);
    }
    buffer = next_buffer;
  }
  store_rows<Pages>(args, item, kv_head, chunk, first_key, rows);
}

// The kernel of a page type, with the shared memory that it wants.
struct PrefillKernel {
  void (*kernel)(AttentionArgs);
  int shared_bytes;
};
template <class Pages>
PrefillKernel prefill_kernel() {
  return {&prefill_attention_kernel<Pages>, kPrefillBytes<Pages>};
}

// Over INT8 pages, in prefill_attention_int8.cu.
PrefillKernel int8_prefill_kernel(int32_t head_dim);

}  // namespace incipit::kernels::cuda
