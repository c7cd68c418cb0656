// The flat products against double precision over odd shapes, within a bound derived from the
// arithmetic, and against themselves: the bits of a row do not depend on how many rows there are
// nor on where it stands. Outputs start as NaN.
#include "kernels/cuda/flat_matmul.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "tests/unit/kernels/cuda/flat_operands.h"

namespace incipit::kernels::cuda {
namespace {

// ---- x += W in

struct AddResult {
  std::vector<float> x, square_sums;
  std::vector<uint16_t> values;
};
AddResult run_add(const Weights& w, const Rows& in, const std::vector<float>& x0,
                  const std::vector<float>& norm, const Scratch& scratch) {
  const int32_t hidden = w.plain.shape.rows;
  const DeviceArray<float> x(x0);
  const DeviceArray<float> norm_weight(norm);
  const DeviceArray<uint16_t> values(int64_t{in.n_rows} * hidden);
  const DeviceArray<float> sums(int64_t{in.n_rows} * hidden / 16);
  FlatAddParams p;
  p.n_rows = in.n_rows;
  p.n_in = in.cols;
  p.hidden = hidden;
  p.in = in.device_values.data();
  p.w = w.view();
  p.x = x.data();
  p.next_norm_weight = norm_weight.data();
  p.next = {values.data(), sums.data()};
  flat_add(p, scratch.view(), {});
  return {x.read(), sums.read(), values.read()};
}

void expect_added(const Weights& w, const Rows& in, const std::vector<float>& x0,
                  const std::vector<float>& norm, const AddResult& got) {
  const int32_t hidden = w.plain.shape.rows;
  for (int32_t row = 0; row < in.n_rows; ++row) {
    for (int32_t out = 0; out < hidden; ++out) {
      const size_t i = at(int64_t{row} * hidden + out);
      const Sum sum = exact_sum(in, row, [&](int32_t col) { return weight_at(w.plain, out, col); });
      const double want = x0[i] + sum.value;
      ASSERT_NEAR(got.x[i], want, sum.error + std::fabs(want) * 0x1p-23)
          << "row " << row << ", output " << out;
      ASSERT_EQ(got.values[i],
                float_to_half(std::clamp(got.x[i] * norm[at(out)], -65504.0f, 65504.0f)));
    }
    for (int32_t tile = 0; tile < hidden / 16; ++tile) {
      double square = 0;
      for (int32_t i = 0; i < 16; ++i)
        square += std::pow(double{got.x[at(int64_t{row} * hidden + tile * 16 + i)]}, 2);
      ASSERT_NEAR(got.square_sums[at(int64_t{row} * (hidden / 16) + tile)], square,
                  square * 5 * 0x1p-23);
    }
  }
}

std::vector<float> slice(const std::vector<float>& all, const std::vector<int32_t>& rows,
                         int32_t width) {
  std::vector<float> picked;
  for (const int32_t row : rows)
    picked.insert(picked.end(), all.begin() + int64_t{row} * width,
                  all.begin() + int64_t{row + 1} * width);
  return picked;
}

// n of 64 rows, from anywhere.
std::vector<int32_t> pick_rows(int32_t n, std::mt19937& random) {
  std::vector<int32_t> rows(64);
  for (int32_t i = 0; i < 64; ++i) rows[at(i)] = i;
  std::shuffle(rows.begin(), rows.end(), random);
  rows.resize(at(n));
  return rows;
}

template <class T>
void expect_same_rows(const std::vector<T>& got, const std::vector<T>& all,
                      const std::vector<int32_t>& rows, int64_t width) {
  for (size_t i = 0; i < rows.size(); ++i) {
    ASSERT_EQ(std::memcmp(got.data() + i * at(width), all.data() + at(rows[i] * width),
                          at(width) * sizeof(T)),
              0)
        << rows.size() << " rows, row " << i << " (" << rows[i] << " of 64)";
  }
}

TEST(FlatAdd, AddsTheProductAndPreparesTheNextNorm) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  for (const Shape& s : kShapes) {
    SCOPED_TRACE(std::to_string(s.out) + "x" + std::to_string(s.in));
    const Weights w({s.out, s.in, s.group, s.has_zeros}, RowOrder::kPlain, {}, random);
    const Scratch scratch(s.out, s.in, {1, 1, 64}, s.out);
    const std::vector<float> norm = random_rows(1, s.out, random);
    for (const int32_t n_rows : kRowCounts) {
      SCOPED_TRACE(n_rows);
      const Rows in(n_rows, s.in, random);
      const std::vector<float> x0 = random_rows(n_rows, s.out, random);
      expect_added(w, in, x0, norm, run_add(w, in, x0, norm, scratch));
    }
  }
}

TEST(FlatAdd, GivesARowTheSameBitsInAnyBatch) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  for (const Shape& s : kShapes) {
    SCOPED_TRACE(std::to_string(s.out) + "x" + std::to_string(s.in));
    const Weights w({s.out, s.in, s.group, s.has_zeros}, RowOrder::kPlain, {}, random);
    const Scratch scratch(s.out, s.in, {1, 1, 64}, s.out);
    const std::vector<float> norm = random_rows(1, s.out, random);
    const Rows all(64, s.in, random);
    const std::vector<float> x0 = random_rows(64, s.out, random);
    const AddResult want = run_add(w, all, x0, norm, scratch);
    for (const int32_t n_rows : kRowCounts) {
      const std::vector<int32_t> rows = pick_rows(n_rows, random);
      const AddResult got = run_add(w, Rows(all, rows), slice(x0, rows, s.out), norm, scratch);
      expect_same_rows(got.x, want.x, rows, s.out);
      expect_same_rows(got.values, want.values, rows, s.out);
      expect_same_rows(got.square_sums, want.square_sums, rows, s.out / 16);
    }
  }
}

TEST(FlatAdd, LimitsTheNextRowsToFp16) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  const Weights w({64, 64, 128, false}, RowOrder::kPlain, {}, random);
  const Scratch scratch(64, 64, {1, 1, 64}, 64);
  const std::vector<float> norm(64, 1e6f);
  const Rows in(2, 64, random);
  const std::vector<float> x0 = random_rows(2, 64, random);
  const AddResult got = run_add(w, in, x0, norm, scratch);
  expect_added(w, in, x0, norm, got);
}

// ---- silu(gate) * up

std::vector<uint16_t> run_gate_up(const Weights& w, const Rows& in, const Scratch& scratch) {
  const int32_t ffn = w.plain.shape.rows / 2;
  const DeviceArray<uint16_t> act(int64_t{in.n_rows} * ffn);
  FlatGateUpParams p;
  p.n_rows = in.n_rows;
  p.hidden = in.cols;
  p.ffn = ffn;
  p.in = in.normed();
  p.norm_eps = kEps;
  p.w_gate_up = w.view();
  p.act = act.data();
  flat_gate_up(p, scratch.view(), {});
  return act.read();
}

const Shape kGateUpShapes[] = {{2 * 1408, 512, 128, false},
                               {2 * 104, 1088, 128, false},
                               {2 * 72, 2048, 64, true},
                               {2 * 40, 64, 32, false}};

TEST(FlatGateUp, MultipliesSiluOfTheGateWithUp) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  for (const Shape& s : kGateUpShapes) {
    SCOPED_TRACE(std::to_string(s.out) + "x" + std::to_string(s.in));
    const Weights w({s.out, s.in, s.group, s.has_zeros}, RowOrder::kGateUp, {}, random);
    const int32_t ffn = s.out / 2;
    const Scratch scratch(s.in, ffn, {1, 1, 64}, 64);
    for (const int32_t n_rows : {1, 5, 8, 17, 33, 64}) {
      const Rows in(n_rows, s.in, random);
      const std::vector<uint16_t> got = run_gate_up(w, in, scratch);
      for (int32_t row = 0; row < n_rows; ++row) {
        const double norm = in.norm(row);
        for (int32_t i = 0; i < ffn; ++i) {
          const Sum g = exact_sum(in, row, [&](int32_t c) { return weight_at(w.plain, i, c); });
          const Sum u =
              exact_sum(in, row, [&](int32_t c) { return weight_at(w.plain, ffn + i, c); });
          const double gate = g.value * norm;
          const double up = u.value * norm;
          const double silu = gate / (1 + std::exp(-gate));
          // silu's slope is below 1.1. The norm and the product round a few times; __expf is off
          // by 2 + 1.2 |gate| units (CUDA programming guide), the quotient by 2.
          const double silu_error = 1.1 * (g.error * norm + std::fabs(gate) * 8 * 0x1p-23) +
                                    std::fabs(silu) * (6 + 1.2 * std::fabs(gate)) * 0x1p-23;
          const double up_error = u.error * norm + std::fabs(up) * 8 * 0x1p-23;
          const double error =
              silu_error * std::fabs(up) + up_error * std::fabs(silu) + silu_error * up_error;
          const double want = std::clamp(silu * up, -65504.0, 65504.0);
          ASSERT_NEAR(half_to_float(got[at(int64_t{row} * ffn + i)]), want, half_error(want, error))
              << "row " << row << " of " << n_rows << ", output " << i;
        }
      }
    }
  }
}

TEST(FlatGateUp, GivesARowTheSameBitsInAnyBatch) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  for (const Shape& s : kGateUpShapes) {
    const Weights w({s.out, s.in, s.group, s.has_zeros}, RowOrder::kGateUp, {}, random);
    const Scratch scratch(s.in, s.out / 2, {1, 1, 64}, 64);
    const Rows all(64, s.in, random);
    const std::vector<uint16_t> want = run_gate_up(w, all, scratch);
    for (const int32_t n_rows : kRowCounts) {
      const std::vector<int32_t> rows = pick_rows(n_rows, random);
      expect_same_rows(run_gate_up(w, Rows(all, rows), scratch), want, rows, s.out / 2);
    }
  }
}

}  // namespace
}  // namespace incipit::kernels::cuda
