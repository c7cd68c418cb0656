// What the host decides about a step's attention before it is launched: which rows share a block
// (items), and into how many chunks their keys are cut. Plain C++, no CUDA call; engine thread.
//
// Flat attention (steps of up to kFlatAttentionRows rows): the chunk size follows from a row's
// position alone, so that its sums have one order whatever else is in the step.
// Prefill attention (more rows): keys are cut only when the step's rows alone are too few blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/quant/int4_layout.h"
#include "kernels/step_params.h"

namespace incipit::kernels::cuda {

inline constexpr int32_t kFlatAttentionRows = 64;
inline constexpr int32_t kMaxChunks = 16;  // of a row: merging keeps all of them in registers

struct AttentionLimits {
  HeadShape heads;
  int32_t max_rows = 0;  // of one step
  int32_t max_sequences = 0;
  int32_t max_context = 0;  // positions
};

// What fixes the grid of a step's attention, rounded up to few values: a captured graph serves
// every step with the same bounds.
struct AttentionBounds {
  int32_t max_items = 0;
  int32_t max_chunks = 0;
  int32_t block_queries = 0;  // (row, head) pairs of a block: 16 or 64 (flat), 128 (prefill)
  friend bool operator==(const AttentionBounds&, const AttentionBounds&) = default;
};

// Consecutive rows of one sequence whose query heads of one KV head fit a block.
struct AttentionItem {
  int32_t first_row = 0;
  int32_t n_rows = 0;
  int32_t sequence = 0;
  int32_t n_keys = 0;  // 1 + the largest position of its rows; 0: no work
  int32_t lowest_position = 0;
  int32_t n_settled_keys = 0;  // keys below this one were written by earlier steps
  int32_t chunk_tokens = 0;    // keys of a block; flat: a multiple of 128, prefill: of 64
  int32_t unused = 0;
};
static_assert(sizeof(AttentionItem) == 32);

// Chunks of a row of flat attention: small ones for short contexts, where a block's latency counts,
// larger ones as soon as eight KV heads fill the device, because every chunk's result of every row
// is written and read again (bench lab/attention_lab).
constexpr int32_t flat_chunk_tokens(int32_t position) {
  if (position < 1024) return 128;
  int32_t tokens = 256;
  while (position >= kMaxChunks * tokens) tokens *= 2;
  return tokens;
}

constexpr int32_t next_power_of_two(int32_t n) {
  int32_t power = 1;
  while (power < n) power *= 2;
  return power;
}

// Most chunks that a row of flat attention has within a context.
constexpr int32_t most_flat_chunks(int32_t max_context) {
  if (max_context > 2048) return kMaxChunks;
  return next_power_of_two(
      static_cast<int32_t>(ceil_div(max_context < 1024 ? max_context : 1024, 128)));
}

// A plan: items, then the number of chunks of each row (0 for padding).
constexpr int32_t item_capacity(int32_t n_rows) {
  return n_rows <= kFlatAttentionRows ? next_power_of_two(n_rows) : n_rows;
}
constexpr int64_t row_chunks_offset(int32_t n_rows) {
  return item_capacity(n_rows) * static_cast<int64_t>(sizeof(AttentionItem));
}
// Bytes of the plan of a step of n_rows, and of the largest step.
constexpr int64_t attention_plan_bytes(int32_t n_rows) {
  return row_chunks_offset(n_rows) + round_up(n_rows, 4) * static_cast<int64_t>(sizeof(int32_t));
}
constexpr int64_t attention_plan_bytes(const AttentionLimits& limits) {
  return attention_plan_bytes(item_capacity(limits.max_rows));
}

// Writes the plan of a step to `plan` (host memory, 16-byte aligned, attention_plan_bytes() of the
// step's rows; the caller copies it to the device). positions and sequence_of_row are of the step's
// rows; a row with position -1 is padding and gets nothing. The launch must have as many rows.
AttentionBounds plan_attention(const AttentionLimits& limits, std::span<const int32_t> positions,
                               std::span<const int32_t> sequence_of_row, std::byte* plan);

}  // namespace incipit::kernels::cuda
