// The per-ISA half of paged attention: one task is a few queries of one KV head over a range of its
// sequence's tokens. attention.cpp plans the tasks; the sources of attention_kernels.cpp are
// compiled once per ISA and reached through attention_kernels_for(). Plain data only: this header
// is seen by code compiled for different instruction sets.
#pragma once

#include <stdint.h>

#include "kernels/cpu/isa.h"

namespace incipit::kernels {

// Order of arithmetic of one query, whatever else is in the batch: its tokens are cut into segments
// of 256 and these into chunks of 64, both aligned at position 0. A chunk's scores move the running
// maximum of its segment once; tokens are added in ascending order; segments merge in ascending
// order. A token beyond the query's position adds exactly zero.
inline constexpr int kChunkTokens = 64;
inline constexpr int kSegmentTokens = 256;

// Queries that share the work of loading a page: enough to make the loads small beside the
// arithmetic, few enough that queries, sums and one chunk of K and V stay in the nearest caches.
inline constexpr int kMaxTaskQueries = 48;

inline constexpr int kMaxHeadDim = 128;

// What a segment leaves of one query: the state of its softmax and the weighted sum of V.
struct SegmentSum {
  float max;  // -inf: no token of the segment is visible
  float sum;
  alignas(64) float v[kMaxHeadDim];
};

struct AttentionTask {
  const float* q;      // [n_rows, row_stride], first row of the run, first head of the group
  float* out;          // same shape
  int64_t row_stride;  // n_heads * head_dim
  int32_t group;       // query heads of this KV head; query i is row i / group, head i % group
  int32_t query_begin, query_end;  // at most kMaxTaskQueries
  const int32_t* positions;        // [n_rows]
  const int32_t* page_table;       // of the rows' sequence
  const uint16_t* k;               // this KV head in page 0; pages lie page_stride apart
  const uint16_t* v;
  int64_t page_stride;
  int32_t head_dim;
  float scale;
  int32_t segment_begin, segment_end;
  SegmentSum* segment_sums;  // [segment_end - segment_begin, n_queries], or null: write to out
};

struct AttentionKernels {
  void (*attend)(const AttentionTask& task);
  // out[0 .. head_dim) from the sums of segments 0 .. n-1 of one query, `stride` apart.
  void (*merge)(const SegmentSum* sums, int64_t stride, int32_t n_segments, int32_t head_dim,
                float* out);
};

const AttentionKernels& attention_kernels_for(Isa isa);

}  // namespace incipit::kernels
