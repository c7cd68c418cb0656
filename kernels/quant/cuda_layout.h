// Layout of the CUDA kernels: weights are the A operand (16 outputs x 16 inputs) of mma.m16n8k16,
// tokens its B operand, so the same bytes serve one token and 64. Repacked on the device from the
// CPU's layout when a model is loaded (kernels/cuda/repack.h); nothing of it is ever on disk.
#pragma once

#include <cstdint>

#include "kernels/quant/int4_layout.h"
#include "kernels/quant/int8_layout.h"

namespace incipit::kernels {

// A tile is 16 outputs x all inputs: a stream of 512-byte words of a warp, then the scales, then
// the zeros.
//
//   | 16 x 64 inputs | 16 x 64 inputs | ... | scale quads | zero quads (if has_zeros) | padding |
//     512 B            512 B                  128 B each    64 B each                   to 128 B
//
// Of 16 x 64 weights, lane (g, c) = (lane / 4, lane % 4) has 16 bytes: four 32-bit words, one for
// each step of 16 inputs. Word w = 2 b + s holds, of rows g and g + 8, the inputs
// 32 b + 8 c + 4 s + {0, 1, 2, 3}: the order of inputs inside a step is free as long as the B
// operand has the same, and this one makes B of a lane 16 consecutive bytes of an fp16 row.
//
//   nibble of a word:   0        1        2        3        4        5        6        7
//   row, input:        g, 0  g + 8, 0   g, 2  g + 8, 2     g, 1  g + 8, 1   g, 3  g + 8, 3
//
// so `word & 0x000f000f` is the register pair (g, 0), (g, 1) of the fragment, `word & 0x00f000f0`
// that of g + 8, and the same after a shift by 8 for inputs 2 and 3.
//
// Scales: fp16, of four groups and rows g and g + 8 together, so that a lane takes 16 bytes:
// [group / 4][g][group % 4][row / 8]. Zeros: bytes in the same order. Inputs are padded to a
// multiple of 128 with the zero point, outputs to 16 and groups to 4 with scale 0.
struct CudaTile {
  static constexpr int32_t kRows = 16;
  static constexpr int32_t kWordCols = 64;  // inputs of one 16-byte word of a lane
  static constexpr int32_t kColsPadding = 128;
  static constexpr int64_t kWordBytes = 512;  // of a warp
  static constexpr int32_t kQuadGroups = 4;
  static constexpr int64_t kScaleQuadBytes = 8 * kQuadGroups * 2 * 2;
  static constexpr int64_t kZeroQuadBytes = kScaleQuadBytes / 2;
  static constexpr int64_t kTileAlignment = 128;

  HOST_DEVICE static constexpr int64_t n_tiles(const Int4Shape& s) {
    return ceil_div(s.rows, kRows);
  }
  HOST_DEVICE static constexpr int64_t quant_bytes(const Int4Shape& s) {
    return round_up(s.cols, kColsPadding) / kWordCols * kWordBytes;
  }
  HOST_DEVICE static constexpr int64_t n_scale_quads(const Int4Shape& s) {
    return ceil_div(s.n_groups(), kQuadGroups);
  }
  HOST_DEVICE static constexpr int64_t tile_bytes(const Int4Shape& s) {
    const int64_t zeros = s.has_zeros ? n_scale_quads(s) * kZeroQuadBytes : 0;
    return round_up(quant_bytes(s) + n_scale_quads(s) * kScaleQuadBytes + zeros, kTileAlignment);
  }
  HOST_DEVICE static constexpr int64_t tile_of(const Int4Shape& s, int64_t row) {
    return row / kRows * tile_bytes(s);
  }
  // Byte that holds weight (row, col), and how far to shift it right.
  HOST_DEVICE static constexpr int64_t byte_of(const Int4Shape& s, int64_t row, int64_t col) {
    const int64_t lane = row % 8 * 4 + col % 32 / 8;
    const int64_t word = col % kWordCols / 32 * 2 + col % 8 / 4;
    return tile_of(s, row) + col / kWordCols * kWordBytes + lane * 16 + word * 4 +
           nibble_of(row, col) / 2;
  }
  HOST_DEVICE static constexpr int32_t shift_of(int64_t row, int64_t col) {
    return nibble_of(row, col) % 2 == 0 ? 0 : 4;
  }
  HOST_DEVICE static constexpr int64_t scale_of(const Int4Shape& s, int64_t row, int64_t group) {
    return tile_of(s, row) + quant_bytes(s) + group / kQuadGroups * kScaleQuadBytes +
           in_quad(row, group) * 2;
  }
  // Only when has_zeros.
  HOST_DEVICE static constexpr int64_t zero_of(const Int4Shape& s, int64_t row, int64_t group) {
    return tile_of(s, row) + quant_bytes(s) + n_scale_quads(s) * kScaleQuadBytes +
           group / kQuadGroups * kZeroQuadBytes + in_quad(row, group);
  }
  HOST_DEVICE static constexpr int64_t bytes(const Int4Shape& s) {
    return n_tiles(s) * tile_bytes(s);
  }

 private:
  // Of the eight weights of a 32-bit word: 4 (col odd) + 2 (col % 4 >= 2) + (row >= 8).
  HOST_DEVICE static constexpr int32_t nibble_of(int64_t row, int64_t col) {
    return static_cast<int32_t>(col % 2 * 4 + col % 4 / 2 * 2 + row % kRows / 8);
  }
  HOST_DEVICE static constexpr int64_t in_quad(int64_t row, int64_t group) {
    return row % 8 * 8 + group % kQuadGroups * 2 + row % kRows / 8;
  }
};

static_assert(CudaTile::tile_bytes({16, 4096, 128, false}) == 32768 + 1024);
static_assert(CudaTile::tile_bytes({16, 14336, 128, false}) % 128 == 0);
static_assert(CudaTile::byte_of({16, 128, 128, false}, 9, 33) == 16 * 4 + 8 + 2);
static_assert(CudaTile::shift_of(9, 33) == 4);

// Which output of the logical matrix stands where. A thread of the mma holds rows g and g + 8 of a
// tile, so what belongs together is put 8 apart: a product's end then needs no exchange.
enum class RowOrder {
  kPlain,
  // q and k heads: rows g and g + 8 of tile j of a head are dimensions 8 j + g and
  // 8 j + g + head_dim / 2, the two that RoPE turns together. v heads are plain.
  kRopePairs,
  // Row g is gate 8 j + g, row g + 8 is up 8 j + g, for tile j.
  kGateUp,
};

// The logical row that stands at `row` of the packed matrix. `heads` counts for kRopePairs alone;
// kGateUp wants an even shape with rows / 2 a multiple of 8.
struct HeadOrder {
  int32_t n_turned = 0;  // rows of q and k together: (n_heads + n_kv_heads) * head_dim
  int32_t head_dim = 0;  // a multiple of 16
};
HOST_DEVICE constexpr int32_t logical_row(RowOrder order, const HeadOrder& heads, int32_t n_rows,
                                          int32_t row) {
  const int32_t half = row % 16 / 8;
  if (order == RowOrder::kGateUp) return row / 16 * 8 + row % 8 + half * (n_rows / 2);
  if (order == RowOrder::kPlain || row >= heads.n_turned) return row;
  const int32_t in_head = row % heads.head_dim;
  return row - in_head + in_head / 16 * 8 + row % 8 + half * (heads.head_dim / 2);
}

// INT8 with one float scale an output, for the head: tiles of 16 outputs as above. Of 16 x 32
// weights lane (g, c) has 16 bytes: word w = 2 s + r holds row g + 8 r, inputs
// 8 c + 4 s + {0, 2, 1, 3} in its bytes 0..3 (s is the step of 16 inputs), as q + 128. Then 16
// float scales. Inputs are padded to a multiple of 128 with q = 0.
template <>
struct Int8Layout<CudaTile> {
  static constexpr int32_t kRows = 16;
  static constexpr int32_t kWordCols = 32;
  static constexpr int32_t kColsPadding = 128;
  static constexpr int32_t kBias = 128;
  static constexpr int64_t kWordBytes = 512;

  HOST_DEVICE static constexpr int64_t n_tiles(const Int8Shape& s) {
    return ceil_div(s.rows, kRows);
  }
  HOST_DEVICE static constexpr int64_t quant_bytes(const Int8Shape& s) {
    return round_up(s.cols, kColsPadding) * kRows;
  }
  HOST_DEVICE static constexpr int64_t tile_bytes(const Int8Shape& s) {
    return round_up(quant_bytes(s) + kRows * 4, 128);
  }
  HOST_DEVICE static constexpr int64_t byte_of(const Int8Shape& s, int64_t row, int64_t col) {
    const int64_t lane = row % 8 * 4 + col % 32 / 8;
    const int64_t word = col % 8 / 4 * 2 + row % kRows / 8;
    const int64_t byte = col % 2 * 2 + col % 4 / 2;
    return row / kRows * tile_bytes(s) + col / kWordCols * kWordBytes + lane * 16 + word * 4 + byte;
  }
  HOST_DEVICE static constexpr int64_t scale_of(const Int8Shape& s, int64_t row) {
    return row / kRows * tile_bytes(s) + quant_bytes(s) + row % kRows * 4;
  }
  HOST_DEVICE static constexpr int64_t bytes(const Int8Shape& s) {
    return n_tiles(s) * tile_bytes(s);
  }
};

static_assert(Int8Layout<CudaTile>::byte_of({16, 128}, 9, 33) == 512 + 16 * 4 + 4 + 2);

}  // namespace incipit::kernels
