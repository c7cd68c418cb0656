// Attention over INT8 pages on the device against the same sum in double precision: of the very
// numbers that the pages hold, so that the bound is of the arithmetic alone and has nothing of the
// rounding to INT8 in it. (Promises about bits: attention_test.cpp, for both types of pages.)
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/support/attention_problem.h"

namespace incipit::kernels::cuda {
namespace {

// Exact outputs of one query and head, and bounds of how far the device may be from them.
struct Expected {
  std::vector<double> values;  // [head_dim]
  std::vector<double> bounds;
};

// What the device sums up for a query: of each token the score in base 2 and the sum of |q k|
// behind it, both with the scale of its keys.
struct QueryScores {
  std::vector<double> score;
  double largest = 0;
  double largest_magnitude = 0;
};

class Reference {
 public:
  explicit Reference(const AttentionProblem& p) : p_(p), pages_(p.batch) {}

  Expected of(int32_t row, int32_t head) {
    const PagedBatch& b = p_.batch;
    const int32_t n_tokens = b.positions[index_at(row)] + 1;
    const int32_t sequence = b.sequence_of_row[index_at(row)];
    const int32_t kv_head = head / (b.heads.n_heads / b.heads.n_kv_heads);
    const QueryScores scores = scores_of(row, head, sequence, kv_head, n_tokens);

    const size_t head_dim = index_at(b.heads.head_dim);
    std::vector<double> mean(head_dim, 0.0), weighted(head_dim, 0.0), plain(head_dim, 0.0);
    double weight_sum = 0;
    double largest_product = 0;  // of weight and scale of values
    double largest_log = 0;
    for (int32_t t = 0; t < n_tokens; ++t) {
      const double weight = std::exp2(scores.score[index_at(t)] - scores.largest);
      const KvInt8Block block = pages_.block(KvPart::kValues, b.page_of(sequence, t), kv_head);
      const double scale = scale_of(block, t % kPageTokens);
      weight_sum += weight;
      largest_product = std::max(largest_product, weight * scale);
      largest_log = std::max(largest_log, std::fabs(std::log2(scale)));
      for (size_t d = 0; d < head_dim; ++d) {
        const double q = quantized_value(block, t % kPageTokens, static_cast<int32_t>(d));
        mean[d] += weight * scale * q;
        weighted[d] += weight * scale * std::fabs(q);
        plain[d] += std::fabs(q);
      }
    }
    const double relative = relative_error(n_tokens, scores.largest_magnitude, largest_log);
    Expected expected;
    for (size_t d = 0; d < head_dim; ++d) {
      const double value = mean[d] / weight_sum;
      expected.values.push_back(value);
      expected.bounds.push_back((relative * weighted[d] + 0x1p-25 * largest_product * plain[d]) /
                                    weight_sum +
                                0x1p-11 * std::fabs(value) + 0x1p-25);
    }
    return expected;
  }

 private:
  QueryScores scores_of(int32_t row, int32_t head, int32_t sequence, int32_t kv_head,
                        int32_t n_tokens) {
    const PagedBatch& b = p_.batch;
    const uint16_t* const q = p_.q.data() + row * p_.width() + int64_t{head} * b.heads.head_dim;
    const double scale_log2 = p_.scale / std::log(2.0);
    QueryScores scores;
    for (int32_t t = 0; t < n_tokens; ++t) {
      const KvInt8Block block = pages_.block(KvPart::kKeys, b.page_of(sequence, t), kv_head);
      double sum = 0;
      double magnitude = 0;
      for (int32_t d = 0; d < b.heads.head_dim; ++d) {
        const double product =
            double{half_to_float(q[d])} * quantized_value(block, t % kPageTokens, d);
        sum += product;
        magnitude += std::fabs(product);
      }
      const double factor = scale_log2 * scale_of(block, t % kPageTokens);
      scores.score.push_back(sum * factor);
      scores.largest_magnitude = std::max(scores.largest_magnitude, magnitude * factor);
    }
    scores.largest = *std::max_element(scores.score.begin(), scores.score.end());
    return scores;
  }

  // Of numerator and denominator together. With u = 2^-24: a score is off by 2 u of its magnitude a
  // term on the tensor cores, by its scale, the product of scales and scale_log2 itself (4 u), and
  // by the sum with the logarithm of the values' scale (u of both); then comes the distance to the
  // maximum, once more u of everything. A weight has its score's error, that of exp2, and an exp2
  // and two roundings for each move of the maximum; its part of the divisor also that of exp2 of
  // the logarithm. Rounding to fp16 is 2^-11, or 2^-25 of the largest product (in the bound above).
  // Sums: the longest chain of keys.
  double relative_error(int32_t n_tokens, double largest_magnitude, double largest_log) const {
    constexpr double kU = 0x1p-24;
    constexpr double kExp2Error = 0x1p-22;
    const int32_t head_dim = p_.batch.heads.head_dim;
    const bool is_flat = p_.batch.n_rows() <= kFlatAttentionRows;
    const double chain = is_flat ? flat_chunk_tokens(n_tokens - 1) / 4.0 : n_tokens;
    const double n_moves = chain / 16 + 2 + kMaxChunks;
    const double score_error =
        std::log(2.0) * kU * ((2 * head_dim + 8) * largest_magnitude + 4 * largest_log);
    const double weight_error = score_error + 2 * kExp2Error + n_moves * (kExp2Error + 2 * kU);
    const double sum_error = 2 * (chain + 4 + kMaxChunks) * kU;
    return 0x1p-11 + 2 * (weight_error + sum_error);
  }

  const AttentionProblem& p_;
  Int8Pages pages_;
};

void expect_close_to_double(const AttentionProblem& p) {
  ASSERT_EQ(p.kv_type, KvType::kInt8);
  Reference reference(p);
  const std::vector<uint16_t> got = run(p);
  for (int32_t row = 0; row < p.batch.n_rows(); ++row) {
    if (p.batch.positions[index_at(row)] < 0) continue;
    for (int32_t head = 0; head < p.batch.heads.n_heads; ++head) {
      const Expected expected = reference.of(row, head);
      for (size_t d = 0; d < expected.values.size(); ++d) {
        const size_t i = index_at(row * p.width() + int64_t{head} * p.batch.heads.head_dim) + d;
        ASSERT_LE(std::fabs(half_to_float(got[i]) - expected.values[d]), expected.bounds[d])
            << "row " << row << " at position " << p.batch.positions[index_at(row)] << ", head "
            << head << ", d " << d << ": got " << half_to_float(got[i]) << ", want "
            << expected.values[d];
      }
    }
  }
}

AttentionProblem int8_problem(const HeadShape& heads, const std::vector<RowRun>& runs) {
  return make_problem(heads, runs, KvType::kInt8);
}

class CudaInt8AttentionOfHeads : public testing::TestWithParam<HeadShape> {};
INSTANTIATE_TEST_SUITE_P(Shapes, CudaInt8AttentionOfHeads, testing::ValuesIn(kAttentionShapes),
                         shape_name);

TEST_P(CudaInt8AttentionOfHeads, MatchesDoublePrecisionAtPageAndChunkEdges) {
  SKIP_WITHOUT_CUDA();
  expect_close_to_double(int8_problem(GetParam(), edge_runs()));
}

TEST_P(CudaInt8AttentionOfHeads, MatchesDoublePrecisionForRunsOfSeveralSequences) {
  SKIP_WITHOUT_CUDA();
  expect_close_to_double(
      int8_problem(GetParam(), {{0, 0, 17}, {1, 254, 3}, {0, 17, 2}, {2, 70, 1}, {1, 257, 2}}));
}

TEST_P(CudaInt8AttentionOfHeads, MatchesDoublePrecisionForAPrefillOfSeveralSequences) {
  SKIP_WITHOUT_CUDA();
  expect_close_to_double(prefill_problem(GetParam(), KvType::kInt8));
}

TEST(CudaInt8Attention, MatchesDoublePrecisionForAnyNumberOfRows) {
  SKIP_WITHOUT_CUDA();
  for (const int32_t head_dim : {64, 128}) {
    for (const int32_t n_rows : {1, 2, 7, 15, 16, 17, 63, 64, 65, 128, 257}) {
      for (const int32_t first : {0, n_rows * 5 + 3}) {
        SCOPED_TRACE(testing::Message() << n_rows << " rows from " << first);
        expect_close_to_double(int8_problem({4, 1, head_dim}, {{0, first, n_rows}}));
      }
    }
  }
}

TEST(CudaInt8Attention, MatchesDoublePrecisionForLongContexts) {
  SKIP_WITHOUT_CUDA();
  for (const HeadShape& heads : {HeadShape{2, 1, 64}, HeadShape{4, 1, 128}}) {
    expect_close_to_double(
        int8_problem(heads, {{0, 4096, 1}, {1, 16383, 1}, {2, 2046, 4}, {3, 8190, 2}}));
    expect_close_to_double(int8_problem(heads, {{0, 4090, 13}}));
    expect_close_to_double(int8_problem(heads, {{0, 4001, 66}, {1, 10, 3}}));
  }
}

// Values from 2^-24 to 2^15 beside each other, and tokens whose values are all zero: the tokens
// that a row looks at most may have the smallest.
TEST(CudaInt8Attention, KeepsItsPrecisionWhateverTheScalesAre) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  for (const HeadShape& heads : {HeadShape{4, 1, 64}, HeadShape{8, 2, 128}}) {
    for (const int32_t n_rows : {1, 20, 70}) {
      const int32_t first = 700;
      AttentionProblem p = int8_problem(heads, {{0, first, n_rows}});
      for (int32_t t = 0; t < first + n_rows; ++t) {
        const int exponent = static_cast<int>(random() % 37) - 24;
        const float factor = random() % 8 == 0 ? 0.0f : std::exp2(static_cast<float>(exponent));
        for (int32_t head = 0; head < heads.n_kv_heads; ++head) {
          for (int32_t d = 0; d < heads.head_dim; ++d) {
            uint16_t& v = p.batch.v_pages[p.batch.v_index(0, head, t, d)];
            v = float_to_half(factor * half_to_float(v));
          }
        }
      }
      expect_close_to_double(p);
    }
  }
}

// As heads do that have nothing to look at: nearly all weight on the first token, whose values are
// small; what the others add is what counts.
TEST(CudaInt8Attention, KeepsTheTokensBesideOneThatTakesNearlyAllWeight) {
  SKIP_WITHOUT_CUDA();
  const HeadShape heads = {4, 1, 128};
  for (const int32_t n_rows : {1, 70}) {
    AttentionProblem p = int8_problem(heads, {{0, 1500, n_rows}});
    for (uint16_t& q : p.q) q = float_to_half(0.25f);
    for (int32_t d = 0; d < heads.head_dim; ++d) {
      p.batch.k_pages[p.batch.k_index(0, 0, 0, d)] = float_to_half(4.0f);  // 2^16 times the others
      uint16_t& v = p.batch.v_pages[p.batch.v_index(0, 0, 0, d)];
      v = float_to_half(0x1p-16f * half_to_float(v));
    }
    expect_close_to_double(p);
  }
}

}  // namespace
}  // namespace incipit::kernels::cuda
