#include "kernels/quant/int4_codec.h"

#include <algorithm>
#include <array>

namespace incipit::kernels {

namespace {

uint8_t zero_of(const Int4Matrix& m, int32_t row, int32_t group) {
  if (!m.shape.has_zeros) return kSymmetricZero;
  return m.zeros[static_cast<size_t>(int64_t{row} * m.shape.n_groups() + group)];
}

void check_matrix(const Int4Matrix& m) {
  const Int4Shape& s = m.shape;
  CHECK(s.group == 32 || s.group == 64 || s.group == 128);
  const auto n_scales = static_cast<size_t>(int64_t{s.rows} * s.n_groups());
  CHECK_EQ(m.q.size(), static_cast<size_t>(int64_t{s.rows} * s.cols));
  CHECK_EQ(m.scales.size(), n_scales);
  CHECK_EQ(m.zeros.size(), s.has_zeros ? n_scales : size_t{0});
}

constexpr int32_t kTwoQuads = 2 * CpuTile::kQuad;

// Two quads of one row share four bytes, the first one in the low nibbles: written as one word.
constexpr bool two_quads_are_a_word() {
  constexpr Int4Shape s = {.rows = 64, .cols = 256, .group = 32};
  for (int32_t col = 0; col < s.cols; ++col) {
    const int32_t first = col / kTwoQuads * kTwoQuads;
    if (CpuTile::byte_of(s, 37, col) != CpuTile::byte_of(s, 37, first) + col % CpuTile::kQuad)
      return false;
    if (CpuTile::shift_of(s, col) != (col - first) / CpuTile::kQuad * 4) return false;
  }
  return true;
}
static_assert(two_quads_are_a_word());

// Bytes 0..3 become the low nibbles of four bytes, bytes 4..7 the high ones.
uint32_t two_quads(const uint8_t* q) {
  uint32_t low = 0;
  uint32_t high = 0;
  std::memcpy(&low, q, sizeof(low));
  std::memcpy(&high, q + CpuTile::kQuad, sizeof(high));
  return (low & 0x0f0f0f0fU) | (high & 0x0f0f0f0fU) << 4;
}

// One row of one record: nibbles, scale and zero.
void pack_row(const Int4Matrix& m, int32_t row, int32_t group, std::byte* data) {
  const Int4Shape& s = m.shape;
  const bool is_padding = row >= s.rows;
  const uint8_t zero = is_padding ? kSymmetricZero : zero_of(m, row, group);
  // A zero point of 16 has no nibble; its padding inputs meet activation 0 whatever they hold.
  const auto padding = static_cast<uint8_t>(std::min<int>(zero, 15));
  const uint8_t* q = is_padding ? nullptr : m.q.data() + int64_t{row} * s.cols;
  const int32_t first = group * s.group;
  for (int32_t col = first; col < first + s.group; col += kTwoQuads) {
    std::array<uint8_t, kTwoQuads> values;
    values.fill(padding);
    if (!is_padding && col < s.cols)
      std::memcpy(values.data(), q + col, static_cast<size_t>(std::min(kTwoQuads, s.cols - col)));
    const uint32_t word = two_quads(values.data());
    std::memcpy(data + CpuTile::byte_of(s, row, col), &word, sizeof(word));
  }
  const uint16_t scale =
      is_padding ? uint16_t{0} : m.scales[static_cast<size_t>(int64_t{row} * s.n_groups() + group)];
  std::memcpy(data + CpuTile::scale_of(s, row, group), &scale, sizeof(scale));
  if (s.has_zeros) data[CpuTile::zero_of(s, row, group)] = static_cast<std::byte>(zero);
}

void pack_tile(const Int4Matrix& m, int64_t tile, std::byte* data) {
  const Int4Shape& s = m.shape;
  const auto first_row = static_cast<int32_t>(tile * CpuTile::kRows);
  for (int32_t group = 0; group < s.n_groups(); ++group) {
    if (s.has_zeros)  // the padding behind them
      std::memset(data + CpuTile::zero_of(s, first_row, group), 0, CpuTile::kZeroBytes);
    for (int32_t i = 0; i < CpuTile::kRows; ++i) pack_row(m, first_row + i, group, data);
  }
}

}  // namespace

float weight_at(const Int4Matrix& m, int32_t row, int32_t col) {
  const int32_t group = col / m.shape.group;
  const int32_t q = m.q[static_cast<size_t>(int64_t{row} * m.shape.cols + col)];
  const uint16_t scale = m.scales[static_cast<size_t>(int64_t{row} * m.shape.n_groups() + group)];
  return static_cast<float>(q - zero_of(m, row, group)) * half_to_float(scale);
}

template <>
void pack<CpuTile>(const Int4Matrix& matrix, std::span<std::byte> packed, ThreadPool* pool) {
  check_matrix(matrix);
  CHECK_EQ(static_cast<int64_t>(packed.size()), CpuTile::bytes(matrix.shape));
  const auto pack_tiles = [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) pack_tile(matrix, tile, packed.data());
  };
  const int64_t n_tiles = CpuTile::n_tiles(matrix.shape);
  if (pool != nullptr) {
    pool->parallel_for(n_tiles, 1, pack_tiles);
  } else {
    pack_tiles(0, n_tiles);
  }
}

template <>
Int4Matrix unpack<CpuTile>(const Int4View<CpuTile>& view) {
  const Int4Shape& s = view.shape;
  Int4Matrix m;
  m.shape = s;
  m.q.resize(static_cast<size_t>(int64_t{s.rows} * s.cols));
  m.scales.resize(static_cast<size_t>(int64_t{s.rows} * s.n_groups()));
  if (s.has_zeros) m.zeros.resize(m.scales.size());
  for (int32_t row = 0; row < s.rows; ++row) {
    for (int32_t col = 0; col < s.cols; ++col) {
      const auto byte = static_cast<uint32_t>(view.data[CpuTile::byte_of(s, row, col)]);
      m.q[static_cast<size_t>(int64_t{row} * s.cols + col)] =
          static_cast<uint8_t>((byte >> CpuTile::shift_of(s, col)) & 0x0fu);
    }
    for (int32_t group = 0; group < s.n_groups(); ++group) {
      const auto i = static_cast<size_t>(int64_t{row} * s.n_groups() + group);
      std::memcpy(&m.scales[i], view.data + CpuTile::scale_of(s, row, group), 2);
      if (s.has_zeros)
        m.zeros[i] = static_cast<uint8_t>(view.data[CpuTile::zero_of(s, row, group)]);
    }
  }
  return m;
}

}  // namespace incipit::kernels
