#include "kernels/cuda/step_inputs.h"

#include <algorithm>
#include <cstring>

#include "kernels/common/check.h"
#include "kernels/common/math.h"

namespace incipit::kernels::cuda {

namespace {

constexpr int64_t kHalfBytes = 2;
constexpr int64_t kIntBytes = sizeof(int32_t);

}  // namespace

InputLayout::InputLayout(const CudaStepLimits& limits, int32_t max_rows) {
  const auto place = [this](int64_t n_bytes) {
    const int64_t at = size;
    size = round_up(size + n_bytes, 64);
    return at;
  };
  tables = place(kIntBytes * limits.max_sequences * limits.max_pages);
  positions = place(kIntBytes * max_rows);
  sequences = place(kIntBytes * max_rows);
  logit_rows = place(kIntBytes * limits.max_logit_rows);
  plan = place(attention_plan_bytes(attention_limits(limits, max_rows)));
  if (max_rows > kFlatRows) {
    kept_positions = place(kIntBytes * kFlatRows);
    kept_sequences = place(kIntBytes * kFlatRows);
    kept_order = place(kIntBytes * kFlatRows);
    kept_plan = place(attention_plan_bytes(attention_limits(limits, kFlatRows)));
  }
  embeddings = place(kHalfBytes * max_rows * limits.hidden);
}

InputWriter::InputWriter(const CudaStepLimits& limits, const InputLayout& layout,
                         const HostStep& step, std::byte* to)
    : limits_(limits), layout_(layout), step_(step), to_(to) {
  if (step.page_table_stride > 0) {
    n_sequences_ = static_cast<int32_t>(step.page_tables.size()) / step.page_table_stride;
  }
  CHECK_LE(n_sequences_, limits.max_sequences);
  CHECK_LE(step.page_table_stride, limits.max_pages);
}

int64_t InputWriter::unused_bytes() const {
  return layout_.tables +
         kIntBytes * (limits_.max_sequences - n_sequences_) * int64_t{limits_.max_pages};
}

void InputWriter::write_tables() const {
  std::byte* table = to_ + unused_bytes();
  for (int32_t s = 0; s < n_sequences_; ++s) {
    std::memcpy(table, step_.page_tables.data() + int64_t{s} * step_.page_table_stride,
                static_cast<size_t>(step_.page_table_stride * kIntBytes));
    table += limits_.max_pages * kIntBytes;
  }
}

AttentionBounds InputWriter::write_rows(int32_t n_padded) const {
  const auto n = static_cast<int32_t>(step_.positions.size());
  int32_t* const positions = ints(layout_.positions);
  int32_t* const sequences = ints(layout_.sequences);
  for (int32_t i = 0; i < n_padded; ++i) write_row(i < n ? i : -1, positions + i, sequences + i);
  return plan(n_padded, positions, sequences, layout_.plan);
}

void InputWriter::write_logit_rows(int32_t n_padded) const {
  int32_t* const rows = ints(layout_.logit_rows);
  for (int32_t i = 0; i < n_padded; ++i) rows[i] = logit_row(i);
}

AttentionBounds InputWriter::write_kept_rows(int32_t n_padded) const {
  const auto n = static_cast<int32_t>(step_.logit_rows.size());
  int32_t* const positions = ints(layout_.kept_positions);
  int32_t* const sequences = ints(layout_.kept_sequences);
  for (int32_t i = 0; i < n_padded; ++i) {
    write_row(i < n ? logit_row(i) : -1, positions + i, sequences + i);
    ints(layout_.kept_order)[i] = std::min(i, n - 1);
  }
  return plan(n_padded, positions, sequences, layout_.kept_plan);
}

void InputWriter::write_embeddings(int32_t n_padded) const {
  const auto row_bytes = static_cast<size_t>(limits_.hidden * kHalfBytes);
  std::byte* row = to_ + layout_.embeddings;
  for (const int32_t token : step_.token_ids) {
    DCHECK(token >= 0 && token < limits_.vocab);
    std::memcpy(row, step_.embedding + int64_t{token} * limits_.hidden, row_bytes);
    row += row_bytes;
  }
  std::memset(row, 0, row_bytes * (static_cast<size_t>(n_padded) - step_.token_ids.size()));
}

int32_t InputWriter::logit_row(int32_t i) const {
  return step_.logit_rows[std::min(static_cast<size_t>(i), step_.logit_rows.size() - 1)];
}

void InputWriter::write_row(int32_t row, int32_t* position, int32_t* sequence) const {
  const auto r = static_cast<size_t>(row);
  const int32_t first_table = limits_.max_sequences - n_sequences_;
  *position = row < 0 ? -1 : step_.positions[r];
  *sequence = row < 0 ? limits_.max_sequences - 1 : first_table + step_.sequence_of_row[r];
}

AttentionBounds InputWriter::plan(int32_t n_rows, const int32_t* positions,
                                  const int32_t* sequences, int64_t offset) const {
  const auto n = static_cast<size_t>(n_rows);
  return plan_attention(attention_limits(limits_, limits_.max_rows), {positions, n}, {sequences, n},
                        to_ + offset);
}

}  // namespace incipit::kernels::cuda
