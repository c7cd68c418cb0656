// What the attention kernels are given, the layout of their scratch, and how a query row of a block
// finds its place: query i of an item is row i / r, head i % r of its KV head's r query heads.
#pragma once

#include <cuda_runtime.h>

#include "kernels/cuda/attention.h"

namespace incipit::kernels::cuda {

struct AttentionArgs {
  const int32_t* positions;
  const int32_t* page_tables;
  int32_t page_table_stride;
  int32_t n_heads;
  int32_t n_kv_heads;
  int32_t heads_a_group;  // r
  const uint16_t* q;
  uint16_t* out;
  const uint16_t* k_pages;
  const uint16_t* v_pages;
  float scale_log2;  // scale * log2(e): weights are powers of two
  int32_t max_chunks;
  const AttentionItem* items;
  const int32_t* row_chunks;  // [n_rows]
  // Chunk results of (row, head), index (row * n_heads + head) * max_chunks + chunk.
  float* partial_out;     // [..., head_dim], not divided by the sum
  float2* partial_stats;  // largest score (base 2) and sum of weights
  int32_t* counters;      // [item, kv head], chunks that are done
  bool inputs_settled;    // StepInputs::kSettled
};

// Scratch: counters, then stats, then outputs, for kFlatAttentionRows rows of most_flat_chunks().
inline int64_t partial_slots(const AttentionLimits& limits) {
  return int64_t{kFlatAttentionRows} * limits.heads.n_heads * most_flat_chunks(limits.max_context);
}
inline int64_t stats_offset(const AttentionLimits& limits) {
  return round_up(int64_t{kFlatAttentionRows} * limits.heads.n_kv_heads * 4, 256);
}
inline int64_t partial_out_offset(const AttentionLimits& limits) {
  return stats_offset(limits) + round_up(partial_slots(limits) * 8, 256);
}

inline AttentionArgs attention_args(const CudaAttentionParams& params,
                                    const AttentionLimits& limits,
                                    const AttentionScratch& scratch) {
  AttentionArgs args = {};
  args.positions = params.rows.positions;
  args.page_tables = params.rows.page_tables;
  args.page_table_stride = params.rows.page_table_stride;
  args.n_heads = params.heads.n_heads;
  args.n_kv_heads = params.heads.n_kv_heads;
  args.heads_a_group = params.heads.n_heads / params.heads.n_kv_heads;
  args.q = params.q;
  args.out = params.out;
  args.k_pages = params.kv.k_pages;
  args.v_pages = params.kv.v_pages;
  args.scale_log2 = params.scale * 1.4426950408889634f;
  args.max_chunks = params.bounds.max_chunks;
  args.items = reinterpret_cast<const AttentionItem*>(params.plan);
  args.row_chunks =
      reinterpret_cast<const int32_t*>(params.plan + row_chunks_offset(params.rows.n_rows));
  args.counters = reinterpret_cast<int32_t*>(scratch.data);
  args.partial_stats = reinterpret_cast<float2*>(scratch.data + stats_offset(limits));
  args.partial_out = reinterpret_cast<float*>(scratch.data + partial_out_offset(limits));
  args.inputs_settled = params.inputs == StepInputs::kSettled;
  return args;
}

// Merges the chunks of all (row, head) that have more than one; a kernel of its own, for steps
// whose rows are too many for the last block of each item. In flat_attention.cu.
void merge_attention_chunks(const AttentionArgs& args, int32_t n_rows, int32_t head_dim,
                            const LaunchContext& context);

// Dynamic shared memory of a kernel, and the same split of L1 for all: a multiprocessor must run
// empty before it changes the split, which would undo dependent launches.
template <class Kernel>
void allow_shared(Kernel* kernel, int bytes) {
  const auto* const function = reinterpret_cast<const void*>(kernel);
  CUDA_CHECK(cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  CUDA_CHECK(cudaFuncSetAttribute(function, cudaFuncAttributePreferredSharedMemoryCarveout,
                                  cudaSharedmemCarveoutMaxShared));
}

#ifdef __CUDACC__

struct QueryRow {
  int32_t row = -1;  // -1: past the item's last
  int32_t head = 0;
  int32_t position = -1;
};

__device__ __forceinline__ QueryRow query_row(const AttentionArgs& args, const AttentionItem& item,
                                              int kv_head, int query) {
  const int in_item = query / args.heads_a_group;
  if (in_item >= item.n_rows) return {};
  QueryRow result;
  result.row = item.first_row + in_item;
  result.head = kv_head * args.heads_a_group + query - in_item * args.heads_a_group;
  result.position = args.positions[result.row];
  return result;
}

__device__ __forceinline__ int64_t head_index(const AttentionArgs& args, const QueryRow& query) {
  return int64_t{query.row} * args.n_heads + query.head;
}

// First value of a KV head in a page.
template <int kHeadDim>
__device__ __forceinline__ int64_t page_offset(const AttentionArgs& args, int page, int kv_head) {
  return (int64_t{page} * args.n_kv_heads + kv_head) * (kPageTokens * kHeadDim);
}

#endif

}  // namespace incipit::kernels::cuda
