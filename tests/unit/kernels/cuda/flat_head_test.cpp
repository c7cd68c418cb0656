// The flat product of the head, as flat_matmul_test.cpp has the others. Outputs start as NaN.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "tests/unit/kernels/cuda/flat_operands.h"

namespace incipit::kernels::cuda {
namespace {

struct HeadWeights {
  Int8Matrix int8;
  std::vector<uint16_t> f16;
  DeviceArray<std::byte> int8_bytes;
  DeviceArray<uint16_t> f16_values;
  HeadWeights(int32_t vocab, int32_t hidden, std::mt19937& random)
      : int8(random_int8({vocab, hidden}, random)),
        f16(to_halves(random_rows(vocab, hidden, random))),
        int8_bytes(pack_cuda(int8)),
        f16_values(f16) {}
  float at_int8(int32_t row, int32_t col) const { return weight_at(int8, row, col); }
  float at_f16(int32_t row, int32_t col) const {
    return half_to_float(f16[at(int64_t{row} * int8.shape.cols + col)]);
  }
};

std::vector<float> run_head(bool is_int8, const HeadWeights& w, const Rows& in,
                            const std::vector<int32_t>& rows, const Scratch& scratch) {
  const auto n = static_cast<int32_t>(rows.size());
  const DeviceArray<int32_t> d_rows(rows);
  const DeviceArray<float> logits(int64_t{n} * w.int8.shape.rows);
  FlatHeadParams p;
  p.n_logit_rows = n;
  p.hidden = in.cols;
  p.vocab = w.int8.shape.rows;
  p.rows = d_rows.data();
  p.in = in.normed();
  p.norm_eps = kEps;
  if (is_int8) p.w_int8 = {w.int8_bytes.data(), w.int8.shape};
  if (!is_int8) p.w_f16 = w.f16_values.data();
  p.logits = logits.data();
  flat_head(p, scratch.view(), {});
  return logits.read();
}

std::vector<int32_t> logit_rows(int32_t n, int32_t n_rows, std::mt19937& random) {
  std::vector<int32_t> rows;
  for (int32_t i = 0; i < n; ++i)
    rows.push_back(static_cast<int32_t>(random() % static_cast<uint32_t>(n_rows)));
  return rows;
}

TEST(FlatHead, GivesTheLogitsOfTheRowsAskedFor) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  for (const auto& [vocab, hidden] : {std::pair{333, 192}, {96, 1088}}) {
    const HeadWeights w(vocab, hidden, random);
    const Scratch scratch(hidden, 64, {1, 1, 64}, vocab);
    const Rows in(20, hidden, random);
    for (const bool is_int8 : {true, false}) {
      for (const int32_t n : {1, 3, 8, 9, 17, 65}) {
        const std::vector<int32_t> rows = logit_rows(n, 20, random);
        const std::vector<float> got = run_head(is_int8, w, in, rows, scratch);
        for (int32_t i = 0; i < n; ++i) {
          for (int32_t token = 0; token < vocab; ++token) {
            const int32_t row = rows[at(i)];
            const Sum sum = exact_sum(in, row, [&](int32_t col) {
              return is_int8 ? w.at_int8(token, col) : w.at_f16(token, col);
            });
            const double want = sum.value * in.norm(row);
            ASSERT_NEAR(got[at(int64_t{i} * vocab + token)], want,
                        sum.error * in.norm(row) + std::fabs(want) * 10 * 0x1p-23)
                << (is_int8 ? "int8" : "f16") << ", row " << i << " of " << n << ", token "
                << token;
          }
        }
      }
    }
  }
}

TEST(FlatHead, GivesARowTheSameBitsInAnyBatch) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  const HeadWeights w(333, 1088, random);
  const Scratch scratch(1088, 64, {1, 1, 64}, 333);
  const Rows in(64, 1088, random);
  for (const bool is_int8 : {true, false}) {
    std::vector<int32_t> every = pick_rows(64, random);
    std::sort(every.begin(), every.end());
    const std::vector<float> want = run_head(is_int8, w, in, every, scratch);
    for (const int32_t n_rows : kRowCounts) {
      const std::vector<int32_t> rows = pick_rows(n_rows, random);
      expect_same_rows(run_head(is_int8, w, in, rows, scratch), want, rows, 333);
    }
  }
}

}  // namespace
}  // namespace incipit::kernels::cuda
