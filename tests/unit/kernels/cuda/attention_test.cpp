// Paged attention on the device against the double-precision reference within a derived bound, and
// the promise of flat attention: neither the other rows, nor the pages, nor what later tokens hold
// change a bit of a row.
#include "kernels/cuda/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/reference/steps.h"
#include "tests/support/attention_problem.h"

namespace incipit::kernels::cuda {
namespace {

size_t at(int64_t i) {
  return static_cast<size_t>(i);
}

// Bounds of |out - exact| for one query, [head_dim]. With u = 2^-24; a sum on the tensor cores is
// off by 2 u of its magnitude a term (they cut rather than round), and sums of n terms count n.
// A score: head_dim terms, the scaling and the distance to the maximum (3 u each, of the largest
// magnitude in base 2). A weight: the score's error, exp2, and an exp2 and two roundings for each
// move of the maximum (pages of a strip, strips, chunks). It is then rounded to fp16: 2^-11 of
// itself, or 2^-25 of the largest. Sums: the longest chain of keys. The divisor has the unrounded
// weights. In the end the output is rounded to fp16.
std::vector<double> error_bounds(const AttentionProblem& p, int32_t row, int32_t head) {
  constexpr double kU = 0x1p-24;
  constexpr double kExp2Error = 0x1p-22;
  const PagedBatch& b = p.batch;
  const int32_t n_tokens = b.positions[at(row)] + 1;
  const int32_t sequence = b.sequence_of_row[at(row)];
  const int32_t kv_head = head / (b.heads.n_heads / b.heads.n_kv_heads);
  const uint16_t* const q = p.q.data() + row * p.width() + int64_t{head} * b.heads.head_dim;
  std::vector<double> scores(at(n_tokens));
  double largest_magnitude = 0;
  for (int32_t t = 0; t < n_tokens; ++t) {
    double magnitude = 0;
    for (int32_t d = 0; d < b.heads.head_dim; ++d) {
      const double product = double{half_to_float(q[d])} *
                             half_to_float(b.k_pages[b.k_index(sequence, kv_head, t, d)]);
      scores[at(t)] += product * p.scale;
      magnitude += std::fabs(product) * p.scale;
    }
    largest_magnitude = std::max(largest_magnitude, magnitude);
  }
  const double largest = *std::max_element(scores.begin(), scores.end());
  double weight_sum = 0;
  std::vector<double> weighted_v(at(b.heads.head_dim), 0.0);
  std::vector<double> plain_v(at(b.heads.head_dim), 0.0);
  std::vector<double> mean(at(b.heads.head_dim), 0.0);
  for (int32_t t = 0; t < n_tokens; ++t) {
    const double weight = std::exp(scores[at(t)] - largest);
    weight_sum += weight;
    for (int32_t d = 0; d < b.heads.head_dim; ++d) {
      const double v = half_to_float(b.v_pages[b.v_index(sequence, kv_head, t, d)]);
      weighted_v[at(d)] += weight * std::fabs(v);
      plain_v[at(d)] += std::fabs(v);
      mean[at(d)] += weight * v;
    }
  }
  const bool is_flat = b.n_rows() <= kFlatAttentionRows;
  const double chain = is_flat ? flat_chunk_tokens(n_tokens - 1) / 4.0 : n_tokens;
  const double n_moves = chain / 16 + 2 + kMaxChunks;
  const double score_error =
      (2 * b.heads.head_dim + 6 + 6 / std::log(2.0)) * kU * largest_magnitude;
  const double weight_error = score_error + kExp2Error + n_moves * (kExp2Error + 2 * kU);
  const double sum_error = 2 * (chain + 4 + kMaxChunks) * kU;
  for (size_t d = 0; d < mean.size(); ++d) {
    const double relative = 0x1p-11 + 2 * (weight_error + sum_error);
    mean[d] = (relative * weighted_v[d] + 0x1p-25 * plain_v[d]) / weight_sum +
              0x1p-11 * std::fabs(mean[d] / weight_sum) + 0x1p-25;
  }
  return mean;
}

std::vector<float> reference_of(const AttentionProblem& p) {
  std::vector<float> q;
  for (const uint16_t bits : p.q) q.push_back(half_to_float(bits));
  std::vector<float> want = poisoned(static_cast<int64_t>(q.size()));
  PagedBatch batch = p.batch;
  AttentionParams params;
  params.rows = batch.rows();
  params.heads = batch.heads;
  params.q = q.data();
  params.kv = batch.kv();
  params.scale = p.scale;
  params.out = want.data();
  // Row by row, so that padding is left out.
  for (int32_t row = 0; row < batch.n_rows(); ++row) {
    AttentionParams one = params;
    one.rows.n_rows = 1;
    one.rows.positions += row;
    one.rows.sequence_of_row += row;
    one.q += row * p.width();
    one.out += row * p.width();
    if (batch.positions[at(row)] >= 0) reference::attention(one);
  }
  return want;
}

void expect_close_to_reference(const AttentionProblem& p) {
  const std::vector<float> want = reference_of(p);
  const std::vector<uint16_t> got = run(p);
  for (int32_t row = 0; row < p.batch.n_rows(); ++row) {
    if (p.batch.positions[at(row)] < 0) continue;
    for (int32_t head = 0; head < p.batch.heads.n_heads; ++head) {
      const std::vector<double> bounds = error_bounds(p, row, head);
      for (size_t d = 0; d < bounds.size(); ++d) {
        const size_t i = at(row * p.width() + int64_t{head} * p.batch.heads.head_dim) + d;
        ASSERT_LE(std::fabs(double{half_to_float(got[i])} - want[i]), bounds[d])
            << "row " << row << " at position " << p.batch.positions[at(row)] << ", head " << head
            << ", d " << d << ": got " << half_to_float(got[i]) << ", want " << want[i];
      }
    }
  }
}

class CudaAttentionOfHeads : public testing::TestWithParam<HeadShape> {};

INSTANTIATE_TEST_SUITE_P(Shapes, CudaAttentionOfHeads, testing::ValuesIn(kAttentionShapes),
                         shape_name);

TEST_P(CudaAttentionOfHeads, MatchesTheReferenceAtPageAndChunkEdges) {
  SKIP_WITHOUT_CUDA();
  expect_close_to_reference(make_problem(GetParam(), edge_runs()));
}

TEST_P(CudaAttentionOfHeads, MatchesTheReferenceForRunsOfSeveralSequences) {
  SKIP_WITHOUT_CUDA();
  const AttentionProblem p =
      make_problem(GetParam(), {{0, 0, 17}, {1, 254, 3}, {0, 17, 2}, {2, 70, 1}, {1, 257, 2}});
  expect_close_to_reference(p);
}

TEST_P(CudaAttentionOfHeads, MatchesTheReferenceForAPrefillOfSeveralSequences) {
  SKIP_WITHOUT_CUDA();
  expect_close_to_reference(prefill_problem(GetParam(), KvType::kF16));
}

TEST(CudaAttention, MatchesTheReferenceForAnyNumberOfRows) {
  SKIP_WITHOUT_CUDA();
  for (const int32_t head_dim : {64, 128}) {
    for (const int32_t n_rows : {1, 2, 7, 15, 16, 17, 63, 64, 65, 128, 257}) {
      for (const int32_t first : {0, n_rows * 5 + 3}) {
        SCOPED_TRACE(testing::Message() << n_rows << " rows from " << first);
        expect_close_to_reference(make_problem({4, 1, head_dim}, {{0, first, n_rows}}));
      }
    }
  }
}

TEST(CudaAttention, MatchesTheReferenceForLongContexts) {
  SKIP_WITHOUT_CUDA();
  for (const HeadShape& heads : {HeadShape{2, 1, 64}, HeadShape{4, 1, 128}}) {
    expect_close_to_reference(
        make_problem(heads, {{0, 4096, 1}, {1, 16383, 1}, {2, 2046, 4}, {3, 8190, 2}}));
    expect_close_to_reference(make_problem(heads, {{0, 4090, 13}}));
  }
}

// Few rows over many keys: keys are cut into chunks there too.
TEST(CudaAttention, MatchesTheReferenceForAShortPrefillOverALongContext) {
  SKIP_WITHOUT_CUDA();
  for (const HeadShape& heads : {HeadShape{2, 1, 64}, HeadShape{4, 1, 128}}) {
    expect_close_to_reference(make_problem(heads, {{0, 4001, 66}, {1, 10, 3}}));
  }
}

class CudaAttentionOfPages : public testing::TestWithParam<KvType> {};
INSTANTIATE_TEST_SUITE_P(Types, CudaAttentionOfPages, testing::ValuesIn(kKvTypes),
                         [](const testing::TestParamInfo<KvType>& type) {
                           return type.param == KvType::kInt8 ? "Int8" : "F16";
                         });

// Rows on both sides of every edge of the chunk size, alone and in several companies.
TEST_P(CudaAttentionOfPages, GivesARowTheSameBitsAloneAsInABatch) {
  SKIP_WITHOUT_CUDA();
  for (const HeadShape& heads :
       {HeadShape{8, 4, 64}, HeadShape{7, 1, 64}, HeadShape{8, 2, 128}, HeadShape{4, 4, 128}}) {
    const AttentionProblem p = make_problem(
        heads, {{0, 1015, 20}, {1, 505, 2}, {2, 0, 18}, {0, 100, 9}, {3, 4094, 3}, {4, 2047, 2}},
        GetParam());
    const std::vector<uint16_t> together = run(p);
    std::vector<int32_t> mixed(at(p.batch.n_rows()));
    std::iota(mixed.begin(), mixed.end(), 0);
    std::mt19937 random(test_seed());
    std::shuffle(mixed.begin(), mixed.end(), random);
    mixed.insert(mixed.begin() + 7, -1);
    const std::vector<uint16_t> shuffled = run(select(p, mixed));
    for (size_t i = 0; i < mixed.size(); ++i) {
      const int32_t row = mixed[i];
      if (row < 0) continue;
      const std::vector<uint16_t> alone = run(select(p, {row}));
      ASSERT_TRUE(same_row(alone, 0, together, row, p.width()))
          << "row " << row << " at position " << p.batch.positions[at(row)];
      ASSERT_TRUE(same_row(alone, 0, shuffled, static_cast<int64_t>(i), p.width()))
          << "row " << row << " at position " << p.batch.positions[at(row)];
    }
  }
}

// A row decoded when its page held nothing after it, and computed again amid later rows.
TEST_P(CudaAttentionOfPages, GivesTheSameBitsWhateverLaterTokensHold) {
  SKIP_WITHOUT_CUDA();
  for (const HeadShape& heads : {HeadShape{8, 4, 64}, HeadShape{4, 1, 128}}) {
    const AttentionProblem p = make_problem(heads, {{0, 1010, 30}, {0, 37, 20}}, GetParam());
    const std::vector<uint16_t> together = run(p);
    for (int32_t row = 0; row < p.batch.n_rows(); row += 3) {
      AttentionProblem alone = select(p, {row});
      PagedBatch& b = alone.batch;
      for (int32_t t = p.batch.positions[at(row)] + 1; t < 1040; ++t) {
        for (int32_t head = 0; head < heads.n_kv_heads; ++head) {
          for (int32_t d = 0; d < heads.head_dim; ++d) {
            b.k_pages[b.k_index(0, head, t, d)] = kLargestHalfBits;
            b.v_pages[b.v_index(0, head, t, d)] = d % 2 == 0 ? kLargestHalfBits : 0xfbff;
          }
        }
      }
      ASSERT_TRUE(same_row(run(alone), 0, together, row, p.width()))
          << "row " << row << " at position " << p.batch.positions[at(row)];
    }
  }
}

TEST_P(CudaAttentionOfPages, GivesTheSameBitsWhicheverPagesHoldTheTokens) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  const std::vector<RowRun> runs = {{0, 300, 20}, {1, 90, 1}};
  for (const HeadShape& heads : {HeadShape{8, 4, 64}, HeadShape{4, 2, 128}}) {
    const AttentionProblem p = make_problem(heads, runs, GetParam());
    AttentionProblem moved = p;
    moved.batch = make_batch(heads, runs, random);
    for (int32_t sequence = 0; sequence < 2; ++sequence) {
      const int32_t length = sequence == 0 ? 320 : 91;
      for (int32_t t = 0; t < length; ++t) {
        for (int32_t head = 0; head < heads.n_kv_heads; ++head) {
          for (int32_t d = 0; d < heads.head_dim; ++d) {
            moved.batch.k_pages[moved.batch.k_index(sequence, head, t, d)] =
                p.batch.k_pages[p.batch.k_index(sequence, head, t, d)];
            moved.batch.v_pages[moved.batch.v_index(sequence, head, t, d)] =
                p.batch.v_pages[p.batch.v_index(sequence, head, t, d)];
          }
        }
      }
    }
    ASSERT_NE(p.batch.page_tables, moved.batch.page_tables);
    EXPECT_EQ(run(p), run(moved));
  }
}

TEST_P(CudaAttentionOfPages, LeavesPaddingAlone) {
  SKIP_WITHOUT_CUDA();
  for (const int32_t n_rows : {5, 60, 80}) {
    const AttentionProblem p = make_problem({4, 1, 64}, {{0, 30, n_rows}}, GetParam());
    std::vector<int32_t> rows(at(n_rows));
    std::iota(rows.begin(), rows.end(), 0);
    rows.insert(rows.end(), 3, -1);
    const std::vector<uint16_t> out = run(select(p, rows));
    for (int64_t i = n_rows * p.width(); i < static_cast<int64_t>(out.size()); ++i) {
      ASSERT_EQ(out[at(i)], 0xffff) << i;
    }
  }
}

// A damaged query shows in its own row and nowhere else.
TEST_P(CudaAttentionOfPages, KeepsANanInItsRow) {
  SKIP_WITHOUT_CUDA();
  for (const int32_t n_rows : {6, 70}) {
    const AttentionProblem p =
        make_problem({8, 2, 128}, {{0, 200, n_rows - 1}, {1, 3, 1}}, GetParam());
    const std::vector<uint16_t> healthy = run(p);
    AttentionProblem damaged = p;
    std::fill_n(damaged.q.begin() + 2 * p.width(), p.width(), uint16_t{0x7e00});
    const std::vector<uint16_t> out = run(damaged);
    for (int32_t row = 0; row < n_rows; ++row) {
      if (row == 2) {
        EXPECT_TRUE(std::isnan(half_to_float(out[at(row * p.width())])));
      } else {
        EXPECT_TRUE(same_row(out, row, healthy, row, p.width())) << row;
      }
    }
  }
}

// Launched again over its own scratch, and (where the code can) dependent on each other with
// pages asked for early.
TEST_P(CudaAttentionOfPages, GivesTheSameBitsHoweverItIsLaunched) {
  SKIP_WITHOUT_CUDA();
  for (const std::vector<RowRun>& runs :
       {std::vector<RowRun>{{0, 1500, 1}, {1, 90, 2}}, std::vector<RowRun>{{0, 3000, 40}},
        std::vector<RowRun>{{0, 3000, 70}}}) {
    const AttentionProblem p = make_problem({8, 2, 128}, runs, GetParam());
    const std::vector<uint16_t> once = run(p);
    EXPECT_EQ(once, run(p, {StepInputs::kAfterWait, false, 3}));
    EXPECT_EQ(once, run(p, {StepInputs::kSettled, false, 2}));
    if (!runs_hopper_code()) continue;
    EXPECT_EQ(once, run(p, {StepInputs::kAfterWait, true, 5}));
    EXPECT_EQ(once, run(p, {StepInputs::kSettled, true, 5}));
  }
}

}  // namespace
}  // namespace incipit::kernels::cuda
