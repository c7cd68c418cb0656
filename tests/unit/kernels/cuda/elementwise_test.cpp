// The row operations on the device against double precision.
#include "kernels/cuda/elementwise.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/cuda_device.h"
#include "tests/support/layer_fixture.h"

namespace incipit::kernels::cuda {
namespace {

constexpr double kU = 0x1p-24;
constexpr double kLargestHalf = 65504;

double half_rounding(double value) {
  return 0x1p-11 * std::fabs(value) + 0x1p-25;
}
size_t at(int64_t i) {
  return static_cast<size_t>(i);
}

std::vector<float> random_norm(int32_t n, std::mt19937& random) {
  std::uniform_real_distribution<float> value(0.2f, 2.0f);
  std::vector<float> norm(at(n));
  for (float& w : norm) w = value(random);
  return norm;
}

struct DeviceNormed {
  DeviceArray<uint16_t> values;
  DeviceArray<float> square_sums;
  DeviceNormed(int64_t n_rows, int32_t hidden)
      : values(n_rows * hidden), square_sums(n_rows * hidden / 16) {}
  NormedRows rows() const { return {values.data(), square_sums.data()}; }

  void expect_of(const std::vector<float>& x, const std::vector<float>& norm) const {
    const std::vector<float> got = to_floats(values.read());
    const std::vector<float> sums = square_sums.read();
    for (size_t i = 0; i < x.size(); ++i) {
      const double want =
          std::clamp(double{x[i]} * norm[i % norm.size()], -kLargestHalf, kLargestHalf);
      ASSERT_LE(std::fabs(got[i] - want), half_rounding(want) + 2 * kU * std::fabs(want)) << i;
    }
    for (size_t i = 0; i < sums.size(); ++i) {
      double want = 0;
      for (size_t j = 0; j < 16; ++j) want += double{x[16 * i + j]} * x[16 * i + j];
      ASSERT_LE(std::fabs(sums[i] - want), 16 * kU * want) << i;
    }
  }
};

TEST(EmbedRows, WidensAndPreparesTheRowsForTheNorm) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  for (const int32_t hidden : {64, 576, 4096}) {
    for (const int32_t n_rows : {1, 3, 17, 65}) {
      const std::vector<uint16_t> embeddings =
          random_halves(int64_t{n_rows} * hidden, 1.0f, random);
      const std::vector<float> norm = random_norm(hidden, random);
      const DeviceArray<uint16_t> rows(embeddings);
      const DeviceArray<float> weight(norm);
      const DeviceArray<float> x(int64_t{n_rows} * hidden);
      const DeviceNormed normed(n_rows, hidden);
      embed_rows({n_rows, hidden, rows.data(), x.data(), weight.data(), normed.rows()}, {});
      EXPECT_EQ(x.read(), to_floats(embeddings));
      normed.expect_of(to_floats(embeddings), norm);
    }
  }
}

TEST(PrepareRows, LimitsWhatIsBeyondFp16) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  for (const int32_t n_rows : {1, 16, 33}) {
    std::vector<float> x = random_rows(n_rows, 192, random);
    x[5] = 60000;
    x[77] = -1e6f;
    std::vector<float> norm = random_norm(192, random);
    norm[5] = 1.5f;
    const DeviceArray<float> rows(x);
    const DeviceArray<float> weight(norm);
    const DeviceNormed normed(n_rows, 192);
    prepare_rows({n_rows, 192, rows.data(), weight.data(), normed.rows()}, {});
    normed.expect_of(x, norm);
  }
}

TEST(NormRows, MatchDoublePrecisionInFp16AndFloat) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  for (const int32_t hidden : {64, 576, 4096, 5120}) {
    const int32_t n_rows = 67;
    const std::vector<float> x = random_rows(n_rows, hidden, random);
    const std::vector<float> norm = random_norm(hidden, random);
    const std::vector<int32_t> order = {66, 0, 5};
    const DeviceArray<float> rows(x);
    const DeviceArray<float> weight(norm);
    const DeviceArray<int32_t> picked(order);
    const DeviceArray<uint16_t> halves(int64_t{n_rows} * hidden);
    const DeviceArray<float> floats(3 * hidden);
    const float eps = 1e-5f;
    norm_rows({n_rows, hidden, nullptr, rows.data(), weight.data(), eps, halves.data(), nullptr},
              {});
    norm_rows({3, hidden, picked.data(), rows.data(), weight.data(), eps, nullptr, floats.data()},
              {});
    const std::vector<float> got = to_floats(halves.read());
    const std::vector<float> got_floats = floats.read();
    const auto want_at = [&](int32_t row, int32_t i) {
      double squares = 0;
      for (int32_t j = 0; j < hidden; ++j) squares += std::pow(x[at(row * hidden + j)], 2);
      return norm[at(i)] * x[at(row * hidden + i)] / std::sqrt(squares / hidden + eps);
    };
    // A thread adds hidden / 256 squares one after another, a tree the rest; then root and
    // division.
    const double relative = (hidden / 256.0 + 16) * kU;
    for (int32_t row = 0; row < n_rows; row += 11) {
      for (int32_t i = 0; i < hidden; ++i) {
        const double want = want_at(row, i);
        ASSERT_LE(std::fabs(got[at(row * hidden + i)] - want),
                  half_rounding(want) + 2 * relative * std::fabs(want));
      }
    }
    for (int32_t k = 0; k < 3; ++k) {
      for (int32_t i = 0; i < hidden; ++i) {
        const double want = want_at(order[at(k)], i);
        ASSERT_LE(std::fabs(got_floats[at(k * hidden + i)] - want), relative * std::fabs(want));
      }
    }
  }
}

TEST(SiluMul, MatchesDoublePrecisionAndStaysFinite) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  const int32_t n_rows = 66;
  const int32_t width = 104;
  const int32_t stride = 352;
  std::vector<uint16_t> gate_up = random_halves(int64_t{n_rows} * 2 * width, 4.0f, random);
  gate_up[0] = 0x7c00;          // infinity
  gate_up[1] = 0xfc00;          // -infinity
  gate_up[at(width)] = 0x7bff;  // 65504
  const DeviceArray<uint16_t> in(gate_up);
  const DeviceArray<uint16_t> out(int64_t{n_rows} * stride);
  silu_mul({n_rows, width, in.data(), out.data() + 40, stride}, {});
  const std::vector<uint16_t> got = out.read();
  EXPECT_EQ(got[40], 0x7bff);
  EXPECT_EQ(half_to_float(got[41]), 0);
  for (int32_t row = 0; row < n_rows; ++row) {
    for (int32_t i = 0; i < stride; ++i) {
      const uint16_t half = got[at(row * stride + i)];
      if (i < 40 || i >= 40 + width) {
        ASSERT_EQ(half, 0xffff) << "written beside the outputs";
        continue;
      }
      if (row == 0 && i < 42) continue;
      const double gate = half_to_float(gate_up[at(row * 2 * width + i - 40)]);
      const double up = half_to_float(gate_up[at((row * 2 + 1) * width + i - 40)]);
      const double want = gate / (1 + std::exp(-gate)) * up;
      const double own = (std::fabs(gate) * 1.2 + 8) * 2 * kU * std::fabs(want);
      ASSERT_LE(std::fabs(half_to_float(half) - want), half_rounding(want) + own)
          << "row " << row << ", output " << i - 40;
    }
  }
}

// Rows of two sequences over page edges, one of them padding.
TEST(RopeAppend, TurnsAndPutsEachRowInItsPlace) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  for (const HeadShape heads : {HeadShape{4, 1, 128}, HeadShape{9, 3, 64}, HeadShape{2, 2, 64}}) {
    PagedBatch batch = make_batch(heads, {{1, 13, 30}, {0, 0, 37}}, random);
    batch.positions[3] = -1;
    const int32_t n_rows = batch.n_rows();
    const int32_t half = heads.head_dim / 2;
    const int32_t n_heads = heads.n_heads + 2 * heads.n_kv_heads;
    const int32_t width = n_heads * heads.head_dim;
    std::vector<uint16_t> qkv = random_halves(int64_t{n_rows} * width, 2.0f, random);
    std::vector<float> cos, sin;
    for (int32_t i = 0; i < 64 * half; ++i) {
      const double angle = i / half * std::pow(10000.0, -double{1} * (i % half) / half);
      cos.push_back(static_cast<float>(std::cos(angle)));
      sin.push_back(static_cast<float>(std::sin(angle)));
    }
    const DeviceArray<int32_t> positions(batch.positions), sequences(batch.sequence_of_row),
        tables(batch.page_tables);
    const DeviceArray<uint16_t> in(qkv), k_pages(batch.k_pages), v_pages(batch.v_pages);
    const DeviceArray<float> cosines(cos), sines(sin);
    const DeviceArray<uint16_t> q(int64_t{n_rows} * heads.n_heads * heads.head_dim);
    rope_append(
        {{n_rows, positions.data(), sequences.data(), tables.data(), batch.page_table_stride},
         heads,
         in.data(),
         cosines.data(),
         sines.data(),
         q.data(),
         {k_pages.data(), v_pages.data()}},
        {});
    const std::vector<uint16_t> got_q = q.read();
    std::vector<uint16_t> got_k = k_pages.read();
    std::vector<uint16_t> got_v = v_pages.read();
    for (int32_t row = 0; row < n_rows; ++row) {
      const int32_t position = batch.positions[at(row)];
      for (int32_t head = 0; head < n_heads; ++head) {
        const int32_t kv_head = (head - heads.n_heads) % heads.n_kv_heads;
        const bool is_v = head >= heads.n_heads + heads.n_kv_heads;
        if (position < 0) break;
        for (int32_t d = 0; d < heads.head_dim; ++d) {
          const uint16_t* const from = &qkv[at((row * n_heads + head) * heads.head_dim)];
          const double a = half_to_float(from[d]);
          const double b = half_to_float(from[(d + half) % heads.head_dim]);
          const double c = cos[at(position * half + d % half)];
          const double s = sin[at(position * half + d % half)];
          const double want = is_v ? a : d < half ? a * c - b * s : a * c + b * s;
          double got = 0;
          if (head < heads.n_heads) {
            got = half_to_float(got_q[at((row * heads.n_heads + head) * heads.head_dim + d)]);
          } else {
            const size_t place =
                batch.v_index(batch.sequence_of_row[at(row)], kv_head, position, d);
            uint16_t& slot = (is_v ? got_v : got_k)[place];
            got = half_to_float(slot);
            slot = (is_v ? batch.v_pages : batch.k_pages)[place];  // for the comparison below
          }
          ASSERT_LE(std::fabs(got - want),
                    half_rounding(want) + 4 * kU * (std::fabs(a) + std::fabs(b)))
              << "row " << row << ", head " << head << ", d " << d;
        }
      }
    }
    EXPECT_TRUE(got_k == batch.k_pages) << "another token's k was written";
    EXPECT_TRUE(got_v == batch.v_pages) << "another token's v was written";
  }
}

TEST(GatherRows, CopiesRowsOfBothArrays) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  const std::vector<float> x = random_rows(70, 320, random);
  const std::vector<uint16_t> q = random_halves(70 * 576, 1.0f, random);
  const std::vector<int32_t> order = {69, 0, 33, 33};
  const DeviceArray<int32_t> rows(order);
  const DeviceArray<float> from_x(x), to_x(4 * 320);
  const DeviceArray<uint16_t> from_q(q), to_q(4 * 576);
  gather_rows({4, rows.data(), 320, from_x.data(), to_x.data(), 576, from_q.data(), to_q.data()},
              {});
  const std::vector<float> got_x = to_x.read();
  const std::vector<uint16_t> got_q = to_q.read();
  for (size_t i = 0; i < order.size(); ++i) {
    const auto row = order[i];
    EXPECT_TRUE(std::equal(x.begin() + row * 320, x.begin() + (row + 1) * 320,
                           got_x.begin() + static_cast<int64_t>(i) * 320));
    EXPECT_TRUE(std::equal(q.begin() + row * 576, q.begin() + (row + 1) * 576,
                           got_q.begin() + static_cast<int64_t>(i) * 576));
  }
}

}  // namespace
}  // namespace incipit::kernels::cuda
