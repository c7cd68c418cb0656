// The flat product of q, k and v with its rotation and its pages, as flat_matmul_test.cpp has the
// others. Outputs start as NaN.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "tests/unit/kernels/cuda/flat_operands.h"

namespace incipit::kernels::cuda {
namespace {

struct QkvCase {
  HeadShape heads;
  int32_t hidden, group;
  bool has_zeros;
  int32_t n_rows() const { return (heads.n_heads + 2 * heads.n_kv_heads) * heads.head_dim; }
  HeadOrder order() const {
    return {(heads.n_heads + heads.n_kv_heads) * heads.head_dim, heads.head_dim};
  }
};
const QkvCase kQkvCases[] = {
    {{8, 4, 64}, 512, 128, false}, {{3, 1, 128}, 1088, 128, false}, {{2, 2, 64}, 192, 32, true}};

// Row i is at position 16 * i + i % 16 (a page of its own), and sequence i % 2; row 2 is padding.
struct QkvBatch {
  static constexpr int32_t kPages = 64;
  std::vector<int32_t> positions, sequences, tables;
  QkvBatch() {
    for (int32_t i = 0; i < 64; ++i) {
      positions.push_back(i == 2 ? -1 : 16 * i + i % 16);
      sequences.push_back(i % 2);
      tables.push_back((i * 37 + 11) % kPages);
    }
    for (int32_t i = 0; i < 64; ++i) tables.push_back((i * 37 + 11) % kPages);
  }
};

struct QkvResult {
  std::vector<uint16_t> q, k, v;
};
QkvResult run_qkv(const QkvCase& c, const Weights& w, const Rows& in,
                  const std::vector<int32_t>& picked, const std::vector<float>& cos,
                  const std::vector<float>& sin, const Scratch& scratch) {
  const QkvBatch batch;
  std::vector<int32_t> positions, sequences;
  for (const int32_t row : picked) {
    positions.push_back(batch.positions[at(row)]);
    sequences.push_back(batch.sequences[at(row)]);
  }
  const DeviceArray<int32_t> d_positions(positions), d_sequences(sequences), d_tables(batch.tables);
  const DeviceArray<float> d_cos(cos), d_sin(sin);
  const int64_t pages = int64_t{QkvBatch::kPages} * c.heads.n_kv_heads * 16 * c.heads.head_dim;
  const DeviceArray<uint16_t> q(int64_t{in.n_rows} * c.heads.n_heads * c.heads.head_dim), k(pages),
      v(pages);
  FlatQkvParams p;
  p.rows = {in.n_rows, d_positions.data(), d_sequences.data(), d_tables.data(), 64};
  p.hidden = c.hidden;
  p.heads = c.heads;
  p.in = in.normed();
  p.norm_eps = kEps;
  p.w_qkv = w.view();
  p.rope_cos = d_cos.data();
  p.rope_sin = d_sin.data();
  p.q = q.data();
  p.kv = {k.data(), v.data()};
  flat_qkv(p, scratch.view(), {});
  return {q.read(), k.read(), v.read()};
}

// Where row `row` has dimension d of kv head `head`.
size_t slot(const QkvCase& c, int32_t row, int32_t head, int32_t d) {
  const QkvBatch batch;
  const int32_t position = batch.positions[at(row)];
  const int64_t page = batch.tables[at(batch.sequences[at(row)] * 64 + position / 16)];
  return at(((page * c.heads.n_kv_heads + head) * 16 + position % 16) * c.heads.head_dim + d);
}

class FlatQkv : public ::testing::Test {
 protected:
  void make(const QkvCase& c, std::mt19937& random) {
    const int32_t half = c.heads.head_dim / 2;
    std::uniform_real_distribution<float> angle(0.0f, 6.3f);
    cos.clear();
    sin.clear();
    for (int32_t i = 0; i < 1024 * half; ++i) {
      const float a = angle(random);
      cos.push_back(std::cos(a));
      sin.push_back(std::sin(a));
    }
  }
  std::vector<float> cos, sin;
};

void expect_qkv_row(const QkvCase& c, const Weights& w, const Rows& in, int32_t row,
                    const std::vector<float>& cos, const std::vector<float>& sin,
                    const QkvResult& got) {
  const int32_t dim = c.heads.head_dim;
  const int32_t half = dim / 2;
  const int32_t position = QkvBatch().positions[at(row)];
  const double norm = in.norm(row);
  for (int32_t out = 0; out < c.n_rows(); ++out) {
    const int32_t head = out / dim;
    const int32_t d = out % dim;
    const bool is_q = head < c.heads.n_heads;
    const bool is_v = head >= c.heads.n_heads + c.heads.n_kv_heads;
    if (!is_q && position < 0) continue;
    const auto sum_of = [&](int32_t row_of_w) {
      return exact_sum(in, row, [&](int32_t col) { return weight_at(w.plain, row_of_w, col); });
    };
    const Sum a = sum_of(out);
    double want = a.value * norm;
    double error = a.error * norm + std::fabs(want) * 8 * 0x1p-23;
    if (!is_v) {
      const Sum b = sum_of(d < half ? out + half : out - half);
      const size_t i = at(int64_t{std::max(position, 0)} * half + d % half);
      const double other = b.value * norm * (d < half ? -1 : 1);
      want = want * cos[i] + other * sin[i];
      error += b.error * norm + std::fabs(other) * 8 * 0x1p-23;
    }
    const int32_t n_heads = c.heads.n_heads;
    const uint16_t bits = is_q   ? got.q[at((int64_t{row} * n_heads + head) * dim + d)]
                          : is_v ? got.v[slot(c, row, head - n_heads - c.heads.n_kv_heads, d)]
                                 : got.k[slot(c, row, head - n_heads, d)];
    ASSERT_NEAR(half_to_float(bits), want, half_error(want, error))
        << "row " << row << ", head " << head << ", dimension " << d;
  }
}

TEST_F(FlatQkv, TurnsAndAppends) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  for (const QkvCase& c : kQkvCases) {
    make(c, random);
    const Weights w({c.n_rows(), c.hidden, c.group, c.has_zeros}, RowOrder::kRopePairs, c.order(),
                    random);
    const Scratch scratch(c.hidden, 64, c.heads, 64);
    for (const int32_t n_rows : {1, 3, 8, 16, 33, 64}) {
      SCOPED_TRACE(n_rows);
      const Rows in(n_rows, c.hidden, random);
      std::vector<int32_t> rows;
      for (int32_t i = 0; i < n_rows; ++i) rows.push_back(i);
      const QkvResult got = run_qkv(c, w, in, rows, cos, sin, scratch);
      for (int32_t row = 0; row < n_rows; ++row) expect_qkv_row(c, w, in, row, cos, sin, got);
      // Nothing but the rows' own slots was written.
      const int64_t n_slots =
          std::count_if(got.k.begin(), got.k.end(), [](uint16_t bits) { return bits != 0xffffu; });
      EXPECT_EQ(n_slots,
                int64_t{n_rows - (n_rows > 2 ? 1 : 0)} * c.heads.n_kv_heads * c.heads.head_dim);
    }
  }
}

TEST_F(FlatQkv, GivesARowTheSameBitsInAnyBatch) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  for (const QkvCase& c : kQkvCases) {
    make(c, random);
    const Weights w({c.n_rows(), c.hidden, c.group, c.has_zeros}, RowOrder::kRopePairs, c.order(),
                    random);
    const Scratch scratch(c.hidden, 64, c.heads, 64);
    const Rows all(64, c.hidden, random);
    std::vector<int32_t> every = pick_rows(64, random);
    std::sort(every.begin(), every.end());
    const QkvResult want = run_qkv(c, w, all, every, cos, sin, scratch);
    for (const int32_t n_rows : kRowCounts) {
      const std::vector<int32_t> rows = pick_rows(n_rows, random);
      const QkvResult got = run_qkv(c, w, Rows(all, rows), rows, cos, sin, scratch);
      expect_same_rows(got.q, want.q, rows, c.heads.n_heads * c.heads.head_dim);
      for (size_t i = 0; i < got.k.size(); ++i) {
        if (got.k[i] != 0xffffu) {
          ASSERT_EQ(got.k[i], want.k[i]) << i;
        }
        if (got.v[i] != 0xffffu) {
          ASSERT_EQ(got.v[i], want.v[i]) << i;
        }
      }
    }
  }
}

}  // namespace
}  // namespace incipit::kernels::cuda
