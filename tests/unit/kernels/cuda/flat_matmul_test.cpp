// The flat products against double precision over odd shapes, within a bound derived from the
// arithmetic, and against themselves: the bits of a row do not depend on how many rows there are
// nor on where it stands. Outputs start as NaN.
#include "kernels/cuda/flat_matmul.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "kernels/quant/cuda_codec.h"
#include "tests/support/cuda_device.h"

namespace incipit::kernels::cuda {
namespace {

const std::vector<int32_t> kRowCounts = {1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64};
constexpr float kEps = 1e-5f;

size_t at(int64_t i) {
  return static_cast<size_t>(i);
}

struct Weights {
  Int4Matrix plain;
  DeviceArray<std::byte> bytes;
  Int4View<CudaTile> view() const { return {bytes.data(), plain.shape}; }

  Weights(const Int4Shape& s, RowOrder order, const HeadOrder& heads, std::mt19937& random)
      : plain(random_int4(s, random)), bytes(pack_cuda(plain, order, heads)) {}
};

// Rows as a norm's consumer gets them.
struct Rows {
  int32_t n_rows, cols;
  std::vector<uint16_t> values;
  std::vector<float> square_sums;  // [n_rows, cols / 16]
  DeviceArray<uint16_t> device_values;
  DeviceArray<float> device_sums;

  Rows(int32_t rows, int32_t n_cols, std::mt19937& random) : n_rows(rows), cols(n_cols) {
    values = to_halves(random_rows(rows, n_cols, random));
    std::uniform_real_distribution<float> sum(4.0f, 40.0f);
    square_sums.resize(at(int64_t{rows} * (n_cols / 16)));
    for (float& s : square_sums) s = sum(random);
    device_values = DeviceArray<uint16_t>(values);
    device_sums = DeviceArray<float>(square_sums);
  }
  Rows(const Rows& all, const std::vector<int32_t>& picked)
      : n_rows(static_cast<int32_t>(picked.size())), cols(all.cols) {
    const int64_t n_sums = cols / 16;
    for (const int32_t row : picked) {
      values.insert(values.end(), all.values.begin() + int64_t{row} * cols,
                    all.values.begin() + int64_t{row + 1} * cols);
      square_sums.insert(square_sums.end(), all.square_sums.begin() + row * n_sums,
                         all.square_sums.begin() + (row + 1) * n_sums);
    }
    device_values = DeviceArray<uint16_t>(values);
    device_sums = DeviceArray<float>(square_sums);
  }
  NormedRows normed() const { return {device_values.data(), device_sums.data()}; }
  double norm(int32_t row) const {
    double total = 0;
    for (int32_t i = 0; i < cols / 16; ++i)
      total += square_sums[at(int64_t{row} * (cols / 16) + i)];
    return 1 / std::sqrt(total / cols + kEps);
  }
};

// A sum of products, and what the kernel's may be off by. Products of fp16 are exact in float. A
// tensor-core step adds 17 terms, each cut off 2^-23 of the largest at worst; a group has at most 8
// steps; its scaled sum, the sums of groups and of parts round once each.
struct Sum {
  double value = 0;
  double error = 0;
};
template <class WeightAt>
Sum exact_sum(const Rows& in, int32_t row, const WeightAt& weight_at_col) {
  Sum sum;
  double magnitude = 0;
  for (int32_t col = 0; col < in.cols; ++col) {
    const double product =
        double{weight_at_col(col)} * half_to_float(in.values[at(int64_t{row} * in.cols + col)]);
    sum.value += product;
    magnitude += std::fabs(product);
  }
  sum.error = magnitude * 0x1p-23 * (17 * 8 + in.cols / 32 + 9);
  return sum;
}

// fp16 of a value that is off by `error`: half a unit in the last place more.
double half_error(double value, double error) {
  return error + std::fabs(value) * 0x1p-11 + 0x1p-25;
}

// Scratch whose counters are zero before and after each launch.
struct Scratch {
  DeviceBuffer sums, counters;
  Scratch(int32_t hidden, int32_t ffn, const HeadShape& heads, int32_t vocab) {
    const FlatScratchSize size = flat_scratch_size(hidden, ffn, heads, vocab);
    sums = DeviceBuffer::allocate(size.partial_sum_bytes);
    counters = DeviceBuffer::allocate(size.counter_bytes);
    prepare_flat_matmul();
  }
  FlatScratch view() const { return {sums.as<float>(), counters.as<int32_t>()}; }
};

struct Shape {
  int32_t out, in, group;
  bool has_zeros;
};
// One part and several, a last part that is short, padded inputs; all codecs.
const Shape kShapes[] = {{64, 64, 128, false},   {128, 512, 128, false}, {192, 1408, 128, false},
                         {64, 4680, 128, false}, {128, 1408, 32, true},  {64, 2056, 64, false},
                         {192, 1096, 128, true}, {64, 72, 32, false}};

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

// ---- q, k, v

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

// ---- head

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
