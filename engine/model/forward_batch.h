// One step of the model: any mix of decoding rows and prefill chunks of several sequences,
// flattened to rows.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/base/ids.h"

namespace incipit::engine {

struct ForwardBatch {
  std::vector<TokenId> tokens;           // [n_rows]
  std::vector<int32_t> positions;        // [n_rows], absolute position in the row's sequence
  std::vector<int32_t> sequence_of_row;  // [n_rows], index of its page table
  std::vector<int32_t> page_tables;      // [n_sequences, page_table_stride]
  int32_t page_table_stride = 0;
  std::vector<int32_t> logit_rows;  // rows whose next-token candidates are wanted, ascending

  // Asked between the layers of a step, where its backend can end one early: true, and forward()
  // gives the step up. Null: it runs to its end.
  std::function<bool()> is_unwanted;

  // Tests only: called with the residual stream [n_rows, hidden] after the embedding (0), after
  // each block (1..n_layers), and once more with the final-norm rows of logit_rows (n_layers + 1).
  std::function<void(int stage, std::span<const float> values)> on_hidden;

  int32_t n_rows() const { return static_cast<int32_t>(tokens.size()); }
};

}  // namespace incipit::engine
