// Paged attention on the device against the double-precision reference within a derived bound, and
// the promise of flat attention: neither the other rows, nor the pages, nor what later tokens hold
// change a bit of a row.
#include "kernels/cuda/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/reference/steps.h"
#include "tests/support/cuda_paged_batch.h"

namespace incipit::kernels::cuda {
namespace {

size_t at(int64_t i) {
  return static_cast<size_t>(i);
}

struct Problem {
  PagedBatch batch;
  std::vector<uint16_t> q;  // [n_rows, n_heads * head_dim]
  float scale = 0;

  int64_t width() const { return int64_t{batch.heads.n_heads} * batch.heads.head_dim; }
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
    for (int64_t i = 0; i < p.width(); ++i) p.q.push_back(float_to_half(strength * value(random)));
  }
  return p;
}

// Rows `rows` of p, in that order; -1 is a row of padding.
Problem select(const Problem& p, const std::vector<int32_t>& rows) {
  Problem part = p;
  part.q.clear();
  part.batch.positions.clear();
  part.batch.sequence_of_row.clear();
  for (const int32_t row : rows) {
    const bool is_padding = row < 0;
    part.batch.positions.push_back(is_padding ? -1 : p.batch.positions[at(row)]);
    part.batch.sequence_of_row.push_back(is_padding ? 0 : p.batch.sequence_of_row[at(row)]);
    const int64_t first = std::max(row, 0) * p.width();
    part.q.insert(part.q.end(), p.q.begin() + first, p.q.begin() + first + p.width());
  }
  return part;
}

struct LaunchAs {
  StepInputs inputs = StepInputs::kAfterWait;
  bool dependent = false;
  int n_times = 1;
};

// Output bits, [n_rows, width], poisoned first; scratch poisoned but for its counters.
std::vector<uint16_t> run(const Problem& p, const LaunchAs& how = {}) {
  const HeadShape& heads = p.batch.heads;
  const int32_t n_rows = p.batch.n_rows();
  int32_t longest = 1;
  for (const int32_t position : p.batch.positions) longest = std::max(longest, position + 1);
  const AttentionLimits limits = {heads, n_rows, n_rows, longest};

  const CudaPagedBatch batch(p.batch);
  const DeviceArray<uint16_t> q(p.q);
  const DeviceArray<uint16_t> out(static_cast<int64_t>(p.q.size()));
  const int64_t n_scratch = attention_scratch_bytes(limits) / 4;
  const int64_t n_counters = int64_t{kFlatAttentionRows} * heads.n_kv_heads;
  DeviceArray<int32_t> scratch(n_scratch);
  CUDA_CHECK(cudaMemset(scratch.data(), 0, at(n_counters * 4)));
  std::vector<int32_t> plan(at(attention_plan_bytes(n_rows) / 4), 0x7f7f7f7f);
  CudaAttentionParams params;
  params.bounds = plan_attention(limits, p.batch.positions, p.batch.sequence_of_row,
                                 reinterpret_cast<std::byte*>(plan.data()));
  const DeviceArray<int32_t> device_plan(plan);
  params.rows = batch.rows();
  params.heads = heads;
  params.q = q.data();
  params.kv = batch.kv();
  params.scale = p.scale;
  params.out = out.data();
  params.plan = reinterpret_cast<const std::byte*>(device_plan.data());
  params.inputs = how.inputs;

  prepare_attention();
  const AttentionScratch views = {reinterpret_cast<std::byte*>(scratch.data())};
  for (int i = 0; i < how.n_times; ++i) {
    const LaunchContext context = {nullptr, how.dependent && i > 0};
    (n_rows <= kFlatAttentionRows ? flat_attention : prefill_attention)(params, limits, views,
                                                                        context);
  }
  CUDA_CHECK(cudaGetLastError());
  CUDA_CHECK(cudaDeviceSynchronize());
  const std::vector<int32_t> after = scratch.read();
  EXPECT_TRUE(std::all_of(after.begin(), after.begin() + n_counters, [](int32_t c) {
    return c == 0;
  })) << "counters are left at work";
  return out.read();
}

// Bounds of |out - exact| for one query, [head_dim]. With u = 2^-24; a sum on the tensor cores is
// off by 2 u of its magnitude a term (they cut rather than round), and sums of n terms count n.
// A score: head_dim terms, the scaling and the distance to the maximum (3 u each, of the largest
// magnitude in base 2). A weight: the score's error, exp2, and an exp2 and two roundings for each
// move of the maximum (pages of a strip, strips, chunks). It is then rounded to fp16: 2^-11 of
// itself, or 2^-25 of the largest. Sums: the longest chain of keys. The divisor has the unrounded
// weights. In the end the output is rounded to fp16.
std::vector<double> error_bounds(const Problem& p, int32_t row, int32_t head) {
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

std::vector<float> reference_of(const Problem& p) {
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

void expect_close_to_reference(const Problem& p) {
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

bool same_row(const std::vector<uint16_t>& a, int64_t row_a, const std::vector<uint16_t>& b,
              int64_t row_b, int64_t width) {
  return std::equal(a.begin() + row_a * width, a.begin() + (row_a + 1) * width,
                    b.begin() + row_b * width);
}

std::string shape_name(const testing::TestParamInfo<HeadShape>& shape) {
  const HeadShape& heads = shape.param;
  return std::to_string(heads.n_heads) + "of" + std::to_string(heads.n_kv_heads) + "x" +
         std::to_string(heads.head_dim);
}

class CudaAttentionOfHeads : public testing::TestWithParam<HeadShape> {};

// Query heads a KV head: 1, 1, 2, 3, 4, 4, 7, 8, 16, 20.
INSTANTIATE_TEST_SUITE_P(Shapes, CudaAttentionOfHeads,
                         testing::Values(HeadShape{2, 2, 64}, HeadShape{1, 1, 128},
                                         HeadShape{4, 2, 128}, HeadShape{3, 1, 64},
                                         HeadShape{8, 2, 128}, HeadShape{4, 1, 64},
                                         HeadShape{7, 1, 64}, HeadShape{8, 1, 128},
                                         HeadShape{16, 1, 128}, HeadShape{20, 1, 64}),
                         shape_name);

TEST_P(CudaAttentionOfHeads, MatchesTheReferenceAtPageAndChunkEdges) {
  SKIP_WITHOUT_CUDA();
  std::vector<RowRun> runs;
  int32_t sequence = 0;
  for (const int32_t kv_len :
       {1, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129, 255, 256, 257, 1023, 1024, 1025}) {
    runs.push_back({sequence++, kv_len - 1, 1});
  }
  expect_close_to_reference(make_problem(GetParam(), runs));
}

TEST_P(CudaAttentionOfHeads, MatchesTheReferenceForRunsOfSeveralSequences) {
  SKIP_WITHOUT_CUDA();
  const Problem p =
      make_problem(GetParam(), {{0, 0, 17}, {1, 254, 3}, {0, 17, 2}, {2, 70, 1}, {1, 257, 2}});
  expect_close_to_reference(p);
}

TEST_P(CudaAttentionOfHeads, MatchesTheReferenceForAPrefillOfSeveralSequences) {
  SKIP_WITHOUT_CUDA();
  const Problem p = make_problem(GetParam(), {{0, 100, 43}, {1, 0, 31}, {2, 640, 1}, {0, 143, 9}});
  std::vector<int32_t> rows(at(p.batch.n_rows()));
  std::iota(rows.begin(), rows.end(), 0);
  rows.insert(rows.begin() + 50, {-1, -1});
  expect_close_to_reference(select(p, rows));
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

// Rows on both sides of every edge of the chunk size, alone and in several companies.
TEST(CudaAttention, GivesARowTheSameBitsAloneAsInABatch) {
  SKIP_WITHOUT_CUDA();
  for (const HeadShape& heads :
       {HeadShape{8, 4, 64}, HeadShape{7, 1, 64}, HeadShape{8, 2, 128}, HeadShape{4, 4, 128}}) {
    const Problem p = make_problem(
        heads, {{0, 1015, 20}, {1, 505, 2}, {2, 0, 18}, {0, 100, 9}, {3, 4094, 3}, {4, 2047, 2}});
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
TEST(CudaAttention, GivesTheSameBitsWhateverLaterTokensHold) {
  SKIP_WITHOUT_CUDA();
  for (const HeadShape& heads : {HeadShape{8, 4, 64}, HeadShape{4, 1, 128}}) {
    const Problem p = make_problem(heads, {{0, 1010, 30}, {0, 37, 20}});
    const std::vector<uint16_t> together = run(p);
    for (int32_t row = 0; row < p.batch.n_rows(); row += 3) {
      Problem alone = select(p, {row});
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

TEST(CudaAttention, GivesTheSameBitsWhicheverPagesHoldTheTokens) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  const std::vector<RowRun> runs = {{0, 300, 20}, {1, 90, 1}};
  for (const HeadShape& heads : {HeadShape{8, 4, 64}, HeadShape{4, 2, 128}}) {
    const Problem p = make_problem(heads, runs);
    Problem moved = p;
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

TEST(CudaAttention, LeavesPaddingAlone) {
  SKIP_WITHOUT_CUDA();
  for (const int32_t n_rows : {5, 60, 80}) {
    const Problem p = make_problem({4, 1, 64}, {{0, 30, n_rows}});
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
TEST(CudaAttention, KeepsANanInItsRow) {
  SKIP_WITHOUT_CUDA();
  for (const int32_t n_rows : {6, 70}) {
    const Problem p = make_problem({8, 2, 128}, {{0, 200, n_rows - 1}, {1, 3, 1}});
    const std::vector<uint16_t> healthy = run(p);
    Problem damaged = p;
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
TEST(CudaAttention, GivesTheSameBitsHoweverItIsLaunched) {
  SKIP_WITHOUT_CUDA();
  for (const std::vector<RowRun>& runs :
       {std::vector<RowRun>{{0, 1500, 1}, {1, 90, 2}}, std::vector<RowRun>{{0, 3000, 40}},
        std::vector<RowRun>{{0, 3000, 70}}}) {
    const Problem p = make_problem({8, 2, 128}, runs);
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
