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

// Calls block(first, n_rows, tile, row), n_rows <= kMaxBlockRows, for all rows and tiles; `first`
// when the tile has not been read yet. For each run of tiles that fits the budget, each panel of
// rows that fits, each tile, each block: weights come from memory once, whatever the rows are.
// Blocks are as even as possible: 7 rows are 4 + 3, not 6 + 1.
template <int kMaxBlockRows, class Block>
inline __attribute__((always_inline)) void for_each_block(const QuantizedRows& x,
                                                          int64_t tile_bytes, int64_t tile_begin,
                                                          int64_t tile_end,
                                                          const CacheBudget& budget, Block block) {
  const int64_t row_bytes = int64_t{x.n_groups} * x.group * 2;
  int64_t panel = budget.activation_bytes / row_bytes / kMaxBlockRows * kMaxBlockRows;
  if (panel < kMaxBlockRows) panel = kMaxBlockRows;
  int64_t run = budget.weight_bytes / tile_bytes;
  if (run < 1) run = 1;
  for (int64_t run_begin = tile_begin; run_begin < tile_end; run_begin += run) {
    const int64_t run_end = run_begin + run < tile_end ? run_begin + run : tile_end;
    for (int64_t row_begin = 0; row_begin < x.n_rows; row_begin += panel) {
      const int64_t rest = x.n_rows - row_begin;
      const auto n_rows = static_cast<int32_t>(rest < panel ? rest : panel);
      const int32_t n_blocks = (n_rows + kMaxBlockRows - 1) / kMaxBlockRows;
      for (int64_t tile = run_begin; tile < run_end; ++tile) {
        auto row = static_cast<int32_t>(row_begin);
        for (int32_t b = 0; b < n_blocks; ++b) {
          const int32_t block_rows = n_rows / n_blocks + (b < n_rows % n_blocks ? 1 : 0);
          block(row == 0 ? Prefetch::kAhead : Prefetch::kNone, block_rows, tile, row);
          row += block_rows;
        }
      }
    }
  }
}

}  // namespace incipit::kernels::KERNELS_ISA
