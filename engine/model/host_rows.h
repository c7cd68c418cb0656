// HostRows: what backends in host memory share: a step's inputs are the batch itself, and rows are
// moved by hand. Owned by a backend; engine thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <numeric>
#include <vector>

#include "engine/model/backend.h"

namespace incipit::engine {

// n runs of n_bytes, `stride` bytes from one to the next.
inline void copy_runs(void* to, const void* from, int64_t n_bytes, int64_t stride, int32_t n) {
  if (n_bytes <= 0) return;
  for (int32_t i = 0; i < n; ++i)
    std::memcpy(static_cast<std::byte*>(to) + i * stride,
                static_cast<const std::byte*>(from) + i * stride, static_cast<size_t>(n_bytes));
}

class HostRows {
 public:
  explicit HostRows(int32_t max_logit_rows)
      : positions_(static_cast<size_t>(max_logit_rows)),
        sequences_(positions_.size()),
        order_(positions_.size()) {
    std::iota(order_.begin(), order_.end(), 0);
  }

  static StepInputs inputs_of(const ForwardBatch& batch) {
    StepInputs inputs;
    inputs.rows = {batch.n_rows(), batch.positions.data(), batch.sequence_of_row.data(),
                   batch.page_tables.data(), batch.page_table_stride};
    inputs.token_ids = batch.tokens.data();
    inputs.logit_rows = batch.logit_rows.data();
    inputs.n_logit_rows = static_cast<int32_t>(batch.logit_rows.size());
    return inputs;
  }

  // The rows with logits move to the front.
  void keep_logit_rows(const ForwardBatch& batch, const RowWidths& widths, StepInputs& inputs,
                       StepRows<float>& rows) {
    for (int32_t i = 0; i < inputs.n_logit_rows; ++i) {
      const int32_t row = batch.logit_rows[static_cast<size_t>(i)];  // ascending, so row >= i
      positions_[static_cast<size_t>(i)] = batch.positions[static_cast<size_t>(row)];
      sequences_[static_cast<size_t>(i)] = batch.sequence_of_row[static_cast<size_t>(row)];
      if (row == i) continue;
      move_up(rows.x, widths.hidden, i, row);
      move_up(rows.q, widths.attention, i, row);
    }
    inputs.rows.n_rows = inputs.n_logit_rows;
    inputs.rows.positions = positions_.data();
    inputs.rows.sequence_of_row = sequences_.data();
    inputs.logit_rows = order_.data();
  }

 private:
  static void move_up(float* rows, int64_t width, int32_t to, int32_t from) {
    copy_runs(rows + to * width, rows + from * width, width * static_cast<int64_t>(sizeof(float)),
              0, 1);
  }

  // Of the rows that are kept.
  std::vector<int32_t> positions_;
  std::vector<int32_t> sequences_;
  std::vector<int32_t> order_;  // 0, 1, 2, ...: where the rows are then
};

}  // namespace incipit::engine
