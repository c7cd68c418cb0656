#include "kernels/cpu/quantized_rows.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/kernel_inputs.h"

namespace incipit::kernels {
namespace {

struct Quantized {
  AlignedBytes scratch;
  QuantizedRows rows;
};

Quantized quantized(const std::vector<float>& x, int32_t n_rows, int32_t cols, int32_t group,
                    Isa isa) {
  AlignedBytes scratch(quantized_rows_bytes(n_rows, cols, group));
  const QuantizedRows rows = quantized_rows_in(scratch.data(), n_rows, cols, group);
  quantize_rows(x.data(), cols, rows, 0, n_rows, isa);
  return {std::move(scratch), rows};
}

int32_t value_at(const QuantizedRows& q, int32_t row, int32_t col) {
  const int8_t* line = quantized_line(q, col / kQuantChunk, row);
  return 128 * line[col % kQuantChunk] + line[kQuantChunk + col % kQuantChunk];
}

class QuantizedRowsOn : public testing::TestWithParam<Isa> {};
INSTANTIATE_TEST_SUITE_P(Isas, QuantizedRowsOn, testing::ValuesIn(isas_of_this_machine()),
                         [](const auto& p) { return std::string(name_of(p.param)); });

TEST_P(QuantizedRowsOn, StaysWithinHalfAStepAndSumsExactly) {
  std::mt19937 random(test_seed());
  for (const int32_t group : {32, 64, 128}) {
    for (const int32_t cols : {1, 31, 96, 128, 200, 1408}) {
      const int32_t n_rows = 3;
      const std::vector<float> x = random_rows(n_rows, cols, random);
      const Quantized q = quantized(x, n_rows, cols, group, GetParam());
      for (int32_t row = 0; row < n_rows; ++row) {
        for (int32_t g = 0; g < q.rows.n_groups; ++g) {
          const float scale = q.rows.scales[g * n_rows + row];
          int32_t sum = 0;
          for (int32_t col = g * group; col < (g + 1) * group; ++col) {
            const int32_t v = value_at(q.rows, row, col);
            ASSERT_LE(std::abs(v), kQuantMax);
            sum += v;
            if (col >= cols) {
              ASSERT_EQ(v, 0) << "padding, column " << col;
              continue;
            }
            // x * inverse, inverse and scale round once each: 3 * 2^-24 of at most 16256 steps.
            const double error =
                std::fabs(double{scale} * v - x[static_cast<size_t>(row * cols + col)]);
            ASSERT_LE(error, scale * (0.5 + 3 * 0x1p-24 * kQuantMax));
          }
          ASSERT_EQ(sum, q.rows.sums[g * n_rows + row]);
        }
      }
    }
  }
}

TEST_P(QuantizedRowsOn, WritesTheSameBytesAsTheScalarCode) {
  std::mt19937 random(test_seed());
  for (const int32_t group : {32, 64, 128}) {
    for (const int32_t cols : {1, 15, 17, 96, 200, 257}) {
      const int32_t n_rows = 5;
      std::vector<float> x = random_rows(n_rows, cols, random);
      std::fill_n(x.begin(), cols, 0.0f);
      x.back() = -0.0f;
      const Quantized scalar = quantized(x, n_rows, cols, group, Isa::kScalar);
      const Quantized other = quantized(x, n_rows, cols, group, GetParam());
      // Scale and sum arrays are padded to cache lines; the padding stays poisoned in both.
      ASSERT_EQ(
          std::memcmp(scalar.scratch.data(), other.scratch.data(), scalar.scratch.span().size()), 0)
          << "group " << group << " cols " << cols;
    }
  }
}

TEST_P(QuantizedRowsOn, TakesOnlyTheRowsItWasGiven) {
  std::mt19937 random(test_seed());
  const std::vector<float> x = random_rows(6, 100, random);
  const Quantized whole = quantized(x, 6, 100, 32, GetParam());
  AlignedBytes scratch(quantized_rows_bytes(6, 100, 32));
  const QuantizedRows rows = quantized_rows_in(scratch.data(), 6, 100, 32);
  quantize_rows(x.data(), 100, rows, 2, 6, GetParam());
  EXPECT_EQ(static_cast<uint8_t>(*quantized_line(rows, 0, 1)), 0xff) << "row 1 was written";
  quantize_rows(x.data(), 100, rows, 0, 2, GetParam());
  EXPECT_EQ(std::memcmp(scratch.data(), whole.scratch.data(), scratch.span().size()), 0);
}

TEST_P(QuantizedRowsOn, KeepsTheExtremesAndRoundsTiesToEven) {
  std::vector<float> x(32, 0.0f);
  x[0] = -16256.0f;  // scale 1
  x[1] = 16256.0f;
  x[2] = 0.5f;
  x[3] = 1.5f;
  x[4] = -2.5f;
  x[5] = 63.0f;
  x[6] = 64.0f;
  const Quantized q = quantized(x, 1, 32, 32, GetParam());
  const std::vector<int32_t> expected = {-16256, 16256, 0, 2, -2, 63, 64};
  for (int32_t col = 0; col < 7; ++col) {
    EXPECT_EQ(value_at(q.rows, 0, col), expected[static_cast<size_t>(col)]);
  }
  EXPECT_EQ(q.rows.scales[0], 1.0f);
}

TEST_P(QuantizedRowsOn, TurnsZeroAndVanishingGroupsIntoZeroAndMarksBrokenOnes) {
  std::vector<float> x(128, 0.0f);
  x[40] = 1e-38f;                                     // group 1: vanishing
  x[70] = std::numeric_limits<float>::infinity();     // group 2
  x[100] = -std::numeric_limits<float>::quiet_NaN();  // group 3
  const Quantized q = quantized(x, 1, 128, 32, GetParam());
  EXPECT_EQ(q.rows.scales[0], 0.0f);
  EXPECT_EQ(q.rows.scales[1], 0.0f);
  EXPECT_TRUE(std::isnan(q.rows.scales[2]));
  EXPECT_TRUE(std::isnan(q.rows.scales[3]));
  for (int32_t col = 0; col < 128; ++col) EXPECT_EQ(value_at(q.rows, 0, col), 0);
}

}  // namespace
}  // namespace incipit::kernels
