// The one description of INT8 weights with one float scale a row (output): w[row][col] = q *
// scale[row], q in -127..127. Used for lm_head. Int8Layout<tag> says where a weight and a scale lie
// in one packed blob.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/common/math.h"
#include "kernels/quant/int4_layout.h"

namespace incipit::kernels {

struct Int8Shape {
  int32_t rows = 0;
  int32_t cols = 0;
};

// Plain logical order.
struct Int8Matrix {
  Int8Shape shape;
  std::vector<int8_t> q;      // [rows, cols], -127..127
  std::vector<float> scales;  // [rows]
};

template <class Layout>
struct Int8View {
  const std::byte* data = nullptr;  // 64-byte aligned
  Int8Shape shape;
};

template <class Layout>
struct Int8Layout;

// Tiles of 32 outputs, one sequential stream each:
//
//   tile:  | line 0 | line 1 | ... | line cols_padded / 2 - 1 | 32 float scales |
//
// Line 2i + h is quad i (inputs 4i .. 4i + 3) of outputs 16h .. 16h + 15; in a line 4 inputs of one
// output are adjacent, as in the INT4 CpuTile. A byte holds q + 128, for the unsigned operand of
// vpdpbusd. Inputs are padded to multiples of 128 (the group of the activations) and outputs to 32,
// with q = 0.
template <>
struct Int8Layout<CpuTile> {
  static constexpr int32_t kRows = CpuTile::kRows;
  static constexpr int32_t kHalfRows = CpuTile::kHalfRows;
  static constexpr int32_t kQuad = CpuTile::kQuad;
  static constexpr int64_t kLineBytes = CpuTile::kLineBytes;
  static constexpr int32_t kColsPadding = 128;
  static constexpr int32_t kBias = 128;
  static constexpr int64_t kScaleBytes = kRows * 4;

  HOST_DEVICE static constexpr int64_t n_tiles(const Int8Shape& s) {
    return ceil_div(s.rows, kRows);
  }
  HOST_DEVICE static constexpr int64_t quant_bytes(const Int8Shape& s) {
    return round_up(s.cols, kColsPadding) * kRows;
  }
  HOST_DEVICE static constexpr int64_t tile_bytes(const Int8Shape& s) {
    return quant_bytes(s) + kScaleBytes;
  }
  HOST_DEVICE static constexpr int64_t byte_of(const Int8Shape& s, int64_t row, int64_t col) {
    const int64_t line = col / kQuad * 2 + row % kRows / kHalfRows;
    return row / kRows * tile_bytes(s) + line * kLineBytes + row % kHalfRows * kQuad + col % kQuad;
  }
  HOST_DEVICE static constexpr int64_t scale_of(const Int8Shape& s, int64_t row) {
    return row / kRows * tile_bytes(s) + quant_bytes(s) + row % kRows * 4;
  }
  HOST_DEVICE static constexpr int64_t bytes(const Int8Shape& s) {
    return n_tiles(s) * tile_bytes(s);
  }
};

static_assert(Int8Layout<CpuTile>::tile_bytes({1, 1}) == 128 * 32 + 128);
static_assert(Int8Layout<CpuTile>::byte_of({32, 128}, 17, 5) == 3 * 64 + 4 + 1);

}  // namespace incipit::kernels
