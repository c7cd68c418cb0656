#include "kernels/cuda/attention_plan.h"

#include <algorithm>

#include "kernels/common/check.h"

namespace incipit::kernels::cuda {

namespace {

constexpr int32_t kDecodeQueries = 16;  // one m16 tile of the tensor cores
constexpr int32_t kMixedQueries = 64;
constexpr int32_t kPrefillQueries = 128;
// Blocks that keep a large device busy (two on each of 132 multiprocessors), and the fewest keys
// that are worth a block of their own. A smaller device only gets more waves.
constexpr int64_t kWantedPrefillBlocks = 264;
constexpr int64_t kLeastPrefillChunk = 512;

struct StepRows {
  std::span<const int32_t> positions;
  std::span<const int32_t> sequences;
  int32_t size() const { return static_cast<int32_t>(positions.size()); }
  int32_t position(int32_t row) const { return positions[static_cast<size_t>(row)]; }
  int32_t sequence(int32_t row) const { return sequences[static_cast<size_t>(row)]; }
  bool is_flat() const { return size() <= kFlatAttentionRows; }
  // Whether `row` may share a block with the row before it.
  bool continues(int32_t row) const {
    if (position(row - 1) < 0 || sequence(row) != sequence(row - 1)) return false;
    return !is_flat() || flat_chunk_tokens(position(row)) == flat_chunk_tokens(position(row - 1));
  }
};

int32_t longest_run(const StepRows& rows) {
  int32_t longest = 0;
  int32_t run = 0;
  for (int32_t row = 0; row < rows.size(); ++row) {
    if (rows.position(row) < 0) {
      run = 0;
      continue;
    }
    run = row > 0 && rows.continues(row) ? run + 1 : 1;
    longest = std::max(longest, run);
  }
  return longest;
}

int32_t choose_block_queries(const StepRows& rows, int32_t heads_a_group) {
  if (!rows.is_flat()) return kPrefillQueries;
  return longest_run(rows) * heads_a_group <= kDecodeQueries ? kDecodeQueries : kMixedQueries;
}

// Items without their chunks and settled keys; returns how many.
int32_t make_items(const StepRows& rows, int32_t rows_a_block, AttentionItem* items) {
  int32_t n_items = 0;
  for (int32_t row = 0; row < rows.size(); ++row) {
    const int32_t position = rows.position(row);
    if (position < 0) continue;
    const bool joins = row > 0 && rows.continues(row) && items[n_items - 1].n_rows < rows_a_block;
    if (!joins) {
      items[n_items] = {};
      items[n_items].first_row = row;
      items[n_items].sequence = rows.sequence(row);
      items[n_items].lowest_position = position;
      n_items += 1;
    }
    AttentionItem& item = items[n_items - 1];
    item.n_rows += 1;
    item.n_keys = std::max(item.n_keys, position + 1);
    item.lowest_position = std::min(item.lowest_position, position);
  }
  return n_items;
}

// Keys of a block of a prefill step: all of them, unless its items are too few blocks and the
// scratch for partial results (as much as flat attention needs) has room.
int32_t prefill_chunk_tokens(const AttentionLimits& limits, int32_t n_rows, int32_t n_items,
                             int32_t n_keys) {
  const int64_t n_blocks = int64_t{std::max(n_items, 1)} * limits.heads.n_kv_heads;
  const int64_t room = int64_t{kFlatAttentionRows} * most_flat_chunks(limits.max_context) / n_rows;
  const int64_t n_chunks = std::min({int64_t{kMaxChunks}, room, kWantedPrefillBlocks / n_blocks,
                                     ceil_div(n_keys, kLeastPrefillChunk)});
  return static_cast<int32_t>(round_up(ceil_div(n_keys, std::max<int64_t>(n_chunks, 1)), 64));
}

void settle_keys(AttentionItem* items, int32_t n_items) {
  for (int32_t i = 0; i < n_items; ++i) {
    items[i].n_settled_keys = items[i].lowest_position;
    for (int32_t k = 0; k < n_items; ++k) {
      if (items[k].sequence != items[i].sequence) continue;
      items[i].n_settled_keys = std::min(items[i].n_settled_keys, items[k].lowest_position);
    }
  }
}

}  // namespace

AttentionBounds plan_attention(const AttentionLimits& limits, std::span<const int32_t> positions,
                               std::span<const int32_t> sequence_of_row, std::byte* plan) {
  CHECK_EQ(positions.size(), sequence_of_row.size());
  CHECK_LE(positions.size(), static_cast<size_t>(limits.max_rows));
  const StepRows rows = {positions, sequence_of_row};
  const int32_t heads_a_group = limits.heads.n_heads / limits.heads.n_kv_heads;
  CHECK_LE(heads_a_group, kMixedQueries);
  auto* const items = reinterpret_cast<AttentionItem*>(plan);
  auto* const row_chunks = reinterpret_cast<int32_t*>(plan + row_chunks_offset(rows.size()));

  AttentionBounds bounds;
  bounds.block_queries = choose_block_queries(rows, heads_a_group);
  const int32_t n_items = make_items(rows, bounds.block_queries / heads_a_group, items);
  settle_keys(items, n_items);
  int32_t longest = 0;
  for (int32_t i = 0; i < n_items; ++i) longest = std::max(longest, items[i].n_keys);
  CHECK_LE(longest, limits.max_context);
  const int32_t prefill_chunk =
      rows.is_flat() ? 0 : prefill_chunk_tokens(limits, rows.size(), n_items, longest);

  std::fill_n(row_chunks, rows.size(), 0);
  int32_t most_chunks = 1;
  for (int32_t i = 0; i < n_items; ++i) {
    AttentionItem& item = items[i];
    item.chunk_tokens = rows.is_flat() ? flat_chunk_tokens(item.lowest_position) : prefill_chunk;
    for (int32_t row = item.first_row; row < item.first_row + item.n_rows; ++row) {
      row_chunks[row] = static_cast<int32_t>(ceil_div(rows.position(row) + 1, item.chunk_tokens));
      most_chunks = std::max(most_chunks, row_chunks[row]);
    }
  }
  bounds.max_items = rows.is_flat() ? next_power_of_two(n_items) : n_items;
  bounds.max_chunks = rows.is_flat() ? next_power_of_two(most_chunks) : most_chunks;
  std::fill_n(items + n_items, std::max(bounds.max_items - n_items, 0), AttentionItem{});
  return bounds;
}

}  // namespace incipit::kernels::cuda
