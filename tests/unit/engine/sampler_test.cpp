#include "engine/sampling/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <vector>

namespace incipit::engine {
namespace {

using kernels::Candidate;

const std::vector<Candidate> kCandidates = {{7, 3.0F}, {2, 2.0F}, {9, 1.0F}, {4, -4.0F}};

std::map<TokenId, double> frequencies(const SamplingParams& params, int n) {
  std::map<TokenId, double> counts;
  for (int position = 0; position < n; ++position)
    counts[sample_token(kCandidates, params, position).value()] += 1.0 / n;
  return counts;
}

TEST(Sampler, TakesTheLargestLogitAtTemperatureZero) {
  for (int position = 0; position < 100; ++position)
    EXPECT_EQ(sample_token(kCandidates, {}, position), 7);
}

TEST(Sampler, DrawsInProportionToTheSoftmax) {
  const int n = 100000;
  const SamplingParams params{.temperature = 0.7F, .top_p = 1, .seed = 5};
  std::map<TokenId, double> counts = frequencies(params, n);
  double total = 0;
  for (const Candidate& c : kCandidates) total += std::exp(c.logit / 0.7);
  for (const Candidate& c : kCandidates) {
    const double p = std::exp(c.logit / 0.7) / total;
    // Five standard deviations of a binomial share.
    EXPECT_NEAR(counts[c.token], p, 5 * std::sqrt(p * (1 - p) / n) + 1e-9) << c.token;
  }
}

TEST(Sampler, KeepsTheFewestTokensThatReachTopP) {
  // Shares at temperature 1: 0.665, 0.245, 0.090, 0.0006.
  EXPECT_EQ(frequencies({.temperature = 1, .top_p = 0.5F, .seed = 1}, 2000).size(), 1u);
  EXPECT_EQ(frequencies({.temperature = 1, .top_p = 0.7F, .seed = 1}, 2000).size(), 2u);
  EXPECT_EQ(frequencies({.temperature = 1, .top_p = 0.95F, .seed = 1}, 2000).size(), 3u);
}

TEST(Sampler, DrawsTheSameForTheSameSeedAndPositionOnly) {
  EXPECT_EQ(uniform_draw(1, 2), uniform_draw(1, 2));
  EXPECT_NE(uniform_draw(1, 2), uniform_draw(2, 1));
  EXPECT_NE(uniform_draw(1, 2), uniform_draw(1, 3));
  double sum = 0;
  for (int i = 0; i < 10000; ++i) {
    const double draw = uniform_draw(static_cast<uint64_t>(i % 10), i / 10);
    ASSERT_GE(draw, 0);
    ASSERT_LT(draw, 1);
    sum += draw;
  }
  EXPECT_NEAR(sum / 10000, 0.5, 0.02);
}

TEST(Sampler, SurvivesExtremeTemperatures) {
  EXPECT_EQ(sample_token(kCandidates, {.temperature = 1e-30F}, 3), 7);
  EXPECT_EQ(frequencies({.temperature = 1e30F, .top_p = 1, .seed = 1}, 2000).size(), 4u);
}

TEST(Sampler, RefusesLogitsThatAreNotFinite) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (float bad : {inf, -inf, nan}) {
    const std::vector<Candidate> candidates = {{7, 3.0F}, {2, bad}};
    EXPECT_EQ(sample_token(candidates, {}, 0), std::nullopt);
  }
}

}  // namespace
}  // namespace incipit::engine
