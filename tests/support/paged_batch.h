// A batch over paged keys and values for attention tests: several sequences, pages dealt out in
// random order, everything that no row may see filled with the largest fp16 values, and page tables
// that hold an impossible page beyond a sequence's last one.
#pragma once

#include <algorithm>
#include <numeric>

#include "kernels/step_params.h"
#include "tests/support/kernel_inputs.h"

namespace incipit::kernels {

// Positions first .. first + n_rows - 1 of sequence `sequence`.
struct RowRun {
  int32_t sequence;
  int32_t first;
  int32_t n_rows;
};

struct PagedBatch {
  HeadShape heads;
  std::vector<int32_t> positions;
  std::vector<int32_t> sequence_of_row;
  std::vector<int32_t> page_tables;
  int32_t page_table_stride = 0;
  int32_t n_pages = 0;
  std::vector<uint16_t> k_pages, v_pages;

  int32_t n_rows() const { return static_cast<int32_t>(positions.size()); }
  int64_t head_size() const { return int64_t{heads.head_dim} * kPageTokens; }
  int64_t page_size() const { return heads.n_kv_heads * head_size(); }
  RowBatch rows() const {
    return {n_rows(), positions.data(), sequence_of_row.data(), page_tables.data(),
            page_table_stride};
  }
  KvLayerView kv() { return {k_pages.data(), v_pages.data()}; }
  int32_t page_of(int32_t sequence, int32_t position) const {
    return page_tables[static_cast<size_t>(sequence * page_table_stride + position / kPageTokens)];
  }
  // Of the value d of a token in k_pages and in v_pages.
  size_t k_index(int32_t sequence, int32_t kv_head, int32_t position, int32_t d) const {
    return static_cast<size_t>(page_of(sequence, position) * page_size() + kv_head * head_size() +
                               d * kPageTokens + position % kPageTokens);
  }
  size_t v_index(int32_t sequence, int32_t kv_head, int32_t position, int32_t d) const {
    return static_cast<size_t>(page_of(sequence, position) * page_size() + kv_head * head_size() +
                               position % kPageTokens * heads.head_dim + d);
  }
};

inline constexpr int32_t kNoSuchPage = 0x3fffffff;
inline constexpr uint16_t kLargestHalfBits = 0x7bff;

// Pages of a sequence reach to its last row; tokens up to there are random, all other slots hold
// +-65504.
inline PagedBatch make_batch(const HeadShape& heads, const std::vector<RowRun>& runs,
                             std::mt19937& random) {
  PagedBatch batch;
  batch.heads = heads;
  std::vector<int32_t> lengths;
  for (const RowRun& run : runs) {
    lengths.resize(std::max(lengths.size(), static_cast<size_t>(run.sequence) + 1), 0);
    int32_t& length = lengths[static_cast<size_t>(run.sequence)];
    length = std::max(length, run.first + run.n_rows);
    for (int32_t i = 0; i < run.n_rows; ++i) {
      batch.positions.push_back(run.first + i);
      batch.sequence_of_row.push_back(run.sequence);
    }
  }
  for (const int32_t length : lengths) {
    const auto n = static_cast<int32_t>(ceil_div(length, kPageTokens));
    batch.page_table_stride = std::max(batch.page_table_stride, n + 1);
    batch.n_pages += n;
  }
  batch.n_pages += 1;  // one that nobody owns
  std::vector<int32_t> pages(static_cast<size_t>(batch.n_pages));
  std::iota(pages.begin(), pages.end(), 0);
  std::shuffle(pages.begin(), pages.end(), random);
  batch.page_tables.assign(lengths.size() * static_cast<size_t>(batch.page_table_stride),
                           kNoSuchPage);
  const auto n_values = static_cast<size_t>(batch.n_pages * batch.page_size());
  batch.k_pages.resize(n_values);
  batch.v_pages.resize(n_values);
  for (size_t i = 0; i < n_values; ++i) {
    batch.k_pages[i] = static_cast<uint16_t>(kLargestHalfBits | (random() & 0x8000u));
    batch.v_pages[i] = static_cast<uint16_t>(kLargestHalfBits | (random() & 0x8000u));
  }
  std::normal_distribution<float> value(0.0f, 1.0f);
  for (size_t s = 0; s < lengths.size(); ++s) {
    const auto sequence = static_cast<int32_t>(s);
    for (int32_t t = 0; t < lengths[s]; ++t) {
      if (t % kPageTokens == 0) {
        batch.page_tables[s * static_cast<size_t>(batch.page_table_stride) +
                          static_cast<size_t>(t / kPageTokens)] = pages.back();
        pages.pop_back();
      }
      for (int32_t head = 0; head < heads.n_kv_heads; ++head) {
        for (int32_t d = 0; d < heads.head_dim; ++d) {
          batch.k_pages[batch.k_index(sequence, head, t, d)] = float_to_half(value(random));
          batch.v_pages[batch.v_index(sequence, head, t, d)] = float_to_half(value(random));
        }
      }
    }
  }
  return batch;
}

}  // namespace incipit::kernels
