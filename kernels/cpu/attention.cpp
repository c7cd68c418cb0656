#include "kernels/cpu/attention.h"

#include <algorithm>

#include "kernels/common/check.h"
#include "kernels/common/math.h"

namespace incipit::kernels {

namespace scalar {
extern const AttentionKernels kAttentionKernels;
}
#if defined(__x86_64__)
namespace avx2 {
extern const AttentionKernels kAttentionKernels;
}
namespace avx512 {
extern const AttentionKernels kAttentionKernels;
}
#endif

static_assert(kChunkTokens % kPageTokens == 0 && kSegmentTokens % kChunkTokens == 0);

namespace {

// A row of 32 heads can be split at 16k tokens of context; beyond, it is shared out by KV head
// only.
constexpr int32_t kMaxSegmentSums = 2048;

int32_t segments_of(int32_t last_position) {
  return last_position / kSegmentTokens + 1;
}

}  // namespace

const AttentionKernels& attention_kernels_for(Isa isa) {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::kAvx2:
      return avx2::kAttentionKernels;
    case Isa::kAvx512:
      return avx512::kAttentionKernels;
#endif
    default:
      return scalar::kAttentionKernels;
  }
}

PagedAttention::PagedAttention(Isa isa, int32_t max_rows, const HeadShape& heads)
    : kernels_(attention_kernels_for(isa)), heads_(heads) {
  CHECK(heads.head_dim == 64 || heads.head_dim == 128);
  CHECK(heads.n_kv_heads > 0 && heads.n_heads % heads.n_kv_heads == 0);
  // The most items come of rows that are all in different sequences.
  const int64_t items_per_row = ceil_div(heads.n_heads / heads.n_kv_heads, kMaxTaskQueries);
  items_.reserve(static_cast<size_t>(max_rows * items_per_row * heads.n_kv_heads));
  split_items_.reserve(kMaxSegmentSums);
  segment_sums_.resize(kMaxSegmentSums);
}

void PagedAttention::plan_run(const AttentionParams& params, int32_t row_begin, int32_t row_end) {
  const int32_t group = heads_.n_heads / heads_.n_kv_heads;
  // Whole rows while a row's heads fit, so that tiles end at rows.
  const int32_t step = group <= kMaxTaskQueries ? kMaxTaskQueries / group * group : kMaxTaskQueries;
  const int32_t n_queries = (row_end - row_begin) * group;
  for (int32_t begin = 0; begin < n_queries; begin += step) {
    const int32_t end = std::min(begin + step, n_queries);
    int32_t last_position = 0;
    for (int32_t row = begin / group; row <= (end - 1) / group; ++row) {
      last_position = std::max(last_position, params.rows.positions[row_begin + row]);
    }
    for (int32_t kv_head = 0; kv_head < heads_.n_kv_heads; ++kv_head) {
      items_.push_back({row_begin, row_end - row_begin, kv_head, begin, end, 0,
                        segments_of(last_position), int64_t{end - begin} * (last_position + 1), 0});
    }
  }
}

void PagedAttention::plan(const AttentionParams& params) {
  items_.clear();
  const RowBatch& rows = params.rows;
  for (int32_t begin = 0; begin < rows.n_rows;) {
    int32_t end = begin + 1;
    while (end < rows.n_rows && rows.sequence_of_row[end] == rows.sequence_of_row[begin]) ++end;
    plan_run(params, begin, end);
    begin = end;
  }
}

void PagedAttention::split_into_segments() {
  split_items_.clear();
  int64_t n_sums = 0;
  for (const Item& item : items_) {
    n_sums += int64_t{item.segment_end} * (item.query_end - item.query_begin);
  }
  if (n_sums > kMaxSegmentSums) return;
  int32_t next_sum = 0;
  for (Item& item : items_) {
    item.segment_sum = next_sum;
    for (int32_t segment = 0; segment < item.segment_end; ++segment) {
      Item part = item;
      part.segment_begin = segment;
      part.segment_end = segment + 1;
      part.segment_sum = next_sum;
      split_items_.push_back(part);
      next_sum += item.query_end - item.query_begin;
    }
  }
}

AttentionTask PagedAttention::task_of(const AttentionParams& params, const Item& item) {
  const RowBatch& rows = params.rows;
  const int64_t group = heads_.n_heads / heads_.n_kv_heads;
  const int64_t row_stride = int64_t{heads_.n_heads} * heads_.head_dim;
  const int64_t first = item.row_begin * row_stride + item.kv_head * group * heads_.head_dim;
  const int64_t head_size = int64_t{heads_.head_dim} * kPageTokens;
  AttentionTask task{};
  task.q = params.q + first;
  task.out = params.out + first;
  task.row_stride = row_stride;
  task.group = static_cast<int32_t>(group);
  task.query_begin = item.query_begin;
  task.query_end = item.query_end;
  task.positions = rows.positions + item.row_begin;
  task.page_table =
      rows.page_tables + int64_t{rows.sequence_of_row[item.row_begin]} * rows.page_table_stride;
  task.k = params.kv.k_pages + item.kv_head * head_size;
  task.v = params.kv.v_pages + item.kv_head * head_size;
  task.page_stride = heads_.n_kv_heads * head_size;
  task.head_dim = heads_.head_dim;
  task.scale = params.scale;
  task.segment_begin = item.segment_begin;
  task.segment_end = item.segment_end;
  return task;
}

void PagedAttention::merge(const AttentionParams& params, const Item& item) {
  const AttentionTask task = task_of(params, item);
  const int32_t n_queries = item.query_end - item.query_begin;
  for (int32_t i = 0; i < n_queries; ++i) {
    const int32_t query = item.query_begin + i;
    float* const out = task.out + query / task.group * task.row_stride +
                       int64_t{query % task.group} * task.head_dim;
    kernels_.merge(&segment_sums_[static_cast<size_t>(item.segment_sum + i)], n_queries,
                   item.segment_end, task.head_dim, out);
  }
}

void PagedAttention::run(const AttentionParams& params, ThreadPool& pool) {
  CHECK_EQ(params.heads.n_heads, heads_.n_heads);
  CHECK_EQ(params.heads.n_kv_heads, heads_.n_kv_heads);
  CHECK_EQ(params.heads.head_dim, heads_.head_dim);
  plan(params);
  CHECK_LE(items_.size(), items_.capacity());
  split_items_.clear();
  if (pool.n_threads() > 1 && items_.size() < 2 * static_cast<size_t>(pool.n_threads())) {
    split_into_segments();
  }
  const bool split = split_items_.size() > items_.size();
  std::vector<Item>& shared = split ? split_items_ : items_;
  // The longest first: what is handed out last should be short.
  if (!split) {
    std::sort(items_.begin(), items_.end(),
              [](const Item& a, const Item& b) { return a.cost > b.cost; });
  }
  pool.parallel_for(static_cast<int64_t>(shared.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Item& item = shared[static_cast<size_t>(i)];
      AttentionTask task = task_of(params, item);
      if (split) task.segment_sums = &segment_sums_[static_cast<size_t>(item.segment_sum)];
      kernels_.attend(task);
    }
  });
  if (!split) return;
  for (const Item& item : items_) merge(params, item);
}

}  // namespace incipit::kernels
