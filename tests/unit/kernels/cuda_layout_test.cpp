// The CUDA layout: every weight, scale and zero has a place of its own, packing loses nothing, and
// each row order is a permutation that puts together what belongs together.
#include "kernels/quant/cuda_layout.h"

#include <gtest/gtest.h>

#include <set>
#include <tuple>

#include "kernels/quant/cuda_codec.h"
#include "tests/support/kernel_inputs.h"

namespace incipit::kernels {
namespace {

std::vector<Int4Shape> cuda_int4_shapes() {
  std::vector<Int4Shape> shapes;
  for (const int32_t group : {32, 64, 128}) {
    for (const auto& [rows, cols] : {std::tuple{1, 1}, {16, 128}, {31, 96}, {32, 704}, {33, 200}}) {
      for (const bool has_zeros : {false, true}) shapes.push_back({rows, cols, group, has_zeros});
    }
  }
  return shapes;
}

TEST(CudaTileLayout, GivesEveryNibbleScaleAndZeroAPlaceOfItsOwn) {
  for (const Int4Shape& s : cuda_int4_shapes()) {
    std::set<std::pair<int64_t, int>> places;  // {byte, first bit}
    int64_t n_places = 0;
    const auto take = [&](int64_t byte, int bit) {
      ASSERT_GE(byte, 0);
      ASSERT_LT(byte, CudaTile::bytes(s));
      places.emplace(byte, bit);
      ++n_places;
    };
    for (int32_t row = 0; row < s.rows; ++row) {
      for (int32_t col = 0; col < s.cols; ++col) {
        take(CudaTile::byte_of(s, row, col), CudaTile::shift_of(row, col));
      }
      for (int32_t group = 0; group < s.n_groups(); ++group) {
        for (const int bit : {0, 4}) {
          take(CudaTile::scale_of(s, row, group), bit);
          take(CudaTile::scale_of(s, row, group) + 1, bit);
          if (s.has_zeros) take(CudaTile::zero_of(s, row, group), bit);
        }
      }
    }
    EXPECT_EQ(static_cast<int64_t>(places.size()), n_places)
        << s.rows << "x" << s.cols << " group " << s.group;
  }
}

TEST(CudaTileLayout, HasTheFragmentOfALaneInOneWord) {
  const Int4Shape s = {16, 128, 128, false};
  for (int32_t lane = 0; lane < 32; ++lane) {
    const int32_t g = lane / 4;
    const int32_t c = lane % 4;
    for (int32_t k = 0; k < 8; ++k) {
      const int64_t word = lane * 16 + k / 4 * 4;
      for (const int32_t row : {g, g + 8}) {
        EXPECT_EQ(CudaTile::byte_of(s, row, 8 * c + k) / 4 * 4, word);
        EXPECT_EQ(CudaTile::byte_of(s, row, 32 + 8 * c + k) / 4 * 4, word + 8);
        EXPECT_EQ(CudaTile::byte_of(s, row, 64 + 8 * c + k) / 4 * 4, word + 512);
      }
    }
  }
}

TEST(CudaInt8Layout, GivesEveryWeightAndScaleAPlaceOfItsOwn) {
  using Layout = Int8Layout<CudaTile>;
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

TEST(CudaCodec, UnpacksWhatWasPacked) {
  std::mt19937 random(test_seed());
  for (const Int4Shape& s : cuda_int4_shapes()) {
    const Int4Matrix m = random_int4(s, random);
    const std::vector<std::byte> bytes = pack_cuda(m);
    const Int4Matrix back = unpack_cuda(Int4View<CudaTile>{bytes.data(), s});
    EXPECT_EQ(back.q, m.q);
    EXPECT_EQ(back.scales, m.scales);
    EXPECT_EQ(back.zeros, m.zeros);
  }
  for (const Int8Shape s : {Int8Shape{1, 1}, {31, 96}, {32, 128}, {33, 200}}) {
    const Int8Matrix m = random_int8(s, random);
    const std::vector<std::byte> bytes = pack_cuda(m);
    const Int8Matrix back = unpack_cuda(Int8View<CudaTile>{bytes.data(), s});
    EXPECT_EQ(back.q, m.q);
    EXPECT_EQ(back.scales, m.scales);
  }
}

struct Order {
  RowOrder order;
  HeadOrder heads;
  int32_t n_rows;
};
const Order kOrders[] = {
    {RowOrder::kPlain, {}, 33},
    {RowOrder::kRopePairs, {3 * 64, 64}, 4 * 64},
    {RowOrder::kRopePairs, {5 * 128, 128}, 6 * 128},
    {RowOrder::kGateUp, {}, 2 * 1408},
};

TEST(RowOrder, IsAPermutation) {
  for (const Order& o : kOrders) {
    std::set<int32_t> rows;
    for (int32_t row = 0; row < o.n_rows; ++row)
      rows.insert(logical_row(o.order, o.heads, o.n_rows, row));
    EXPECT_EQ(static_cast<int32_t>(rows.size()), o.n_rows);
    EXPECT_EQ(*rows.begin(), 0);
    EXPECT_EQ(*rows.rbegin(), o.n_rows - 1);
  }
}

TEST(RowOrder, PutsRopePairsAndGatesWithTheirUpsEightApart) {
  for (int32_t row = 0; row < 4 * 64; ++row) {
    if (row % 16 >= 8) continue;
    const HeadOrder heads = {3 * 64, 64};
    const int32_t first = logical_row(RowOrder::kRopePairs, heads, 4 * 64, row);
    const int32_t second = logical_row(RowOrder::kRopePairs, heads, 4 * 64, row + 8);
    EXPECT_EQ(second - first, row < heads.n_turned ? 32 : 8);
    EXPECT_EQ(first / 64, row / 64);
    const int32_t gate = logical_row(RowOrder::kGateUp, {}, 4 * 64, row);
    EXPECT_EQ(logical_row(RowOrder::kGateUp, {}, 4 * 64, row + 8), gate + 2 * 64);
  }
}

TEST(CudaCodec, PutsRowsInOrderAndBack) {
  std::mt19937 random(test_seed());
  for (const Order& o : kOrders) {
    const Int4Shape s = {o.n_rows, 96, 32, true};
    const Int4Matrix m = random_int4(s, random);
    const std::vector<std::byte> bytes = pack_cuda(m, o.order, o.heads);
    const Int4Matrix back = unpack_cuda(Int4View<CudaTile>{bytes.data(), s}, o.order, o.heads);
    EXPECT_EQ(back.q, m.q);
    EXPECT_EQ(back.scales, m.scales);
    EXPECT_EQ(back.zeros, m.zeros);
    const Int4Matrix packed_order = unpack_cuda(Int4View<CudaTile>{bytes.data(), s});
    const int32_t row = o.n_rows / 2 + 3;
    const int32_t from = logical_row(o.order, o.heads, o.n_rows, row);
    for (int32_t col = 0; col < s.cols; ++col) {
      EXPECT_EQ(packed_order.q[static_cast<size_t>(row * s.cols + col)],
                m.q[static_cast<size_t>(from * s.cols + col)]);
    }
  }
}

}  // namespace
}  // namespace incipit::kernels
