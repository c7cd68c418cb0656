// The walk over a range of tiles and all rows, shared by the vector kernels. Included only by
// sources that are compiled for one instruction set; inlined into them, so nothing is left behind.
#pragma once

#include <cstdint>

#include "kernels/cpu/matmul.h"

namespace incipit::kernels::KERNELS_ISA {

// Whether a block of rows brings the weights of its tile from memory or finds them in cache.
enum class Prefetch { kNone, kAhead };

struct CacheBudget {
  int64_t weight_bytes;      // of a run of tiles, read again for each panel of rows
  int64_t activation_bytes;  // of a panel of rows, read again for each tile
};

// A part of the work of one block of rows on one tile: groups [group_begin, group_end). The sums
// so far come from `carry` unless the part is the first, and go back to it unless it is the last.
struct BlockPart {
  int64_t tile;
  int32_t row;  // the block's first
  int32_t group_begin;
  int32_t group_end;
  float* carry;  // [rows of the block][kOutputTile], 64-byte aligned
};

// Up to so many blocks take turns on a tile, group by group: while one waits for weights that its
// prefetch asked for, the others work (8 rows of Llama-3-8B, two threads: 11.4 -> 12.7 GB/s). With
// more rows arithmetic is all, and a block keeps its sums in registers.
inline constexpr int32_t kTurnBlocks = 4;

// The rows of a panel, cut into blocks as even as possible: 7 rows are 4 + 3, not 6 + 1.
struct PanelRows {
  int32_t begin;
  int32_t n_rows;
  int32_t n_blocks;
  int32_t size_of(int32_t block) const {
    return n_rows / n_blocks + (block < n_rows % n_blocks ? 1 : 0);
  }
};

// All rows of a panel on one tile.
template <class Block>
inline __attribute__((always_inline)) void do_panel(const PanelRows& rows, int64_t tile,
                                                    int32_t n_groups, float* carry,
                                                    const Block& block) {
  const bool takes_turns = rows.n_blocks > 1 && rows.n_blocks <= kTurnBlocks;
  const int32_t groups_a_turn = takes_turns ? 1 : n_groups;
  for (int32_t group = 0; group < n_groups; group += groups_a_turn) {
    int32_t row = rows.begin;
    float* block_carry = carry;
    for (int32_t b = 0; b < rows.n_blocks; ++b) {
      const int32_t n_rows = rows.size_of(b);
      const auto which = row == 0 ? Prefetch::kAhead : Prefetch::kNone;
      block(which, n_rows, BlockPart{tile, row, group, group + groups_a_turn, block_carry});
      row += n_rows;
      if (takes_turns) block_carry += n_rows * kOutputTile;
    }
  }
}

// Calls block(which, n_rows, part), n_rows <= kMaxBlockRows, until all rows and tiles are done. For
// each run of tiles that fits the budget, each panel of rows that fits, each tile: weights come
// from memory once, whatever the rows are.
template <int kMaxBlockRows, class Block>
inline __attribute__((always_inline)) void for_each_block(const QuantizedRows& x,
                                                          int64_t tile_bytes, int64_t tile_begin,
                                                          int64_t tile_end,
                                                          const CacheBudget& budget, Block block) {
  alignas(64) float carry[kTurnBlocks * kMaxBlockRows * kOutputTile];
  const int64_t row_bytes = int64_t{x.n_groups} * x.group * 2;
  int64_t panel = budget.activation_bytes / row_bytes / kMaxBlockRows * kMaxBlockRows;
  if (panel < kMaxBlockRows) panel = kMaxBlockRows;
  int64_t run = budget.weight_bytes / tile_bytes;
  if (run < 1) run = 1;
  for (int64_t run_begin = tile_begin; run_begin < tile_end; run_begin += run) {
    const int64_t run_end = run_begin + run < tile_end ? run_begin + run : tile_end;
    for (int64_t row_begin = 0; row_begin < x.n_rows; row_begin += panel) {
      const int64_t rest = x.n_rows - row_begin;
      PanelRows rows;
      rows.begin = static_cast<int32_t>(row_begin);
      rows.n_rows = static_cast<int32_t>(rest < panel ? rest : panel);
      rows.n_blocks = (rows.n_rows + kMaxBlockRows - 1) / kMaxBlockRows;
      for (int64_t tile = run_begin; tile < run_end; ++tile) {
        do_panel(rows, tile, x.n_groups, carry, block);
      }
    }
  }
}

}  // namespace incipit::kernels::KERNELS_ISA
