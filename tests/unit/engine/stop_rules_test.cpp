#include "engine/sampling/stop_rules.h"

#include <gtest/gtest.h>

#include <random>

namespace incipit::engine {
namespace {

// A vocabulary of spelled-out tokens; the last one is special: no bytes.
const std::vector<std::string> kVocabulary = {"a",   "b", "ab", "\n", "\n\n",
                                              "xEN", "D", "EN", "x",  ""};
constexpr TokenId kSpecial = 9;

std::string_view spelling_of(TokenId token) {
  return kVocabulary[static_cast<size_t>(token)];
}

struct Stopped {
  std::vector<int32_t> released;  // after each pushed token
  std::optional<StopCause> cause;
  int32_t n_overhang_bytes = 0;
};

Stopped run(const StopRules& rules, const std::vector<TokenId>& tokens) {
  StopMatcher matcher(rules, spelling_of);
  Stopped outcome;
  for (TokenId token : tokens) {
    outcome.cause = matcher.push(token);
    outcome.released.push_back(matcher.n_released());
    if (outcome.cause) break;
  }
  outcome.n_overhang_bytes = matcher.n_overhang_bytes();
  return outcome;
}

TEST(StopMatcher, EndsAtAStopTokenWhichIsNotPartOfTheResult) {
  StopRules rules;
  rules.stop_tokens = {kSpecial};
  const Stopped outcome = run(rules, {0, 1, kSpecial, 0});
  EXPECT_EQ(outcome.cause, StopCause::kToken);
  EXPECT_EQ(outcome.released, (std::vector<int32_t>{1, 2, 2}));
}

TEST(StopMatcher, EndsAfterTheTokenLimit) {
  StopRules rules;
  rules.max_new_tokens = 3;
  const Stopped outcome = run(rules, {0, 0, 0, 0});
  EXPECT_EQ(outcome.cause, StopCause::kLength);
  EXPECT_EQ(outcome.released, (std::vector<int32_t>{1, 2, 3}));
}

TEST(StopMatcher, HoldsBackWhatMayBecomeAStopStringAndDropsItWhenItDoes) {
  StopRules rules;
  rules.stop_strings = {"END"};
  const Stopped outcome = run(rules, {0, 7, 6});  // "a" "EN" "D"
  EXPECT_EQ(outcome.cause, StopCause::kString);
  EXPECT_EQ(outcome.released, (std::vector<int32_t>{1, 1, 1}));
  EXPECT_EQ(outcome.n_overhang_bytes, 0);
}

TEST(StopMatcher, ReleasesWhatWasHeldOnceItCannotBecomeAStopString) {
  StopRules rules;
  rules.stop_strings = {"END"};
  const Stopped outcome = run(rules, {0, 7, 0, 7, 7});
  EXPECT_EQ(outcome.cause, std::nullopt);
  EXPECT_EQ(outcome.released, (std::vector<int32_t>{1, 1, 3, 3, 4}));
}

TEST(StopMatcher, TellsHowManyBytesOfTheLastTokenBelongToTheStopString) {
  StopRules rules;
  rules.stop_strings = {"END"};
  const Stopped outcome = run(rules, {0, 5, 6});  // "a" "xEN" "D": x is text, EN is not
  EXPECT_EQ(outcome.cause, StopCause::kString);
  EXPECT_EQ(outcome.released, (std::vector<int32_t>{1, 2, 2}));
  EXPECT_EQ(outcome.n_overhang_bytes, 2);
}

TEST(StopMatcher, TakesTheEarliestOfSeveralStopStrings) {
  StopRules rules;
  rules.stop_strings = {"bab", "ab"};
  const Stopped outcome = run(rules, {1, 2});  // "b" "ab" holds both; both end at byte 3
  EXPECT_EQ(outcome.cause, StopCause::kString);
  EXPECT_EQ(outcome.released, (std::vector<int32_t>{0, 0})) << "the one that begins first wins";
}

TEST(StopMatcher, KeepsTheLineBreakThatReachesTheLineLimit) {
  StopRules rules;
  rules.max_lines = 2;
  Stopped outcome = run(rules, {0, 3, 1, 3, 0});
  EXPECT_EQ(outcome.cause, StopCause::kLines);
  EXPECT_EQ(outcome.released, (std::vector<int32_t>{1, 2, 3, 4}));
  outcome = run(rules, {0, 4, 1});  // two line breaks in one token
  EXPECT_EQ(outcome.cause, StopCause::kLines);
  EXPECT_EQ(outcome.released, (std::vector<int32_t>{1, 2}));
}

TEST(StopMatcher, PrefersTheStopTokenOverTheLimitItWouldReach) {
  StopRules rules;
  rules.max_new_tokens = 1;
  rules.stop_tokens = {0};
  EXPECT_EQ(run(rules, {0}).cause, StopCause::kToken);
}

TEST(StopMatcher, GivesBackHeldTokensWhenTheStreamEndsOtherwise) {
  StopRules rules;
  rules.stop_strings = {"END"};
  StopMatcher matcher(rules, spelling_of);
  ASSERT_EQ(matcher.push(7), std::nullopt);
  EXPECT_EQ(matcher.n_released(), 0);
  matcher.finish();
  EXPECT_EQ(matcher.n_released(), 1);
}

// Whatever the borders between tokens, the text that is left equals a search in the whole text.
TEST(StopMatcher, FindsWhatASearchInTheWholeTextFinds) {
  const uint32_t seed = 20261122;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const std::vector<std::string> stops = {"ab", "bb", "aab", "\na", "ENDx", "b\n\n"};
  int n_matched = 0;
  for (int round = 0; round < 5000; ++round) {
    StopRules rules;
    rules.max_new_tokens = 1000;
    for (const std::string& stop : stops)
      if (random() % 3 == 0) rules.stop_strings.push_back(stop);
    StopMatcher matcher(rules, spelling_of);
    std::vector<TokenId> tokens;
    std::string text;
    std::optional<StopCause> cause;
    int32_t n_before = 0;
    while (!cause && tokens.size() < 12) {
      tokens.push_back(static_cast<TokenId>(random() % kVocabulary.size()));
      text += spelling_of(tokens.back());
      cause = matcher.push(tokens.back());
      ASSERT_GE(matcher.n_released(), n_before) << "a released token was taken back";
      n_before = matcher.n_released();
    }
    if (!cause) matcher.finish();
    size_t first_end = std::string::npos;
    size_t begin = text.size();
    for (const std::string& stop : rules.stop_strings) {
      const size_t at = text.find(stop);
      if (at == std::string::npos) continue;
      const size_t end = at + stop.size();
      if (end < first_end || (end == first_end && at < begin)) begin = at;
      first_end = std::min(first_end, end);
    }
    ASSERT_EQ(cause.has_value(), first_end != std::string::npos);
    n_matched += cause.has_value();
    std::string released;
    for (int32_t i = 0; i < matcher.n_released(); ++i)
      released += spelling_of(tokens[static_cast<size_t>(i)]);
    released.resize(released.size() - static_cast<size_t>(matcher.n_overhang_bytes()));
    ASSERT_EQ(released, text.substr(0, begin));
  }
  EXPECT_GT(n_matched, 500);
}

}  // namespace
}  // namespace incipit::engine
