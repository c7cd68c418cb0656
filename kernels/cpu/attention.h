// Paged causal attention on the CPU: cuts a batch into tasks, shares them out, merges. Owned by
// CpuSteps, used on the engine thread; its memory is taken once.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/common/thread_pool.h"
#include "kernels/cpu/attention_kernels.h"
#include "kernels/cpu/isa.h"
#include "kernels/step_params.h"

namespace incipit::kernels {

class PagedAttention {
 public:
  PagedAttention(Isa isa, int32_t max_rows, const HeadShape& heads);

  // out = attention, bit-identical for a row whatever the other rows and the threads are.
  void run(const AttentionParams& params, ThreadPool& pool);

 private:
  // Rows row_begin .. of one sequence, some of their queries of one KV head, some segments.
  struct Item {
    int32_t row_begin;
    int32_t n_rows;
    int32_t kv_head;
    int32_t query_begin, query_end;  // in row-major order of (row, head of the group)
    int32_t segment_begin, segment_end;
    int64_t cost;         // query-token pairs
    int32_t segment_sum;  // index of its first SegmentSum when split
  };

  void plan(const AttentionParams& params);
  void plan_run(const AttentionParams& params, int32_t row_begin, int32_t row_end);
  void split_into_segments();
  AttentionTask task_of(const AttentionParams& params, const Item& item);
  void merge(const AttentionParams& params, const Item& item);

  const AttentionKernels& kernels_;
  HeadShape heads_;
  std::vector<Item> items_;
  std::vector<Item> split_items_;  // one a segment, made of items_ when these are too few to share
  std::vector<SegmentSum> segment_sums_;
};

}  // namespace incipit::kernels
