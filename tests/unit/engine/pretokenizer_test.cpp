#include "engine/tokenizer/pretokenizer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/tokenizer/split_pattern.h"
#include "engine/tokenizer/utf8.h"
#include "tests/support/tiny_tokenizer.h"

namespace incipit::engine {
namespace {

using Pieces = std::vector<std::string>;

Pieces split_by(std::string_view pattern, std::string_view text) {
  Pieces pieces;
  Pretokenizer::create(pattern, "test").value().split(text, [&](std::string_view piece) {
    pieces.emplace_back(piece);
  });
  return pieces;
}

Pieces split(std::string_view text) {
  return split_by(support::kLlama3Pattern, text);
}

TEST(Pretokenizer, CutsCodeAsLlama3Does) {
  EXPECT_EQ(split("def add(a, b):\n    return a\n"),
            (Pieces{"def", " add", "(a", ",", " b", "):\n", "   ", " return", " a", "\n"}));
  EXPECT_EQ(split("1234567"), (Pieces{"123", "456", "7"}));
  EXPECT_EQ(split("x\r\n\r\n  y"), (Pieces{"x", "\r\n\r\n", " ", " y"}));
}

TEST(Pretokenizer, CutsContractionsInAnyCaseAndWithALongS) {
  EXPECT_EQ(split("it's IT'S x'ſ we'LL"),
            (Pieces{"it", "'s", " IT", "'S", " x", "'ſ", " we", "'LL"}));
}

TEST(Pretokenizer, LeavesTheLastSpaceToTheNextWord) {
  EXPECT_EQ(split("   x"), (Pieces{"  ", " x"}));
  EXPECT_EQ(split("x   "), (Pieces{"x", "   "}));
}

TEST(Pretokenizer, TakesTheMongolianVowelSeparatorForNoSpace) {
  // White space for PCRE2's own \s, not for the oracle.
  EXPECT_EQ(split("  \u180e"), (Pieces{" ", " \u180e"}));
}

TEST(Pretokenizer, KnowsLettersAndNumbersNewerThanUnicode14) {
  // U+1DF25 (Unicode 15) and U+31350 (15) and U+10D4A (16) are letters; U+1E4F0 (15) is a number.
  EXPECT_EQ(split("a\U0001df25\U00031350\U00010d4a"), (Pieces{"a\U0001df25\U00031350\U00010d4a"}));
  EXPECT_EQ(split("12\U0001e4f03"), (Pieces{"12\U0001e4f0", "3"}));
}

TEST(Pretokenizer, MakesAPieceOfWhatThePatternLeaves) {
  EXPECT_EQ(split_by("b+", "abbcb"), (Pieces{"a", "bb", "c", "b"}));
  EXPECT_EQ(split_by("x", "abc"), (Pieces{"abc"}));
  EXPECT_EQ(split_by("x", ""), Pieces{});
}

TEST(Pretokenizer, IgnoresEmptyMatches) {
  EXPECT_EQ(split_by("", "日本"), (Pieces{"日本"}));
  EXPECT_EQ(split_by("b*", "abb日"), (Pieces{"a", "bb", "日"}));
  EXPECT_EQ(split_by("(?=b)", "abb"), (Pieces{"abb"}));
}

TEST(Pretokenizer, LosesNothingToOddPatterns) {
  const std::string text = "one 22 \u00e9\u00e9 three\n";
  for (const char* pattern : {"\\Ke", "^", "$", "(*FAIL)", "\\b", "(?s).", "(?:(?:a|b)*)*c",
                              "(\\w)(?R)?", "[[:space:]]+", "[]\\s]+"}) {
    std::string joined;
    for (const std::string& piece : split_by(pattern, text)) joined += piece;
    EXPECT_EQ(joined, text) << pattern;
  }
}

TEST(Pretokenizer, GivesUpOnAPatternOfExponentialCost) {
  // 2^60 ways to cut the letters, none of which ends in b.
  const Pieces pieces = split_by("(?:a+)+b", std::string(60, 'a') + "!b");
  EXPECT_EQ(pieces, (Pieces{std::string(60, 'a') + "!b"}));
}

TEST(Pretokenizer, CutsAMegabyteOfSpacesOnce) {
  const std::string text = std::string(1'000'000, ' ') + "x";
  const Pieces pieces = split(text);
  ASSERT_EQ(pieces.size(), 2u);
  EXPECT_EQ(pieces[0].size(), 999'999u);
  EXPECT_EQ(pieces[1], " x");
}

TEST(SplitPattern, WritesClassesOutAndLeavesTheRest) {
  EXPECT_EQ(with_explicit_classes("a|\\w\\\\p{L}\\d[\\]x]"), "a|\\w\\\\p{L}\\d[\\]x]");
  EXPECT_TRUE(with_explicit_classes("\\s").starts_with("[\\x{9}-\\x{d}\\x{20}\\x{85}"));
  EXPECT_TRUE(with_explicit_classes("\\S").starts_with("[^\\x{9}-\\x{d}\\x{20}"));
  EXPECT_TRUE(with_explicit_classes("[a\\s]").starts_with("[a\\x{9}-\\x{d}\\x{20}"));
  EXPECT_TRUE(with_explicit_classes("[\\S]").starts_with("[\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}"));
  EXPECT_TRUE(with_explicit_classes("\\p{L}+").starts_with("[\\x{41}-\\x{5a}"));
  EXPECT_EQ(with_explicit_classes("\\p{L}"), with_explicit_classes("\\P{^L}"));
  EXPECT_EQ(with_explicit_classes("\\pN"), with_explicit_classes("\\p{Number}"));
  EXPECT_EQ(with_explicit_classes("\\p{Lu}\\p{L"), "\\p{Lu}\\p{L");
}

TEST(SplitPattern, KeepsABracketThatIsAMember) {
  EXPECT_EQ(split_by("[]\\s]+", "a] ]b"), (Pieces{"a", "] ]", "b"}));
  EXPECT_EQ(split_by("[^]\\s]+", "a] ]b"), (Pieces{"a", "] ]", "b"}));
  EXPECT_EQ(split_by("[[:digit:]\\s]+", "a1 2b"), (Pieces{"a", "1 2", "b"}));
}

TEST(SplitPattern, ComplementHasEveryOtherCodePoint) {
  for (const char* text : {"\x01", "a", "\u3001", "\ud7ff", "\ue000", "\U0010ffff", "\u180e"}) {
    EXPECT_EQ(split_by("[\\S]", std::string(" ") + text), (Pieces{" ", text}));
    EXPECT_EQ(split_by("\\S", std::string(" ") + text), (Pieces{" ", text}));
  }
}

TEST(Utf8, TellsValidInvalidAndIncomplete) {
  const auto step = [](std::string_view text) {
    const Utf8Step found = utf8_step(text);
    return std::pair(found.kind, found.length);
  };
  EXPECT_EQ(step("a"), std::pair(Utf8Kind::kValid, size_t{1}));
  EXPECT_EQ(step("\u00e9x"), std::pair(Utf8Kind::kValid, size_t{2}));
  EXPECT_EQ(step("\U0010ffff"), std::pair(Utf8Kind::kValid, size_t{4}));
  EXPECT_EQ(step("\xf0\x9f\x98"), std::pair(Utf8Kind::kIncomplete, size_t{3}));
  EXPECT_EQ(step("\xf0\x9f\x98x"), std::pair(Utf8Kind::kInvalid, size_t{3}));
  EXPECT_EQ(step("\xf4\x90"), std::pair(Utf8Kind::kInvalid, size_t{1}));
  EXPECT_EQ(step("\xe0\x9f"), std::pair(Utf8Kind::kInvalid, size_t{1}));
  EXPECT_EQ(step("\x80"), std::pair(Utf8Kind::kInvalid, size_t{1}));
  EXPECT_EQ(step("\xf5"), std::pair(Utf8Kind::kInvalid, size_t{1}));
  EXPECT_EQ(valid_utf8_prefix("0123456789\u00e9 0123456\xff"), 20u);
}

}  // namespace
}  // namespace incipit::engine
