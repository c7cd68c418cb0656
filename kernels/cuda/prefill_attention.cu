// Attention of a step of more than kFlatRows rows: FlashAttention-2 (Dao 2023) over pages. Bound by
// the tensor cores.
//
// Grid [kv heads, items from the last (most keys) to the first, chunks], block 4 warps. A block has
// 128 queries: (row, head) pairs of one KV head, so a tile of 64 keys serves all its query heads; a
// warp has 32 of them, which reads a tile from shared memory half as often as 16 would. Keys and
// values have two tiles each in shared memory (96 KB with the queries at head_dim 128: one block on
// sm_86, two on sm_90, where two blocks hide each other's softmax). More than one chunk only if the
// items are too few blocks (plan_attention); then merge_attention_chunks() follows.
#include "kernels/common/check.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_args.cuh"
#include "kernels/cuda/attention_merge.cuh"
#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/pdl.cuh"
#include "kernels/cuda/vector_load.cuh"

namespace incipit::kernels::cuda {

namespace {

constexpr int kThreads = 128;
constexpr int kQueries = 128;
constexpr int kBlockKeys = 64;
constexpr int kBlockPages = kBlockKeys / kPageTokens;

template <int kHeadDim>
constexpr int kQueryBytes = kQueries* kHeadDim * 2;
template <int kHeadDim>
constexpr int kTileBytes = kBlockKeys* kHeadDim * 2;
template <int kHeadDim>
constexpr int kSharedBytes = kQueryBytes<kHeadDim> + 4 * kTileBytes<kHeadDim>;

template <int kHeadDim>
__device__ __forceinline__ void load_queries(const AttentionArgs& args, const AttentionItem& item,
                                             int kv_head, uint32_t to) {
  constexpr int kUnits = kHeadDim / 8;
#pragma unroll 4
  for (int n = 0; n < kQueries * kUnits / kThreads; ++n) {
    const int unit = static_cast<int>(threadIdx.x) + n * kThreads;
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

template <int kHeadDim>
__device__ __forceinline__ void load_tile(const AttentionArgs& args, const uint16_t* from,
                                          const TilePages& pages, int kv_head, uint32_t to) {
  constexpr int kUnits = kHeadDim / 8;
  constexpr int kPageUnits = kPageTokens * kUnits;
#pragma unroll
  for (int i = 0; i < kBlockPages; ++i) {
    const uint16_t* const page = from + page_offset<kHeadDim>(args, pages.ids[i], kv_head);
#pragma unroll
    for (int n = 0; n < kPageUnits / kThreads; ++n) {
      const int unit = static_cast<int>(threadIdx.x) + n * kThreads;
      copy_async(
          to + i * kPageTokens * kHeadDim * 2 + swizzled<kHeadDim>(unit / kUnits, unit % kUnits),
          page + unit * 8);
    }
  }
  copy_async_commit();
}

// A warp's 32 queries: two tiles of 16, and what has been summed up for them.
template <int kHeadDim>
struct WarpRows {
  int positions[2][2];  // of rows g and g + 8 of each tile; -1: no row
  SoftmaxState state[2];
  float out[2][kHeadDim / 8][4] = {};
};

template <int kHeadDim>
__device__ __forceinline__ void score_rows(uint32_t queries, uint32_t keys,
                                           float (&scores)[2][kBlockKeys / 8][4]) {
#pragma unroll
  for (int step = 0; step < kHeadDim / 16; ++step) {
    uint32_t q[2][4];
#pragma unroll
    for (int m = 0; m < 2; ++m) {
      load_matrices(q[m], (queries + m * 16 * kHeadDim * 2) ^ (step << 5));
    }
#pragma unroll
    for (int page = 0; page < kBlockPages; ++page) {
      uint32_t k[4];
      load_matrices(k, (keys + page * kPageTokens * kHeadDim * 2) ^ (step << 5));
#pragma unroll
      for (int m = 0; m < 2; ++m) {
        mma_16x8x16(scores[m][2 * page], q[m], k[0], k[1]);
        mma_16x8x16(scores[m][2 * page + 1], q[m], k[2], k[3]);
      }
    }
  }
}

// out += weights v
template <int kHeadDim>
__device__ __forceinline__ void add_block_values(uint32_t values,
                                                 const uint32_t (&weights)[2][kBlockPages][4],
                                                 float (&out)[2][kHeadDim / 8][4]) {
#pragma unroll
  for (int page = 0; page < kBlockPages; ++page) {
#pragma unroll
    for (int step = 0; step < kHeadDim / 16; ++step) {
      uint32_t v[4];
      load_matrices_transposed(v, (values + page * kPageTokens * kHeadDim * 2) ^ (step << 5));
#pragma unroll
      for (int m = 0; m < 2; ++m) {
        mma_16x8x16(out[m][2 * step], weights[m][page], v[0], v[1]);
        mma_16x8x16(out[m][2 * step + 1], weights[m][page], v[2], v[3]);
      }
    }
  }
}

template <int kHeadDim>
__device__ __forceinline__ void soften(float scale_log2, int first_key, bool is_masked,
                                       float (&scores)[2][kBlockKeys / 8][4],
                                       WarpRows<kHeadDim>& rows,
                                       uint32_t (&weights)[2][kBlockPages][4]) {
#pragma unroll
  for (int m = 0; m < 2; ++m) {
    if (is_masked) mask_scores(scores[m], first_key, rows.positions[m]);
    rescale(rows.out[m], update_softmax(scores[m], scale_log2, rows.state[m]));
#pragma unroll
    for (int page = 0; page < kBlockPages; ++page) {
      weights_of(scores[m][2 * page], scores[m][2 * page + 1], weights[m][page]);
    }
  }
}

template <int kHeadDim>
__device__ __forceinline__ void store_rows(const AttentionArgs& args, const AttentionItem& item,
                                           int kv_head, int chunk, int first_key,
                                           const WarpRows<kHeadDim>& rows) {
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float sum = row_sum(rows.state[m].sum[half]);
      const int query = static_cast<int>(threadIdx.x) / 32 * 32 + m * 16 + half * 8 +
                        static_cast<int>(threadIdx.x & 31) / 4;
      const QueryRow row = query_row(args, item, kv_head, query);
      store_chunk<kHeadDim, kHeadDim / 8>(args, row, half, rows.out[m],
                                          rows.state[m].largest[half] * args.scale_log2, sum, chunk,
                                          first_key);
    }
  }
}

template <int kHeadDim>
__global__ __launch_bounds__(kThreads, 2) void prefill_attention_kernel(
    const __grid_constant__ AttentionArgs args) {
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
  const uint32_t values = keys + 2 * kTileBytes<kHeadDim>;
  const TilePages pages = find_pages(table, first_key / kPageTokens, last_page);
  load_queries<kHeadDim>(args, item, kv_head, shared);
  load_tile<kHeadDim>(args, args.k_pages, pages, kv_head, keys);
  load_tile<kHeadDim>(args, args.v_pages, pages, kv_head, values);

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
    const uint32_t next_buffer = kTileBytes<kHeadDim> - buffer;
    copy_async_wait<1>();
    __syncthreads();  // the tile's keys (and the queries) are there; the last tile has been read
    if (has_next) {
      const TilePages next = find_pages(table, (key + kBlockKeys) / kPageTokens, last_page);
      load_tile<kHeadDim>(args, args.k_pages, next, kv_head, keys + next_buffer);
    } else {
      copy_async_commit();
    }
    // A warp whose rows all end before this tile only helps with loading.
    const bool sees_tile = key <= highest;
    uint32_t weights[2][kBlockPages][4];
    if (sees_tile) {
      float scores[2][kBlockKeys / 8][4] = {};
      score_rows<kHeadDim>(shared + first_query * kHeadDim * 2 + value_lane_offset<kHeadDim>(lane),
                           keys + buffer + key_lane_offset<kHeadDim>(lane), scores);
      soften<kHeadDim>(args.scale_log2, key, key + kBlockKeys > item.lowest_position, scores, rows,
                       weights);
    }
    copy_async_wait<1>();
    __syncthreads();  // the tile's values are there
    if (has_next) {
      const TilePages next = find_pages(table, (key + kBlockKeys) / kPageTokens, last_page);
      load_tile<kHeadDim>(args, args.v_pages, next, kv_head, values + next_buffer);
    } else {
      copy_async_commit();
    }
    if (sees_tile) {
      add_block_values<kHeadDim>(values + buffer + value_lane_offset<kHeadDim>(lane), weights,
                                 rows.out);
    }
    buffer = next_buffer;
  }
  store_rows<kHeadDim>(args, item, kv_head, chunk, first_key, rows);
}

template <int kHeadDim>
void launch_prefill(const AttentionArgs& args, const AttentionBounds& bounds,
                    const LaunchContext& context) {
  const dim3 grid(static_cast<uint32_t>(args.n_kv_heads), static_cast<uint32_t>(bounds.max_items),
                  static_cast<uint32_t>(bounds.max_chunks));
  launch(context, &prefill_attention_kernel<kHeadDim>, grid, dim3(kThreads), kSharedBytes<kHeadDim>,
         args);
}

}  // namespace

void prepare_prefill_attention();  // called by prepare_attention(), flat_attention.cu
void prepare_prefill_attention() {
  allow_shared(&prefill_attention_kernel<64>, kSharedBytes<64>);
  allow_shared(&prefill_attention_kernel<128>, kSharedBytes<128>);
}

void prefill_attention(const CudaAttentionParams& params, const AttentionLimits& limits,
                       const AttentionScratch& scratch, const LaunchContext& context) {
  CHECK(params.heads.head_dim == 64 || params.heads.head_dim == 128);
  CHECK_EQ(params.bounds.block_queries, kQueries);
  if (params.bounds.max_items == 0) return;
  const AttentionArgs args = attention_args(params, limits, scratch);
  if (params.heads.head_dim == 128) {
    launch_prefill<128>(args, params.bounds, context);
  } else {
    launch_prefill<64>(args, params.bounds, context);
  }
  if (params.bounds.max_chunks > 1) {
    merge_attention_chunks(args, params.rows.n_rows, params.heads.head_dim, context);
  }
}

}  // namespace incipit::kernels::cuda
