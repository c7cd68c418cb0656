// A model's run as its tests look at it: every number between its steps.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/kv/page_table.h"
#include "engine/model/model.h"

namespace incipit::engine {

constexpr int32_t kContext = 512;

// Tokens of one sequence from `position` on; logits of every row.
inline ForwardBatch batch_of(const std::vector<TokenId>& tokens, int32_t position) {
  ForwardBatch batch;
  batch.tokens = tokens;
  for (size_t i = 0; i < tokens.size(); ++i) {
    batch.positions.push_back(position + static_cast<int32_t>(i));
    batch.sequence_of_row.push_back(0);
    batch.logit_rows.push_back(static_cast<int32_t>(i));
  }
  batch.page_table_stride = pages_for(kContext);
  // Backwards: nothing may depend on pages lying in order.
  for (int32_t page = batch.page_table_stride - 1; page >= 0; --page)
    batch.page_tables.push_back(page);
  return batch;
}

inline double norm(std::span<const float> values) {
  double sum = 0;
  for (float v : values) sum += double{v} * double{v};
  return std::sqrt(sum);
}

inline std::span<const float> row_of(const std::vector<float>& stage, size_t row, size_t hidden) {
  return std::span(stage).subspan(row * hidden, hidden);
}

struct ModelRun {
  std::vector<std::vector<float>> stages;  // [n_layers + 2][n_rows * hidden], the residual stream
  std::vector<std::vector<float>> logits;  // [n_rows][vocab], empty for rows before `first_row`
};

// Logits of the rows from `first_row` on.
inline ModelRun run_model(Model& model, const std::vector<TokenId>& tokens, size_t first_row) {
  ModelRun out;
  ForwardBatch batch = batch_of(tokens, 0);
  batch.on_hidden = [&](int stage, std::span<const float> values) {
    ASSERT_EQ(static_cast<size_t>(stage), out.stages.size());
    out.stages.emplace_back(values.begin(), values.end());
  };
  model.forward(batch);
  out.logits.resize(tokens.size());
  for (size_t row = first_row; row < tokens.size(); ++row) {
    const std::span<const float> logits = model.logits(static_cast<int32_t>(row));
    out.logits[row].assign(logits.begin(), logits.end());
  }
  return out;
}

}  // namespace incipit::engine
