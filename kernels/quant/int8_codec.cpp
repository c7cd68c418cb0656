#include "kernels/quant/int8_codec.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "kernels/common/check.h"
#include "kernels/common/half.h"

namespace incipit::kernels {

namespace {

using Tile = Int8Layout<CpuTile>;

// To the nearest integer, ties to even, of |x| < 2^22: what std::nearbyint() says, but in two
// additions that the compiler makes vectors of. Below 2^24 a float's last bit is worth one.
float rounded(float x) {
  constexpr float kShift = 0x1.8p23F;
  return (x + kShift) - kShift;
}

// q of one row; returns its scale. A row with an infinity or NaN keeps that in its scale.
float quantize_row(const float* row, int32_t cols, int8_t* q) {
  float absmax = 0;
  bool finite = true;
  for (int32_t col = 0; col < cols; ++col) {
    finite = finite && std::isfinite(row[col]);
    absmax = std::max(absmax, std::fabs(row[col]));
  }
  if (!finite || absmax == 0) {
    std::fill(q, q + cols, int8_t{0});
    return finite ? 0.0f : std::nanf("");
  }
  const float scale = absmax / 127.0f;
  for (int32_t col = 0; col < cols; ++col) {
    const float ratio = scale > 0 ? row[col] / scale : 0.0f;  // a subnormal absmax may round to 0
    q[col] = static_cast<int8_t>(std::clamp(rounded(ratio), -127.0f, 127.0f));
  }
  return scale;
}

void pack_row(const Int8Shape& s, int64_t row, const int8_t* q, float scale, std::byte* data) {
  const int64_t padded = round_up(s.cols, Tile::kColsPadding);
  for (int64_t col = 0; col < padded; col += Tile::kQuad) {
    std::array<std::byte, Tile::kQuad> quad;  // adjacent in a line
    for (int64_t i = 0; i < Tile::kQuad; ++i) {
      const int value = q != nullptr && col + i < s.cols ? q[col + i] : 0;
      quad[static_cast<size_t>(i)] = static_cast<std::byte>(value + Tile::kBias);
    }
    std::memcpy(data + Tile::byte_of(s, row, col), quad.data(), quad.size());
  }
  std::memcpy(data + Tile::scale_of(s, row), &scale, sizeof(scale));
}

// Packs all rows of all tiles; row_of(row, q) fills q and returns the scale.
template <class RowOf>
void pack_rows(const Int8Shape& s, std::span<std::byte> packed, ThreadPool* pool, RowOf row_of) {
  CHECK_EQ(static_cast<int64_t>(packed.size()), Tile::bytes(s));
  const auto pack_tiles = [&](int64_t begin, int64_t end) {
    std::vector<int8_t> q(static_cast<size_t>(s.cols));
    for (int64_t row = begin * Tile::kRows; row < end * Tile::kRows; ++row) {
      if (row < s.rows) {
        const float scale = row_of(row, q.data());
        pack_row(s, row, q.data(), scale, packed.data());
      } else {
        pack_row(s, row, nullptr, 0.0f, packed.data());
      }
    }
  };
  if (pool != nullptr) {
    pool->parallel_for(Tile::n_tiles(s), 1, pack_tiles);
  } else {
    pack_tiles(0, Tile::n_tiles(s));
  }
}

}  // namespace

Int8Matrix quantize_rows_int8(std::span<const float> rows, const Int8Shape& shape) {
  CHECK_EQ(static_cast<int64_t>(rows.size()), int64_t{shape.rows} * shape.cols);
  Int8Matrix m;
  m.shape = shape;
  m.q.resize(rows.size());
  m.scales.resize(static_cast<size_t>(shape.rows));
  for (int64_t row = 0; row < shape.rows; ++row) {
    m.scales[static_cast<size_t>(row)] =
        quantize_row(rows.data() + row * shape.cols, shape.cols, m.q.data() + row * shape.cols);
  }
  return m;
}

template <>
void quantize_rows_int8<CpuTile>(std::span<const uint16_t> fp16_rows, const Int8Shape& shape,
                                 std::span<std::byte> packed, ThreadPool* pool) {
  CHECK_EQ(static_cast<int64_t>(fp16_rows.size()), int64_t{shape.rows} * shape.cols);
  pack_rows(shape, packed, pool, [&](int64_t row, int8_t* q) {
    std::vector<float> values(static_cast<size_t>(shape.cols));
    for (int32_t col = 0; col < shape.cols; ++col) {
      values[static_cast<size_t>(col)] =
          half_to_float(fp16_rows[static_cast<size_t>(row * shape.cols + col)]);
    }
    return quantize_row(values.data(), shape.cols, q);
  });
}

template <>
void pack<CpuTile>(const Int8Matrix& m, std::span<std::byte> packed, ThreadPool* pool) {
  CHECK_EQ(static_cast<int64_t>(m.q.size()), int64_t{m.shape.rows} * m.shape.cols);
  CHECK_EQ(static_cast<int64_t>(m.scales.size()), int64_t{m.shape.rows});
  pack_rows(m.shape, packed, pool, [&](int64_t row, int8_t* q) {
    std::copy_n(m.q.data() + row * m.shape.cols, m.shape.cols, q);
    return m.scales[static_cast<size_t>(row)];
  });
}

template <>
Int8Matrix unpack<CpuTile>(const Int8View<CpuTile>& view) {
  Int8Matrix m;
  m.shape = view.shape;
  m.q.resize(static_cast<size_t>(int64_t{view.shape.rows} * view.shape.cols));
  m.scales.resize(static_cast<size_t>(view.shape.rows));
  for (int64_t row = 0; row < view.shape.rows; ++row) {
    for (int64_t col = 0; col < view.shape.cols; ++col) {
      m.q[static_cast<size_t>(row * view.shape.cols + col)] = static_cast<int8_t>(
          static_cast<int>(view.data[Tile::byte_of(view.shape, row, col)]) - Tile::kBias);
    }
    std::memcpy(&m.scales[static_cast<size_t>(row)], view.data + Tile::scale_of(view.shape, row),
                sizeof(float));
  }
  return m;
}

float weight_at(const Int8Matrix& m, int32_t row, int32_t col) {
  return static_cast<float>(m.q[static_cast<size_t>(int64_t{row} * m.shape.cols + col)]) *
         m.scales[static_cast<size_t>(row)];
}

float weight_at(const Int8View<CpuTile>& view, int32_t row, int32_t col) {
  const int q = static_cast<int>(view.data[Tile::byte_of(view.shape, row, col)]) - Tile::kBias;
  float scale = 0;
  std::memcpy(&scale, view.data + Tile::scale_of(view.shape, row), sizeof(scale));
  return static_cast<float>(q) * scale;
}

}  // namespace incipit::kernels
