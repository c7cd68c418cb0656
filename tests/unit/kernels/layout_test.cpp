// The packed layouts: every weight, scale and zero has a place of its own, and packing loses
// nothing.
#include <gtest/gtest.h>

#include <set>
#include <tuple>

#include "kernels/quant/int4_codec.h"
#include "kernels/quant/int8_codec.h"
#include "tests/support/kernel_inputs.h"

namespace incipit::kernels {
namespace {

std::vector<Int4Shape> int4_shapes() {
  std::vector<Int4Shape> shapes;
  for (const int32_t group : {32, 64, 128}) {
    for (const auto& [rows, cols] : {std::tuple{1, 1}, {1, 128}, {31, 96}, {32, 256}, {33, 200}}) {
      for (const bool has_zeros : {false, true}) shapes.push_back({rows, cols, group, has_zeros});
    }
  }
  return shapes;
}

TEST(CpuTileLayout, GivesEveryNibbleScaleAndZeroAPlaceOfItsOwn) {
  for (const Int4Shape& s : int4_shapes()) {
    std::set<std::pair<int64_t, int>> places;  // {byte, first bit}
    int64_t n_places = 0;
    const auto take = [&](int64_t byte, int bit) {
      ASSERT_GE(byte, 0);
      ASSERT_LT(byte, CpuTile::bytes(s));
      places.emplace(byte, bit);
      ++n_places;
    };
    for (int32_t row = 0; row < s.rows; ++row) {
      for (int32_t col = 0; col < s.cols; ++col) {
        take(CpuTile::byte_of(s, row, col), CpuTile::shift_of(s, col));
      }
      for (int32_t group = 0; group < s.n_groups(); ++group) {
        for (int byte = 0; byte < 2; ++byte) {
          for (const int bit : {0, 4}) take(CpuTile::scale_of(s, row, group) + byte, bit);
        }
        if (s.has_zeros) {
          for (const int bit : {0, 4}) take(CpuTile::zero_of(s, row, group), bit);
        }
      }
    }
    EXPECT_EQ(static_cast<int64_t>(places.size()), n_places)
        << s.rows << "x" << s.cols << " group " << s.group;
  }
}

TEST(CpuTileLayout, KeepsEveryRecordOnACacheLine) {
  for (const Int4Shape& s : int4_shapes()) {
    EXPECT_EQ(CpuTile::record_bytes(s) % 64, 0);
    EXPECT_EQ(CpuTile::bytes(s), CpuTile::n_tiles(s) * s.n_groups() * CpuTile::record_bytes(s));
  }
}

TEST(Int4Codec, UnpacksWhatWasPacked) {
  std::mt19937 random(test_seed());
  for (const Int4Shape& s : int4_shapes()) {
    const Int4Matrix m = random_int4(s, random);
    const auto p = packed(m);
    const Int4Matrix back = unpack<CpuTile>(p.view);
    EXPECT_EQ(back.q, m.q);
    EXPECT_EQ(back.scales, m.scales);
    EXPECT_EQ(back.zeros, m.zeros);
  }
}

TEST(Int4Codec, PacksTheSameBytesWithAPool) {
  std::mt19937 random(test_seed());
  ThreadPool pool(3);
  const Int4Matrix m = random_int4({257, 200, 64, true}, random);
  const auto alone = packed(m);
  const AlignedBytes shared(packed_bytes<CpuTile>(m.shape));
  pack<CpuTile>(m, shared.span(), &pool);
  EXPECT_EQ(std::memcmp(alone.bytes.data(), shared.data(), shared.span().size()), 0);
}

TEST(Int4Codec, DequantisesByTheContractsArithmetic) {
  std::mt19937 random(test_seed());
  for (const Int4Shape& s : int4_shapes()) {
    const Int4Matrix m = random_int4(s, random);
    const auto p = packed(m);
    for (int32_t row = 0; row < s.rows; ++row) {
      for (int32_t col = 0; col < s.cols; ++col) {
        const size_t group = static_cast<size_t>(row * s.n_groups() + col / s.group);
        const int zero = s.has_zeros ? m.zeros[group] : 8;
        const int q = m.q[static_cast<size_t>(row * s.cols + col)];
        const float expected = static_cast<float>(q - zero) * half_to_float(m.scales[group]);
        ASSERT_EQ(weight_at(p.view, row, col), expected);
        ASSERT_EQ(weight_at(m, row, col), expected);
      }
    }
  }
}

TEST(Int8Layout, GivesEveryWeightAndScaleAPlaceOfItsOwn) {
  using Layout = Int8Layout<CpuTile>;
  for (const Int8Shape s : {Int8Shape{1, 1}, {31, 96}, {32, 128}, {33, 200}}) {
    std::set<int64_t> places;
    int64_t n_places = 0;
    for (int32_t row = 0; row < s.rows; ++row) {
      for (int32_t col = 0; col < s.cols; ++col, ++n_places) {
        places.insert(Layout::byte_of(s, row, col));
      }
      for (int byte = 0; byte < 4; ++byte, ++n_places)
        places.insert(Layout::scale_of(s, row) + byte);
    }
    EXPECT_EQ(static_cast<int64_t>(places.size()), n_places);
    EXPECT_GE(*places.begin(), 0);
    EXPECT_LT(*places.rbegin(), Layout::bytes(s));
  }
}

TEST(Int8Codec, UnpacksWhatWasPacked) {
  std::mt19937 random(test_seed());
  for (const Int8Shape s : {Int8Shape{1, 1}, {31, 96}, {32, 128}, {33, 200}}) {
    const Int8Matrix m = random_int8(s, random);
    const auto p = packed(m);
    const Int8Matrix back = unpack<CpuTile>(p.view);
    EXPECT_EQ(back.q, m.q);
    EXPECT_EQ(back.scales, m.scales);
    for (int32_t col = 0; col < s.cols; ++col) {
      EXPECT_EQ(weight_at(p.view, s.rows - 1, col), weight_at(m, s.rows - 1, col));
    }
  }
}

TEST(Int8Codec, QuantisesEachRowToHalfAStep) {
  std::mt19937 random(test_seed());
  const Int8Shape s{40, 200};
  std::vector<float> rows = random_rows(s.rows, s.cols, random);
  std::fill_n(rows.begin() + 3 * s.cols, s.cols, 0.0f);
  const Int8Matrix m = quantize_rows_int8(rows, s);
  for (int32_t row = 0; row < s.rows; ++row) {
    for (int32_t col = 0; col < s.cols; ++col) {
      const float x = rows[static_cast<size_t>(row * s.cols + col)];
      const float step = m.scales[static_cast<size_t>(row)];
      // x / scale and q * scale round once each: 127 * 2^-23 of a step.
      EXPECT_LE(std::fabs(weight_at(m, row, col) - x), step * (0.5f + 127 * 0x1p-23f));
    }
  }
  EXPECT_EQ(m.scales[3], 0.0f);
}

TEST(Int8Codec, QuantisesFp16RowsLikeTheirFloats) {
  std::mt19937 random(test_seed());
  const Int8Shape s{45, 130};
  const std::vector<float> rows = random_rows(s.rows, s.cols, random);
  std::vector<uint16_t> halves;
  std::vector<float> rounded;
  for (const float x : rows) {
    halves.push_back(float_to_half(x));
    rounded.push_back(half_to_float(halves.back()));
  }
  const auto expected = packed(quantize_rows_int8(rounded, s));
  const AlignedBytes direct(packed_bytes<CpuTile>(s));
  ThreadPool pool(2);
  quantize_rows_int8<CpuTile>(halves, s, direct.span(), &pool);
  EXPECT_EQ(std::memcmp(direct.data(), expected.bytes.data(), direct.span().size()), 0);
}

}  // namespace
}  // namespace incipit::kernels
