// The one description of INT4 weights: w[row][col] = (q - zero) * scale[row][col / group], q in
// 0..15, fp16 scale. `row` is an output, `col` an input. A layout tag says where a weight's nibble,
// scale and zero lie in one packed blob.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/common/math.h"

namespace incipit::kernels {

struct Int4Shape {
  int32_t rows = 0;
  int32_t cols = 0;
  int32_t group =
      128;  // inputs that share a scale: 32, 64 or 128 (a whole-column source repeats its scale)
  bool has_zeros = false;  // false: every zero is kSymmetricZero

  HOST_DEVICE constexpr int32_t n_groups() const {
    return static_cast<int32_t>(ceil_div(cols, group));
  }
};

inline constexpr uint8_t kSymmetricZero = 8;

// Plain logical order: what every importer produces, one matrix at a time, before it is packed.
struct Int4Matrix {
  Int4Shape shape;
  std::vector<uint8_t> q;        // [rows, cols], 0..15
  std::vector<uint16_t> scales;  // [rows, n_groups], fp16 bits
  std::vector<uint8_t> zeros;    // [rows, n_groups], 0..16; empty when !shape.has_zeros
};

// Layout of the CPU kernels: one sequential stream of 64-byte aligned records, a record being 32
// outputs (rows) x one group of inputs (cols). Records of a tile of rows follow each other by
// group, then comes the next tile.
//
//   record, group 128:  | line 0 | line 1 | ... | line 31 | scales      | zeros, padding |
//                         64 B     64 B           64 B      32 x fp16     only if has_zeros: 32 x
//                         u8
//
// A line belongs to 16 outputs and two quads (a quad = 4 consecutive inputs): lines 2p and 2p + 1
// hold quads 2p (low nibbles) and 2p + 1 (high nibbles), for outputs 0..15 and 16..31 of the tile.
//
//   byte of a line:       0      1      2      3      4  ...  63
//   output in the half:   0      0      0      0      1  ...  15
//   input in the quad:    0      1      2      3      0  ...  3
//
// So `line & 0x0f` and `(line >> 4) & 0x0f` are 16 outputs x 4 inputs each: the unsigned operand of
// vpdpbusd (or vpmaddubsw) with one broadcast dword of activations. Inputs past `cols` hold the
// zero point; outputs past `rows` hold zero point and scale 0.
struct CpuTile {
  static constexpr int32_t kRows = 32;      // outputs in a tile
  static constexpr int32_t kHalfRows = 16;  // outputs in a line
  static constexpr int32_t kQuad = 4;       // consecutive inputs in a lane
  static constexpr int64_t kLineBytes = 64;
  static constexpr int64_t kScaleBytes = kRows * 2;
  static constexpr int64_t kZeroBytes = 64;  // 32 used

  HOST_DEVICE static constexpr int64_t n_tiles(const Int4Shape& s) {
    return ceil_div(s.rows, kRows);
  }
  // Nibbles of one record.
  HOST_DEVICE static constexpr int64_t quant_bytes(const Int4Shape& s) {
    return int64_t{kRows} * s.group / 2;
  }
  HOST_DEVICE static constexpr int64_t record_bytes(const Int4Shape& s) {
    return quant_bytes(s) + kScaleBytes + (s.has_zeros ? kZeroBytes : 0);
  }
  HOST_DEVICE static constexpr int64_t record_of(const Int4Shape& s, int64_t row, int64_t group) {
    return (row / kRows * s.n_groups() + group) * record_bytes(s);
  }
  // Byte that holds weight (row, col), and how far to shift it right.
  HOST_DEVICE static constexpr int64_t byte_of(const Int4Shape& s, int64_t row, int64_t col) {
    const int64_t in_group = col % s.group;
    const int64_t line = in_group / (2 * kQuad) * 2 + row % kRows / kHalfRows;
    return record_of(s, row, col / s.group) + line * kLineBytes + row % kHalfRows * kQuad +
           in_group % kQuad;
  }
  HOST_DEVICE static constexpr int32_t shift_of(const Int4Shape&, int64_t col) {
    return col / kQuad % 2 == 0 ? 0 : 4;
  }
  HOST_DEVICE static constexpr int64_t scale_of(const Int4Shape& s, int64_t row, int64_t group) {
    return record_of(s, row, group) + quant_bytes(s) + row % kRows * 2;
  }
  // Only when has_zeros.
  HOST_DEVICE static constexpr int64_t zero_of(const Int4Shape& s, int64_t row, int64_t group) {
    return record_of(s, row, group) + quant_bytes(s) + kScaleBytes + row % kRows;
  }
  HOST_DEVICE static constexpr int64_t bytes(const Int4Shape& s) {
    return n_tiles(s) * s.n_groups() * record_bytes(s);
  }
};

static_assert(CpuTile::record_bytes({32, 128, 128, false}) == 2112);
static_assert(CpuTile::record_bytes({32, 128, 32, true}) % 64 == 0);
static_assert(CpuTile::bytes({33, 129, 128, false}) == 4 * 2112);
static_assert(CpuTile::byte_of({64, 256, 128, false}, 16, 128) == 2112 + 64);
static_assert(CpuTile::byte_of({64, 256, 128, false}, 0, 127) == 30 * 64 + 3);
static_assert(CpuTile::shift_of({64, 256, 128, false}, 127) == 4);

// A packed matrix: borrowed bytes plus its logical shape. `data` is 64-byte aligned.
template <class Layout>
struct Int4View {
  const std::byte* data = nullptr;
  Int4Shape shape;
};

}  // namespace incipit::kernels
