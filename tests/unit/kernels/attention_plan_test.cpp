// The host's plan of a step's attention: who shares a block, and how keys are cut. No device.
#include "kernels/cuda/attention_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace incipit::kernels::cuda {
namespace {

struct Rows {
  std::vector<int32_t> positions;
  std::vector<int32_t> sequences;
  Rows& add(int32_t sequence, int32_t first, int32_t n) {
    for (int32_t i = 0; i < n; ++i) {
      positions.push_back(first + i);
      sequences.push_back(sequence);
    }
    return *this;
  }
  Rows& pad(int32_t n) {
    positions.insert(positions.end(), static_cast<size_t>(n), -1);
    sequences.insert(sequences.end(), static_cast<size_t>(n), 0);
    return *this;
  }
};

struct Plan {
  AttentionBounds bounds;
  std::vector<AttentionItem> items;  // max_items of them
  std::vector<int32_t> row_chunks;
};

constexpr AttentionLimits kLlama = {{32, 8, 128}, 2048, 64, 16384};

Plan plan(const Rows& rows, const AttentionLimits& limits = kLlama) {
  const auto n_rows = static_cast<int32_t>(rows.positions.size());
  // Filled with what an earlier step may have left.
  std::vector<int32_t> bytes(static_cast<size_t>(attention_plan_bytes(n_rows) / 4), 0x7f7f7f7f);
  Plan result;
  result.bounds = plan_attention(limits, rows.positions, rows.sequences,
                                 reinterpret_cast<std::byte*>(bytes.data()));
  const auto* const items = reinterpret_cast<const AttentionItem*>(bytes.data());
  result.items.assign(items, items + result.bounds.max_items);
  const int32_t* const chunks = bytes.data() + row_chunks_offset(n_rows) / 4;
  result.row_chunks.assign(chunks, chunks + n_rows);
  return result;
}

// Every real row is in one item, of its sequence, whose keys reach as far as the row sees.
void expect_complete(const Rows& rows, const Plan& plan, int32_t heads_a_group) {
  std::vector<int32_t> seen(rows.positions.size(), 0);
  for (const AttentionItem& item : plan.items) {
    EXPECT_LE(item.n_rows * heads_a_group, plan.bounds.block_queries);
    for (int32_t row = item.first_row; row < item.first_row + item.n_rows; ++row) {
      const auto i = static_cast<size_t>(row);
      seen[i] += 1;
      EXPECT_EQ(rows.sequences[i], item.sequence);
      EXPECT_LT(rows.positions[i], item.n_keys);
      EXPECT_GE(rows.positions[i], item.lowest_position);
      EXPECT_EQ(plan.row_chunks[i], rows.positions[i] / item.chunk_tokens + 1);
      EXPECT_LE(plan.row_chunks[i], plan.bounds.max_chunks);
    }
  }
  for (size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i], rows.positions[i] < 0 ? 0 : 1);
}

TEST(AttentionPlan, CutsTheKeysOfARowByItsPositionAlone) {
  for (const int32_t position : {0, 127, 128, 1023, 1024, 2047, 4095, 4096, 8191, 16383}) {
    const Rows alone = Rows().add(0, position, 1);
    const Rows mixed = Rows().add(3, 100, 20).add(5, position, 1).add(7, 16000, 2);
    const Plan a = plan(alone);
    const Plan b = plan(mixed);
    EXPECT_EQ(a.row_chunks[0], b.row_chunks[20]) << position;
    EXPECT_LE(a.row_chunks[0], kMaxChunks);
    EXPECT_EQ(a.items[0].chunk_tokens, flat_chunk_tokens(position));
  }
}

TEST(AttentionPlan, KeepsTheNumberOfChunksBetweenAFewAndSixteen) {
  for (int32_t position = 511; position < 131072; position += 97) {
    const int32_t n_chunks = position / flat_chunk_tokens(position) + 1;
    EXPECT_GE(n_chunks, 4) << position;
    EXPECT_LE(n_chunks, kMaxChunks) << position;
    EXPECT_LE(n_chunks, most_flat_chunks(position + 1)) << position;
  }
}

TEST(AttentionPlan, GivesDecodingSequencesASmallBlockEach) {
  const Rows rows = Rows().add(0, 500, 1).add(1, 2000, 1).add(2, 7, 1).pad(1);
  const Plan p = plan(rows);
  EXPECT_EQ(p.bounds, (AttentionBounds{4, 8, 16}));
  expect_complete(rows, p, 4);
  EXPECT_EQ(p.items[3].n_keys, 0);  // rounded up: no work
}

TEST(AttentionPlan, GroupsTheRowsOfAPrompt) {
  const Rows rows = Rows().add(0, 8000, 16).add(1, 30, 40);
  const Plan p = plan(rows);
  expect_complete(rows, p, 4);
  EXPECT_EQ(p.bounds.block_queries, 64);
  EXPECT_EQ(p.items[0].n_rows, 16);
  EXPECT_EQ(p.bounds.max_items, 4);  // 16 rows; 16, 16 and 8
}

TEST(AttentionPlan, SplitsWhereTheChunkSizeChanges) {
  const Rows rows = Rows().add(0, 1020, 8);
  const Plan p = plan(rows);
  expect_complete(rows, p, 4);
  EXPECT_EQ(p.items[0].n_rows, 4);
  EXPECT_EQ(p.items[0].chunk_tokens, 128);
  EXPECT_EQ(p.items[1].chunk_tokens, 256);
  // What the first item's rows write, the second's may not read early.
  EXPECT_EQ(p.items[1].n_settled_keys, 1020);
}

TEST(AttentionPlan, KeepsSequencesApartAndSkipsPadding) {
  const Rows rows = Rows().add(0, 5, 2).pad(3).add(0, 7, 1).add(1, 8, 1).pad(2);
  const Plan p = plan(rows);
  expect_complete(rows, p, 4);
  EXPECT_EQ(p.bounds.max_items, 4);
  EXPECT_EQ(p.items[1].n_settled_keys, 5);
}

TEST(AttentionPlan, PlansNothingForPaddingAlone) {
  const Plan p = plan(Rows().pad(4));
  EXPECT_EQ(p.bounds.max_items, 1);
  EXPECT_EQ(p.items[0].n_keys, 0);
}

TEST(AttentionPlan, TakesAnyNumberOfHeadsAGroup) {
  for (const int32_t r : {1, 2, 3, 7, 8, 16, 64}) {
    for (const int32_t n_rows : {1, 5, 17, 64, 65, 300}) {
      const AttentionLimits limits = {{2 * r, 2, 64}, 300, 4, 4096};
      const Rows rows = Rows().add(0, 1000, n_rows);
      expect_complete(rows, plan(rows, limits), r);
    }
  }
}

TEST(AttentionPlan, CutsKeysOfAPrefillOnlyWhenItsRowsAreFewBlocks) {
  const Plan cold = plan(Rows().add(0, 0, 2048));
  EXPECT_EQ(cold.bounds, (AttentionBounds{64, 1, 128}));
  const Rows short_tail = Rows().add(0, 16000, 100);
  const Plan tail = plan(short_tail);
  expect_complete(short_tail, tail, 4);
  EXPECT_GE(tail.bounds.max_chunks, 8);
  EXPECT_LE(100 * tail.bounds.max_chunks, kFlatAttentionRows * most_flat_chunks(16384));
}

}  // namespace
}  // namespace incipit::kernels::cuda
