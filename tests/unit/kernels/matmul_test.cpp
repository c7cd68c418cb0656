// The matrix products against the double-precision reference, within a derived bound, and the
// promise that instruction set, number of rows and threads do not change a bit.
#include "kernels/cpu/matmul.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/reference/matmul.h"
#include "tests/support/kernel_inputs.h"

namespace incipit::kernels {
namespace {

constexpr float kUntouched = 12345.5f;  // between and after the rows of y: must stay

struct MatmulProblem {
  int32_t n_rows, n_out, cols;
  std::vector<float> x;         // [n_rows, cols]
  std::vector<double> weights;  // [n_out, cols]
};

// y with one guard float after each row; poisoned where the kernel must write.
struct Output {
  Output(int32_t n_rows, int32_t n_out)
      : stride(n_out + 1), values(poisoned(int64_t{n_rows} * stride)) {
    for (int32_t row = 0; row < n_rows; ++row) values[at(row, n_out)] = kUntouched;
  }
  size_t at(int32_t row, int32_t out) const { return static_cast<size_t>(row * stride + out); }
  int64_t stride;
  std::vector<float> values;
};

// |y - exact| <= per group: half a quantisation step of each activation times its weight, where
// x * inverse, inverse and scale round (3 * 2^-24 of 16256 steps more); plus float rounding of the
// n_groups fused sums and of the conversion and scale product of each term.
double error_bound(const MatmulProblem& p, int32_t group, int32_t row, int32_t out) {
  constexpr double kEpsilon = 0x1p-24;
  double quantisation = 0;
  double magnitude = 0;
  const int32_t n_groups = static_cast<int32_t>(ceil_div(p.cols, group));
  for (int32_t g = 0; g < n_groups; ++g) {
    double absmax = 0;
    double weight_sum = 0;
    for (int32_t col = g * group; col < std::min(p.cols, (g + 1) * group); ++col) {
      const double w = std::fabs(p.weights[static_cast<size_t>(int64_t{out} * p.cols + col)]);
      const double x = std::fabs(p.x[static_cast<size_t>(int64_t{row} * p.cols + col)]);
      absmax = std::max(absmax, x);
      weight_sum += w;
      magnitude += w * x;
    }
    quantisation += absmax / kQuantMax * (0.5 + 3 * kEpsilon * kQuantMax) * weight_sum;
  }
  return quantisation + (n_groups + 4) * kEpsilon * (magnitude + quantisation);
}

void expect_close(const MatmulProblem& p, const Output& y, int32_t group, const char* what) {
  const std::vector<double> exact =
      reference::matmul(p.weights, p.n_out, p.cols, p.x.data(), p.cols, p.n_rows);
  for (int32_t row = 0; row < p.n_rows; ++row) {
    for (int32_t out = 0; out < p.n_out; ++out) {
      const double want = exact[static_cast<size_t>(int64_t{row} * p.n_out + out)];
      const double bound = error_bound(p, group, row, out);
      const float got = y.values[y.at(row, out)];
      ASSERT_LE(std::fabs(got - want), bound)
          << what << ": row " << row << " of " << p.n_rows << ", output " << out << " of "
          << p.n_out << ", cols " << p.cols << ", group " << group << ": got " << got << ", want "
          << want << " (NaN: not written)";
    }
    ASSERT_EQ(y.values[y.at(row, p.n_out)], kUntouched) << what << ": wrote past row " << row;
  }
}

// Bits of the written values; NaN would compare unequal as floats.
std::vector<uint32_t> bits_of(const Output& y) {
  std::vector<uint32_t> bits(y.values.size());
  std::memcpy(bits.data(), y.values.data(), bits.size() * sizeof(float));
  return bits;
}

Output run_int4(const Int4View<CpuTile>& w, const float* x, int32_t n_rows, Isa isa,
                ThreadPool& pool) {
  AlignedBytes scratch(quantized_rows_bytes(n_rows, w.shape.cols, w.shape.group));
  const QuantizedRows q = quantized_rows_in(scratch.data(), n_rows, w.shape.cols, w.shape.group);
  quantize_rows(x, w.shape.cols, q, 0, n_rows, isa);
  Output y(n_rows, w.shape.rows);
  int4_matmul({w, q, y.values.data(), y.stride, MatmulStore::kOverwrite}, isa, pool);
  return y;
}

Output run_int8(const Int8View<CpuTile>& w, const float* x, int32_t n_rows, Isa isa,
                ThreadPool& pool) {
  AlignedBytes scratch(quantized_rows_bytes(n_rows, w.shape.cols, kInt8HeadGroup));
  const QuantizedRows q = quantized_rows_in(scratch.data(), n_rows, w.shape.cols, kInt8HeadGroup);
  quantize_rows(x, w.shape.cols, q, 0, n_rows, isa);
  Output y(n_rows, w.shape.rows);
  int8_matmul({w, q, y.values.data(), y.stride}, isa, pool);
  return y;
}

Output run_f16(const std::vector<uint16_t>& w, int32_t n_out, int32_t cols, const float* x,
               int32_t n_rows, Isa isa, ThreadPool& pool) {
  Output y(n_rows, n_out);
  F16MatmulParams params;
  params.w = w.data();
  params.n_out = n_out;
  params.cols = cols;
  params.n_rows = n_rows;
  params.x = x;
  params.x_stride = cols;
  params.y = y.values.data();
  params.y_stride = y.stride;
  f16_matmul(params, isa, pool);
  return y;
}

struct Shape {
  int32_t n_rows, n_out, cols;
};

// Every number of rows, of columns and of outputs that sits on or beside a tile's edge, without the
// full product of the three.
std::vector<Shape> odd_shapes() {
  std::vector<Shape> shapes;
  for (const int32_t n_rows : {1, 2, 7, 8, 9, 15, 16, 17, 63, 64, 65, 257}) {
    shapes.push_back({n_rows, 33, 200});
  }
  for (const int32_t cols : {1, 96, 128, 200, 256, 1408}) shapes.push_back({7, 31, cols});
  for (const int32_t n_out : {1, 16, 31, 32, 33, 257}) shapes.push_back({9, n_out, 256});
  for (const int32_t n_rows : {1, 2, 3, 4, 5, 6, 13}) shapes.push_back({n_rows, 16, 96});
  return shapes;
}

class MatmulOn : public testing::TestWithParam<Isa> {
 protected:
  ThreadPool pool_{2};
  std::mt19937 random_{test_seed()};
};
INSTANTIATE_TEST_SUITE_P(Isas, MatmulOn, testing::ValuesIn(isas_of_this_machine()),
                         [](const auto& p) { return std::string(name_of(p.param)); });

TEST_P(MatmulOn, Int4StaysWithinTheDerivedBoundOfTheReference) {
  for (const Shape& s : odd_shapes()) {
    for (const int32_t group : {32, 64, 128}) {
      if (s.n_rows > 60 && group != 128) continue;  // rows and groups do not meet in a block
      for (const bool has_zeros : {false, true}) {
        if (s.n_rows > 60 && has_zeros != (s.n_rows % 2 == 0)) continue;
        const auto w = packed(random_int4({s.n_out, s.cols, group, has_zeros}, random_));
        const MatmulProblem p{s.n_rows, s.n_out, s.cols, random_rows(s.n_rows, s.cols, random_),
                              reference::dequantize(w.view)};
        const Output y = run_int4(w.view, p.x.data(), s.n_rows, GetParam(), pool_);
        expect_close(p, y, group, has_zeros ? "int4 with zeros" : "int4");
      }
    }
  }
}

TEST_P(MatmulOn, Int8StaysWithinTheDerivedBoundOfTheReference) {
  for (const Shape& s : odd_shapes()) {
    const auto w = packed(random_int8({s.n_out, s.cols}, random_));
    const MatmulProblem p{s.n_rows, s.n_out, s.cols, random_rows(s.n_rows, s.cols, random_),
                          reference::dequantize(w.view)};
    const Output y = run_int8(w.view, p.x.data(), s.n_rows, GetParam(), pool_);
    expect_close(p, y, kInt8HeadGroup, "int8");
  }
}

TEST_P(MatmulOn, F16StaysWithinFloatRoundingOfTheReference) {
  for (const Shape& s : odd_shapes()) {
    std::vector<uint16_t> w;
    for (const float v : random_rows(s.n_out, s.cols, random_)) w.push_back(float_to_half(v));
    const std::vector<double> weights = reference::dequantize_f16(w.data(), s.n_out, s.cols);
    const std::vector<float> x = random_rows(s.n_rows, s.cols, random_);
    const Output y = run_f16(w, s.n_out, s.cols, x.data(), s.n_rows, GetParam(), pool_);
    const std::vector<double> exact =
        reference::matmul(weights, s.n_out, s.cols, x.data(), s.cols, s.n_rows);
    for (int32_t row = 0; row < s.n_rows; ++row) {
      for (int32_t out = 0; out < s.n_out; ++out) {
        double magnitude = 0;
        for (int32_t col = 0; col < s.cols; ++col) {
          magnitude += std::fabs(weights[static_cast<size_t>(out * s.cols + col)] *
                                 x[static_cast<size_t>(row * s.cols + col)]);
        }
        // A lane sums cols / 16 products, one rounding each; the tree adds 4.
        const double bound = (ceil_div(s.cols, 16) + 4) * 0x1p-24 * magnitude * 1.01;
        const double want = exact[static_cast<size_t>(int64_t{row} * s.n_out + out)];
        ASSERT_LE(std::fabs(y.values[y.at(row, out)] - want), bound)
            << "rows " << s.n_rows << " outputs " << s.n_out << " cols " << s.cols;
      }
      ASSERT_EQ(y.values[y.at(row, s.n_out)], kUntouched);
    }
  }
}

TEST_P(MatmulOn, AddingIsOneFloatAdditionOnTopOfTheProduct) {
  for (const int32_t n_rows : {1, 7}) {
    const auto w = packed(random_int4({45, 200, 128, false}, random_));
    const std::vector<float> x = random_rows(n_rows, 200, random_);
    const Output product = run_int4(w.view, x.data(), n_rows, GetParam(), pool_);
    const std::vector<float> before = random_rows(n_rows, 46, random_);
    std::vector<float> y = before;
    AlignedBytes scratch(quantized_rows_bytes(n_rows, 200, 128));
    const QuantizedRows q = quantized_rows_in(scratch.data(), n_rows, 200, 128);
    quantize_rows(x.data(), 200, q, 0, n_rows, GetParam());
    int4_matmul({w.view, q, y.data(), 46, MatmulStore::kAdd}, GetParam(), pool_);
    for (int32_t row = 0; row < n_rows; ++row) {
      for (int32_t out = 0; out < 45; ++out) {
        const size_t at = static_cast<size_t>(row * 46 + out);
        ASSERT_EQ(y[at], before[at] + product.values[product.at(row, out)]);
      }
      const size_t guard = static_cast<size_t>(row * 46 + 45);
      ASSERT_EQ(y[guard], before[guard]);
    }
  }
}

TEST_P(MatmulOn, EveryInstructionSetGivesTheBitsOfTheScalarCode) {
  for (const Shape& s : odd_shapes()) {
    const std::vector<float> x = random_rows(s.n_rows, s.cols, random_);
    for (const int32_t group : {32, 64, 128}) {
      if (s.n_rows > 60 && group != 128) continue;
      const auto w = packed(random_int4({s.n_out, s.cols, group, group == 64}, random_));
      ASSERT_EQ(bits_of(run_int4(w.view, x.data(), s.n_rows, GetParam(), pool_)),
                bits_of(run_int4(w.view, x.data(), s.n_rows, Isa::kScalar, pool_)))
          << "int4 rows " << s.n_rows << " outputs " << s.n_out << " cols " << s.cols;
    }
    const auto w8 = packed(random_int8({s.n_out, s.cols}, random_));
    ASSERT_EQ(bits_of(run_int8(w8.view, x.data(), s.n_rows, GetParam(), pool_)),
              bits_of(run_int8(w8.view, x.data(), s.n_rows, Isa::kScalar, pool_)));
    std::vector<uint16_t> w16;
    for (const float v : random_rows(s.n_out, s.cols, random_)) w16.push_back(float_to_half(v));
    ASSERT_EQ(bits_of(run_f16(w16, s.n_out, s.cols, x.data(), s.n_rows, GetParam(), pool_)),
              bits_of(run_f16(w16, s.n_out, s.cols, x.data(), s.n_rows, Isa::kScalar, pool_)));
  }
}

TEST_P(MatmulOn, ARowsResultDoesNotDependOnItsNeighboursOrTheThreads) {
  constexpr int32_t kRows = 40;
  const int32_t cols = 384;
  const int32_t n_out = 100;
  const std::vector<float> x = random_rows(kRows, cols, random_);
  const auto w4 = packed(random_int4({n_out, cols, 128, false}, random_));
  const auto w8 = packed(random_int8({n_out, cols}, random_));
  std::vector<uint16_t> w16;
  for (const float v : random_rows(n_out, cols, random_)) w16.push_back(float_to_half(v));
  const Isa isa = GetParam();
  const Output all4 = run_int4(w4.view, x.data(), kRows, isa, pool_);
  const Output all8 = run_int8(w8.view, x.data(), kRows, isa, pool_);
  const Output all16 = run_f16(w16, n_out, cols, x.data(), kRows, isa, pool_);
  for (const int n_threads : {1, 2, 5}) {
    ThreadPool pool(n_threads);
    for (int32_t n_rows = 1; n_rows <= 17; ++n_rows) {
      const int32_t first = static_cast<int32_t>(random_() % (kRows - n_rows));
      const float* rows = x.data() + int64_t{first} * cols;
      const Output some4 = run_int4(w4.view, rows, n_rows, isa, pool);
      const Output some8 = run_int8(w8.view, rows, n_rows, isa, pool);
      const Output some16 = run_f16(w16, n_out, cols, rows, n_rows, isa, pool);
      for (int32_t row = 0; row < n_rows; ++row) {
        for (int32_t out = 0; out < n_out; ++out) {
          const size_t here = some4.at(row, out);
          const size_t there = all4.at(first + row, out);
          ASSERT_EQ(some4.values[here], all4.values[there]) << "int4, " << n_rows << " rows";
          ASSERT_EQ(some8.values[here], all8.values[there]) << "int8, " << n_rows << " rows";
          ASSERT_EQ(some16.values[here], all16.values[there]) << "f16, " << n_rows << " rows";
        }
      }
    }
  }
}

TEST_P(MatmulOn, RowsTooLongForTheCachesEqualTheSameRowsAlone) {
  // More than a panel of rows, more than a run of tiles.
  constexpr int32_t kRows = 43;
  constexpr int32_t kCols = 9000;
  const std::vector<float> x = random_rows(kRows, kCols, random_);
  const auto w4 = packed(random_int4({70, kCols, 128, false}, random_));
  const auto w8 = packed(random_int8({70, kCols}, random_));
  const Output all4 = run_int4(w4.view, x.data(), kRows, GetParam(), pool_);
  const Output all8 = run_int8(w8.view, x.data(), kRows, GetParam(), pool_);
  for (const int32_t row : {0, 7, 8, 35, 36, 42}) {
    const float* alone = x.data() + int64_t{row} * kCols;
    const Output one4 = run_int4(w4.view, alone, 1, GetParam(), pool_);
    const Output one8 = run_int8(w8.view, alone, 1, GetParam(), pool_);
    for (int32_t out = 0; out < 70; ++out) {
      ASSERT_EQ(one4.values[one4.at(0, out)], all4.values[all4.at(row, out)]) << "int4 row " << row;
      ASSERT_EQ(one8.values[one8.at(0, out)], all8.values[all8.at(row, out)]) << "int8 row " << row;
    }
  }
}

TEST_P(MatmulOn, ExtremeIntegersDoNotSaturateOrOverflow) {
  // Every product at its largest: q 15 (zero 0 or 16) or +-127 times activations at +-absmax.
  for (const int zero : {0, 16}) {
    Int4Matrix m = random_int4({32, 256, 128, true}, random_);
    std::fill(m.q.begin(), m.q.end(), uint8_t{static_cast<uint8_t>(zero == 0 ? 15 : 0)});
    std::fill(m.zeros.begin(), m.zeros.end(), static_cast<uint8_t>(zero));
    const auto w = packed(m);
    for (const float value : {1.0f, -1.0f}) {
      const MatmulProblem p{2, 32, 256, std::vector<float>(512, value),
                            reference::dequantize(w.view)};
      expect_close(p, run_int4(w.view, p.x.data(), 2, GetParam(), pool_), 128, "int4 extremes");
    }
  }
  for (const int q : {-127, 127}) {
    Int8Matrix m = random_int8({32, 256}, random_);
    std::fill(m.q.begin(), m.q.end(), static_cast<int8_t>(q));
    const auto w = packed(m);
    for (const float value : {1.0f, -1.0f}) {
      const MatmulProblem p{2, 32, 256, std::vector<float>(512, value),
                            reference::dequantize(w.view)};
      expect_close(p, run_int8(w.view, p.x.data(), 2, GetParam(), pool_), 128, "int8 extremes");
    }
  }
}

TEST_P(MatmulOn, ABrokenActivationSpoilsItsOwnRowOnly) {
  const auto w = packed(random_int4({33, 256, 128, false}, random_));
  std::vector<float> x = random_rows(3, 256, random_);
  const Output clean = run_int4(w.view, x.data(), 3, GetParam(), pool_);
  x[256 + 7] = std::numeric_limits<float>::quiet_NaN();
  const Output y = run_int4(w.view, x.data(), 3, GetParam(), pool_);
  for (int32_t out = 0; out < 33; ++out) {
    EXPECT_TRUE(std::isnan(y.values[y.at(1, out)]));
    EXPECT_EQ(y.values[y.at(0, out)], clean.values[clean.at(0, out)]);
    EXPECT_EQ(y.values[y.at(2, out)], clean.values[clean.at(2, out)]);
  }
}

}  // namespace
}  // namespace incipit::kernels
