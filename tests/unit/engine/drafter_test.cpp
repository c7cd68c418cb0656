#include "engine/sampling/drafter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace incipit::engine {
namespace {

using Text = std::vector<TokenId>;

// By definition: the longest suffix that also ends before the end and holds no separator.
int32_t longest_by_search(const Text& text) {
  const auto n = static_cast<int32_t>(text.size());
  int32_t best = 0;
  for (int32_t end = 0; end < n; ++end) {
    int32_t length = 0;
    while (length < end && text[static_cast<size_t>(end - 1 - length)] >= 0 &&
           text[static_cast<size_t>(end - 1 - length)] == text[static_cast<size_t>(n - 1 - length)])
      ++length;
    best = std::max(best, length);
  }
  return best;
}

TEST(SuffixAutomaton, FindsTheLongestSuffixThatStoodBefore) {
  std::mt19937 random(7);
  for (int i = 0; i < 200; ++i) {
    const uint32_t n_letters = 1 + random() % 4;
    SuffixAutomaton automaton(120);
    Text text;
    for (int k = 0; k < 120; ++k) {
      const bool separates = random() % 25 == 0;
      text.push_back(separates ? -1 : static_cast<TokenId>(random() % n_letters));
      automaton.append(text.back());
      const auto found = automaton.longest_repetition();
      ASSERT_EQ(found.length, longest_by_search(text)) << i << ", " << k;
      if (found.length == 0) continue;
      ASSERT_LT(found.end, static_cast<int32_t>(text.size()));
      ASSERT_TRUE(std::equal(text.end() - found.length, text.end(),
                             text.begin() + found.end - found.length));
    }
    EXPECT_TRUE(std::ranges::equal(automaton.text(), text));
  }
}

TEST(SuffixAutomaton, NamesTheLatestPlace) {
  SuffixAutomaton automaton(20);
  for (const TokenId token : Text{1, 2, 3, 4, 1, 2, 3, 5, 6, 1, 2, 3}) automaton.append(token);
  EXPECT_EQ(automaton.longest_repetition().length, 3);
  EXPECT_EQ(automaton.longest_repetition().end, 7);
}

TEST(SuffixAutomaton, TakesOneTokenOverAndOver) {
  SuffixAutomaton automaton(100'000);
  for (int i = 0; i < 100'000; ++i) automaton.append(9);
  EXPECT_EQ(automaton.longest_repetition().length, 99'999);
}

Text drafted(Drafter& drafter, const Text& tokens, int32_t limit = 100) {
  while (!drafter.follow(tokens)) {
  }
  const auto draft = drafter.draft(limit);
  return {draft.begin(), draft.end()};
}

TEST(Drafter, GoesOnAsTheTextDidBefore) {
  Drafter drafter({}, 50, 8);
  EXPECT_EQ(drafted(drafter, {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3}), (Text{4, 5, 6, 7}));
  EXPECT_EQ(drafted(drafter, {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3}, 2), (Text{4, 5}));
  EXPECT_EQ(drafted(drafter, {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 7}), Text{}) << "something new";
}

TEST(Drafter, GuessesNothingAfterAChanceOfTwoTokens) {
  Drafter drafter({}, 50, 8);
  EXPECT_EQ(drafted(drafter, {5, 1, 2, 4, 6, 7, 1, 2}), Text{});
}

TEST(Drafter, LooksAtOtherTextsAndNotBeyondTheirEnds) {
  const std::vector<Text> texts = {{1, 2, 3, 4, 5}, {7, 8, 9}};
  Drafter drafter(texts, 50, 8);
  EXPECT_EQ(drafted(drafter, {9, 9, 1, 2, 3}), (Text{4, 5}));
  EXPECT_EQ(drafted(drafter, {9, 9, 1, 2, 3, 4, 5}), Text{});
}

TEST(Drafter, PrefersTheLaterText) {
  const std::vector<Text> texts = {{1, 2, 3, 4}, {1, 2, 3, 5}};
  Drafter drafter(texts, 50, 8);
  EXPECT_EQ(drafted(drafter, {1, 2, 3}), Text{5});
}

TEST(Drafter, GuessesMoreWhileItIsRightAndLessWhenItWasNot) {
  Text text;
  for (TokenId token = 0; token < 60; ++token) text.push_back(token);
  Drafter drafter(std::vector<Text>{text}, 50, 8);
  const Text asked = {0, 1, 2};
  EXPECT_EQ(drafted(drafter, asked).size(), 4U);
  drafter.report(4, 4);
  EXPECT_EQ(drafted(drafter, asked).size(), 8U);
  drafter.report(8, 8);
  EXPECT_EQ(drafted(drafter, asked).size(), 8U) << "the most";
  drafter.report(8, 1);
  EXPECT_EQ(drafted(drafter, asked).size(), 2U);
  drafter.report(2, 0);
  EXPECT_EQ(drafted(drafter, asked).size(), 1U);
}

TEST(Drafter, TakesALongPromptInInParts) {
  Drafter drafter({}, 3000, 8);
  const Text prompt(2000, 4);
  int n_steps = 1;
  while (!drafter.follow(prompt)) {
    EXPECT_TRUE(drafter.draft(8).empty());
    ++n_steps;
  }
  EXPECT_EQ(n_steps, 4);
  EXPECT_FALSE(drafter.draft(8).empty());
}

}  // namespace
}  // namespace incipit::engine
