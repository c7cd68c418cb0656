#include "engine/sampling/forced_text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "engine/sampling/sampler.h"

namespace incipit::engine {
namespace {

const std::vector<std::string> kForcedVocabulary = {"",   "r", "re", "return", "ret", "t",
                                                    "\n", "x", "et", "urn",    "u",   "return x"};

std::string_view vocabulary_bytes(TokenId token) {
  return kForcedVocabulary[static_cast<size_t>(token)];
}

class ForcedTextTest : public ::testing::Test {
 protected:
  // The text's tokens when the model prefers tokens in this order, always.
  std::vector<TokenId> write(const std::string& text, const std::vector<TokenId>& order,
                             SamplingParams params = {}) {
    std::vector<kernels::Candidate> candidates;
    for (const TokenId token : order)
      candidates.push_back({token, 5.0F - static_cast<float>(candidates.size())});
    ForcedText forced(text);
    std::vector<TokenId> tokens;
    while (!forced.done()) {
      const auto token =
          forced.sample(candidates, params, std::ssize(tokens), vocabulary_bytes, byte_tokens_);
      if (!token) return {-1};
      tokens.push_back(*token);
      forced.take(vocabulary_bytes(*token));
    }
    return tokens;
  }

  const ByteTokens byte_tokens_ =
      find_byte_tokens(vocabulary_bytes, static_cast<int32_t>(kForcedVocabulary.size()));
};

using Tokens = std::vector<TokenId>;

TEST_F(ForcedTextTest, TakesTheLikeliestTokenThatGoesOnWithTheText) {
  EXPECT_EQ(write("retu", {7, 3, 4}), Tokens{3}) << "it may go beyond the text";
  EXPECT_EQ(write("retu", {7, 4, 3, 9}), (Tokens{4, 9})) << "or be a part of it";
  EXPECT_EQ(write("", {7}), Tokens{});
}

TEST_F(ForcedTextTest, TakesSingleBytesWhereTheModelWantsNoneOfIt) {
  EXPECT_EQ(write("ret", {7, 0}), Tokens{-1}) << "there is no token for e";
  EXPECT_EQ(write("rt\n", {7, 0}), (Tokens{1, 5, 6}));
}

TEST_F(ForcedTextTest, NeverTakesASpecialToken) {
  EXPECT_EQ(write("x", {0, 7}), Tokens{7});
}

TEST_F(ForcedTextTest, DrawsAmongThoseThatFit) {
  const SamplingParams params{.temperature = 2, .top_p = 1, .seed = 3};
  bool others = false;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const Tokens tokens =
        write("re", {3, 2, 4, 7, 11}, {.temperature = 2, .top_p = 1, .seed = seed});
    ASSERT_EQ(tokens.size(), 1U);
    EXPECT_NE(tokens[0], 7);
    others = others || tokens[0] != 3;
  }
  EXPECT_TRUE(others);
  EXPECT_EQ(write("re", {3, 2, 4}, params), write("re", {3, 2, 4}, params));
}

TEST_F(ForcedTextTest, TellsOfLogitsThatAreNoNumbers) {
  const std::vector<kernels::Candidate> candidates = {{3, std::numeric_limits<float>::quiet_NaN()}};
  EXPECT_EQ(ForcedText("re").sample(candidates, {}, 0, vocabulary_bytes, byte_tokens_),
            std::nullopt);
}

TEST(LogProbability, IsThatOfTheCandidatesAmongThemselves) {
  const std::vector<kernels::Candidate> candidates = {{4, 2.0F}, {9, 1.0F}, {1, 0.0F}};
  const double total = std::exp(2.0) + std::exp(1.0) + 1;
  EXPECT_NEAR(log_probability(candidates, 4), std::log(std::exp(2.0) / total), 1e-6);
  EXPECT_NEAR(log_probability(candidates, 1), std::log(1 / total), 1e-6);
  EXPECT_NEAR(log_probability(candidates, 77), std::log(1 / total), 1e-6) << "as the least";
  EXPECT_EQ(log_probability(std::span(candidates).first(1), 4), 0);
}

}  // namespace
}  // namespace incipit::engine
