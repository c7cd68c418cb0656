#include "kernels/quant/cuda_codec.h"

#include <algorithm>
#include <cstring>

#include "kernels/common/check.h"

namespace incipit::kernels {

namespace {

using Int8Tile = Int8Layout<CudaTile>;

// Scale and zero of one packed row and group; groups past the last one have scale 0.
void pack_scale(const Int4Matrix& m, int32_t packed_row, int64_t row, int64_t group,
                std::byte* data) {
  const Int4Shape& s = m.shape;
  const bool is_padding = row < 0 || group >= s.n_groups();
  const auto i = static_cast<size_t>(is_padding ? 0 : row * s.n_groups() + group);
  const uint16_t scale = is_padding ? uint16_t{0} : m.scales[i];
  std::memcpy(data + CudaTile::scale_of(s, packed_row, group), &scale, sizeof(scale));
  if (!s.has_zeros) return;
  const uint8_t zero = is_padding ? kSymmetricZero : m.zeros[i];
  data[CudaTile::zero_of(s, packed_row, group)] = static_cast<std::byte>(zero);
}

// What a padding weight holds: its zero point, as far as a nibble goes (the input it meets is 0).
uint8_t padding_nibble(const Int4Matrix& m, int64_t row, int64_t col) {
  const Int4Shape& s = m.shape;
  if (row < 0 || !s.has_zeros || col >= int64_t{s.n_groups()} * s.group) return kSymmetricZero;
  return std::min<uint8_t>(m.zeros[static_cast<size_t>(row * s.n_groups() + col / s.group)], 15);
}

}  // namespace

std::vector<std::byte> pack_cuda(const Int4Matrix& m, RowOrder order, const HeadOrder& heads) {
  const Int4Shape& s = m.shape;
  std::vector<std::byte> data(static_cast<size_t>(CudaTile::bytes(s)));
  const auto n_rows = static_cast<int32_t>(CudaTile::n_tiles(s) * CudaTile::kRows);
  const int64_t n_cols = round_up(s.cols, CudaTile::kColsPadding);
  for (int32_t at = 0; at < n_rows; ++at) {
    const int64_t row = at < s.rows ? logical_row(order, heads, s.rows, at) : -1;
    for (int64_t col = 0; col < n_cols; ++col) {
      const bool is_weight = row >= 0 && col < s.cols;
      const uint32_t q =
          is_weight ? m.q[static_cast<size_t>(row * s.cols + col)] : padding_nibble(m, row, col);
      data[static_cast<size_t>(CudaTile::byte_of(s, at, col))] |=
          static_cast<std::byte>(q << CudaTile::shift_of(at, col));
    }
    for (int64_t group = 0; group < CudaTile::n_scale_quads(s) * CudaTile::kQuadGroups; ++group)
      pack_scale(m, at, row, group, data.data());
  }
  return data;
}

Int4Matrix unpack_cuda(const Int4View<CudaTile>& view, RowOrder order, const HeadOrder& heads) {
  const Int4Shape& s = view.shape;
  Int4Matrix m;
  m.shape = s;
  m.q.resize(static_cast<size_t>(int64_t{s.rows} * s.cols));
  m.scales.resize(static_cast<size_t>(int64_t{s.rows} * s.n_groups()));
  if (s.has_zeros) m.zeros.resize(m.scales.size());
  for (int32_t at = 0; at < s.rows; ++at) {
    const int64_t row = logical_row(order, heads, s.rows, at);
    for (int64_t col = 0; col < s.cols; ++col) {
      const auto byte = static_cast<uint32_t>(view.data[CudaTile::byte_of(s, at, col)]);
      m.q[static_cast<size_t>(row * s.cols + col)] =
          static_cast<uint8_t>(byte >> CudaTile::shift_of(at, col) & 0x0fu);
    }
    for (int64_t group = 0; group < s.n_groups(); ++group) {
      const auto i = static_cast<size_t>(row * s.n_groups() + group);
      std::memcpy(&m.scales[i], view.data + CudaTile::scale_of(s, at, group), sizeof(uint16_t));
      if (s.has_zeros)
        m.zeros[i] = static_cast<uint8_t>(view.data[CudaTile::zero_of(s, at, group)]);
    }
  }
  return m;
}

std::vector<std::byte> pack_cuda(const Int8Matrix& m) {
  const Int8Shape& s = m.shape;
  std::vector<std::byte> data(static_cast<size_t>(Int8Tile::bytes(s)));
  const int64_t n_cols = round_up(s.cols, Int8Tile::kColsPadding);
  for (int64_t row = 0; row < Int8Tile::n_tiles(s) * Int8Tile::kRows; ++row) {
    for (int64_t col = 0; col < n_cols; ++col) {
      const bool is_weight = row < s.rows && col < s.cols;
      const int q = is_weight ? m.q[static_cast<size_t>(row * s.cols + col)] : 0;
      data[static_cast<size_t>(Int8Tile::byte_of(s, row, col))] =
          static_cast<std::byte>(q + Int8Tile::kBias);
    }
    const float scale = row < s.rows ? m.scales[static_cast<size_t>(row)] : 0.0f;
    std::memcpy(data.data() + Int8Tile::scale_of(s, row), &scale, sizeof(scale));
  }
  return data;
}

Int8Matrix unpack_cuda(const Int8View<CudaTile>& view) {
  const Int8Shape& s = view.shape;
  Int8Matrix m;
  m.shape = s;
  m.q.resize(static_cast<size_t>(int64_t{s.rows} * s.cols));
  m.scales.resize(static_cast<size_t>(s.rows));
  for (int64_t row = 0; row < s.rows; ++row) {
    for (int64_t col = 0; col < s.cols; ++col) {
      const auto byte = static_cast<int>(view.data[Int8Tile::byte_of(s, row, col)]);
      m.q[static_cast<size_t>(row * s.cols + col)] = static_cast<int8_t>(byte - Int8Tile::kBias);
    }
    std::memcpy(&m.scales[static_cast<size_t>(row)], view.data + Int8Tile::scale_of(s, row),
                sizeof(float));
  }
  return m;
}

}  // namespace incipit::kernels
