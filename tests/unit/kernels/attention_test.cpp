// Paged attention against the double-precision reference within a derived bound, and the promise
// that neither the other rows, the threads, the pages nor the instruction set change a bit.
#include "kernels/cpu/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "kernels/reference/steps.h"
#include "tests/support/kernel_inputs.h"
#include "tests/support/paged_batch.h"

namespace incipit::kernels {
namespace {

struct Problem {
  PagedBatch batch;
  std::vector<float> q;  // [n_rows, n_heads * head_dim]
  float scale;

  int64_t width() const { return int64_t{batch.heads.n_heads} * batch.heads.head_dim; }
  AttentionParams params(float* out) {
    AttentionParams p;
    p.rows = batch.rows();
    p.heads = batch.heads;
    p.q = q.data();
    p.kv = batch.kv();
    p.scale = scale;
    p.out = out;
    return p;
  }
};

// Queries of mixed strength: some rows look at all tokens alike, some at hardly more than one.
Problem make_problem(const HeadShape& heads, const std::vector<RowRun>& runs) {
  std::mt19937 random(test_seed() + static_cast<uint32_t>(heads.n_heads * 1000 + heads.head_dim));
  Problem p;
  p.batch = make_batch(heads, runs, random);
  p.scale = 1.0f / std::sqrt(static_cast<float>(heads.head_dim));
  std::normal_distribution<float> value(0.0f, 1.0f);
  for (int32_t row = 0; row < p.batch.n_rows(); ++row) {
    const float strength = std::exp2(static_cast<float>(random() % 6) - 3.0f);
    for (int64_t i = 0; i < p.width(); ++i) p.q.push_back(strength * value(random));
  }
  return p;
}

std::vector<float> run(Problem& p, Isa isa, int n_threads) {
  ThreadPool pool(n_threads);
  std::vector<float> out = poisoned(p.batch.n_rows() * p.width());
  PagedAttention attention(isa, p.batch.n_rows(), p.batch.heads);
  attention.run(p.params(out.data()), pool);
  return out;
}

// Bounds of |out - exact| for one query, [head_dim]. With u = 2^-24 and sums over the visible
// tokens t: a score (base 2) is off by (head_dim + 3) u sum |q_d k_d| from the scaling of q and the
// dot product, and its distance to the maximum by one rounding more; that, the error of exp2, and
// one exp2 and two roundings for each move of the maximum (four chunks a segment, and every merge
// of segments) make up a weight's relative error. Sums have at most 256 steps in a segment, one a
// merge, and a division. The weights' error counts twice: in the sum of w v and in the sum of w.
std::vector<double> error_bounds(const Problem& p, int32_t row, int32_t head) {
  constexpr double kU = 0x1p-24;
  constexpr double kExp2Error = 0x1p-22;
  const PagedBatch& b = p.batch;
  const int32_t n_tokens = b.positions[static_cast<size_t>(row)] + 1;
  const int32_t sequence = b.sequence_of_row[static_cast<size_t>(row)];
  const int32_t kv_head = head / (b.heads.n_heads / b.heads.n_kv_heads);
  const float* const q = p.q.data() + row * p.width() + int64_t{head} * b.heads.head_dim;
  const auto head_dim = static_cast<size_t>(b.heads.head_dim);
  std::vector<double> scores(static_cast<size_t>(n_tokens));
  double largest_magnitude = 0;
  for (int32_t t = 0; t < n_tokens; ++t) {
    double magnitude = 0;
    for (int32_t d = 0; d < b.heads.head_dim; ++d) {
      const double product =
          double{q[d]} * half_to_float(b.k_pages[b.k_index(sequence, kv_head, t, d)]);
      scores[static_cast<size_t>(t)] += product * p.scale;
      magnitude += std::fabs(product) * p.scale;
    }
    largest_magnitude = std::max(largest_magnitude, magnitude);
  }
  const double largest = *std::max_element(scores.begin(), scores.end());
  double weight_sum = 0;
  std::vector<double> weighted_v(head_dim, 0.0);
  for (int32_t t = 0; t < n_tokens; ++t) {
    const double weight = std::exp(scores[static_cast<size_t>(t)] - largest);
    weight_sum += weight;
    for (int32_t d = 0; d < b.heads.head_dim; ++d) {
      weighted_v[static_cast<size_t>(d)] +=
          weight * std::fabs(half_to_float(b.v_pages[b.v_index(sequence, kv_head, t, d)]));
    }
  }
  const double n_segments = std::ceil(n_tokens / double{kSegmentTokens});
  const double score_error = (b.heads.head_dim + 3 + 2) * kU * largest_magnitude;
  const double weight_error =
      score_error + kExp2Error + (4 + 2 * n_segments) * (kExp2Error + 2 * kU);
  const double sum_error = (kSegmentTokens + n_segments + 3) * kU;
  for (double& bound : weighted_v) {
    bound = (2 * weight_error + 2 * sum_error) * bound / weight_sum + 1e-30;
  }
  return weighted_v;
}

void expect_close_to_reference(Problem& p) {
  std::vector<float> want = poisoned(p.batch.n_rows() * p.width());
  reference::attention(p.params(want.data()));
  std::vector<std::vector<float>> got;
  const std::vector<Isa> isas = isas_of_this_machine();
  for (const Isa isa : isas) got.push_back(run(p, isa, 2));
  for (int32_t row = 0; row < p.batch.n_rows(); ++row) {
    for (int32_t head = 0; head < p.batch.heads.n_heads; ++head) {
      const std::vector<double> bounds = error_bounds(p, row, head);
      for (size_t d = 0; d < bounds.size(); ++d) {
        const auto i =
            static_cast<size_t>(row * p.width() + int64_t{head} * p.batch.heads.head_dim) + d;
        for (size_t k = 0; k < isas.size(); ++k) {
          ASSERT_LE(std::fabs(double{got[k][i]} - want[i]), bounds[d])
              << name_of(isas[k]) << ": row " << row << " at position "
              << p.batch.positions[static_cast<size_t>(row)] << ", head " << head << ", d " << d
              << ": got " << got[k][i] << ", want " << want[i];
        }
      }
    }
  }
}

bool same_bits(const float* a, const float* b, int64_t n) {
  return std::memcmp(a, b, static_cast<size_t>(n) * sizeof(float)) == 0;
}

constexpr HeadShape kPocketHeads = {8, 4, 64};

std::string shape_name(const testing::TestParamInfo<HeadShape>& shape) {
  const HeadShape& heads = shape.param;
  return std::to_string(heads.n_heads) + "of" + std::to_string(heads.n_kv_heads) + "x" +
         std::to_string(heads.head_dim);
}

class AttentionOfHeads : public testing::TestWithParam<HeadShape> {};

// Query heads a KV head: 1, 1, 2, 4, 7, 8, 64 (more than a task takes).
INSTANTIATE_TEST_SUITE_P(Shapes, AttentionOfHeads,
                         testing::Values(HeadShape{2, 2, 64}, HeadShape{1, 1, 128},
                                         HeadShape{4, 2, 128}, HeadShape{4, 1, 64},
                                         HeadShape{7, 1, 64}, HeadShape{16, 2, 128},
                                         HeadShape{64, 1, 64}),
                         shape_name);

TEST_P(AttentionOfHeads, MatchesTheReferenceAtPageAndSegmentEdges) {
  std::vector<RowRun> runs;
  int32_t sequence = 0;
  for (const int32_t kv_len : {1, 15, 16, 17, 63, 64, 65, 255, 256, 257}) {
    runs.push_back({sequence++, kv_len - 1, 1});
  }
  Problem p = make_problem(GetParam(), runs);
  expect_close_to_reference(p);
}

TEST_P(AttentionOfHeads, MatchesTheReferenceForChunksOfSeveralSequences) {
  Problem p =
      make_problem(GetParam(), {{0, 0, 17}, {1, 254, 3}, {0, 17, 2}, {2, 70, 1}, {1, 257, 2}});
  expect_close_to_reference(p);
}

TEST(PagedAttention, MatchesTheReferenceForPrefillChunks) {
  for (const int32_t n_rows : {1, 2, 7, 15, 16, 17, 63, 64, 65, 257}) {
    SCOPED_TRACE(n_rows);
    Problem p = make_problem({2, 1, 64}, {{0, n_rows % 3 * 11, n_rows}});
    expect_close_to_reference(p);
  }
}

TEST(PagedAttention, MatchesTheReferenceForLongContexts) {
  for (const HeadShape& heads : {HeadShape{2, 1, 64}, HeadShape{1, 1, 128}}) {
    Problem p = make_problem(heads, {{0, 999, 1}, {1, 4096, 1}, {2, 1020, 3}});
    expect_close_to_reference(p);
  }
}

TEST(PagedAttention, GivesTheSameBitsOnEveryInstructionSet) {
  for (const HeadShape& heads : {kPocketHeads, HeadShape{7, 1, 128}}) {
    Problem p = make_problem(heads, {{0, 240, 20}, {1, 699, 1}, {2, 0, 5}});
    const std::vector<float> scalar = run(p, Isa::kScalar, 1);
    for (const Isa isa : isas_of_this_machine()) {
      const std::vector<float> out = run(p, isa, 1);
      EXPECT_TRUE(same_bits(out.data(), scalar.data(), static_cast<int64_t>(out.size())))
          << name_of(isa);
    }
  }
}

TEST(PagedAttention, GivesTheSameBitsForAnyNumberOfThreads) {
  // One decoding row: few enough tasks that several threads split it into segments.
  for (const std::vector<RowRun>& runs :
       {std::vector<RowRun>{{0, 2999, 1}}, std::vector<RowRun>{{0, 16383, 1}},
        std::vector<RowRun>{{0, 400, 30}, {1, 5, 1}}}) {
    Problem p = make_problem({2, 1, 64}, runs);
    for (const Isa isa : isas_of_this_machine()) {
      const std::vector<float> alone = run(p, isa, 1);
      for (const int n_threads : {2, 5}) {
        const std::vector<float> shared = run(p, isa, n_threads);
        EXPECT_TRUE(same_bits(alone.data(), shared.data(), static_cast<int64_t>(alone.size())))
            << name_of(isa) << ", " << n_threads << " threads";
      }
    }
  }
}

// The same queries, keys and values: rows of `p` again, each its own batch of one row.
TEST(PagedAttention, GivesARowTheSameBitsAloneAsInABatch) {
  for (const HeadShape& heads : {kPocketHeads, HeadShape{7, 1, 64}, HeadShape{4, 4, 128}}) {
    Problem p = make_problem(heads, {{0, 245, 21}, {1, 600, 1}, {2, 0, 18}, {0, 100, 9}});
    for (const Isa isa : isas_of_this_machine()) {
      const std::vector<float> together = run(p, isa, 2);
      ThreadPool pool(1);
      PagedAttention one_row(isa, 1, heads);
      for (int32_t row = 0; row < p.batch.n_rows(); ++row) {
        const auto i = static_cast<size_t>(row);
        std::vector<float> alone = poisoned(p.width());
        AttentionParams params = p.params(alone.data());
        params.rows.n_rows = 1;
        params.rows.positions += row;
        params.rows.sequence_of_row += row;
        params.q += row * p.width();
        one_row.run(params, pool);
        ASSERT_TRUE(same_bits(alone.data(), together.data() + row * p.width(), p.width()))
            << name_of(isa) << ", row " << row << " at position " << p.batch.positions[i];
      }
    }
  }
}

TEST(PagedAttention, GivesTheSameBitsWhicheverPagesHoldTheTokens) {
  std::mt19937 random(test_seed());
  const std::vector<RowRun> runs = {{0, 300, 20}, {1, 90, 1}};
  Problem p = make_problem(kPocketHeads, runs);
  Problem moved = p;
  moved.batch = make_batch(kPocketHeads, runs, random);
  for (int32_t sequence = 0; sequence < 2; ++sequence) {
    const int32_t length = sequence == 0 ? 320 : 91;
    for (int32_t t = 0; t < length; ++t) {
      for (int32_t head = 0; head < kPocketHeads.n_kv_heads; ++head) {
        for (int32_t d = 0; d < kPocketHeads.head_dim; ++d) {
          moved.batch.k_pages[moved.batch.k_index(sequence, head, t, d)] =
              p.batch.k_pages[p.batch.k_index(sequence, head, t, d)];
          moved.batch.v_pages[moved.batch.v_index(sequence, head, t, d)] =
              p.batch.v_pages[p.batch.v_index(sequence, head, t, d)];
        }
      }
    }
  }
  ASSERT_NE(p.batch.page_tables, moved.batch.page_tables);
  for (const Isa isa : isas_of_this_machine()) {
    const std::vector<float> a = run(p, isa, 2);
    const std::vector<float> b = run(moved, isa, 2);
    EXPECT_TRUE(same_bits(a.data(), b.data(), static_cast<int64_t>(a.size()))) << name_of(isa);
  }
}

// A damaged query shows in its own row and nowhere else.
TEST(PagedAttention, KeepsANanInItsRow) {
  Problem p = make_problem(kPocketHeads, {{0, 40, 5}, {1, 3, 1}});
  for (const Isa isa : isas_of_this_machine()) {
    const std::vector<float> healthy = run(p, isa, 1);
    Problem damaged = p;
    for (int64_t i = 0; i < p.width(); ++i) {
      damaged.q[static_cast<size_t>(2 * p.width() + i)] = std::nanf("");
    }
    const std::vector<float> out = run(damaged, isa, 1);
    for (int32_t row = 0; row < p.batch.n_rows(); ++row) {
      if (row == 2) {
        EXPECT_TRUE(std::isnan(out[static_cast<size_t>(row * p.width())]));
      } else {
        EXPECT_TRUE(
            same_bits(out.data() + row * p.width(), healthy.data() + row * p.width(), p.width()))
            << name_of(isa) << ", row " << row;
      }
    }
  }
}

}  // namespace
}  // namespace incipit::kernels
