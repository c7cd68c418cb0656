#include "lsp/eval/text_metrics.h"

#include <gtest/gtest.h>

namespace incipit::lsp::eval {
namespace {

TEST(EvalTextMetrics, SameTextMayDifferInWhiteSpaceAtLineEndsOnly) {
  EXPECT_TRUE(is_same_text("a(b);  \r\n  c\n", "a(b);\n  c"));
  EXPECT_TRUE(is_same_text("", "\n"));
  EXPECT_FALSE(is_same_text("a(b);\n  c", "a(b);\n c"));  // indentation
  EXPECT_FALSE(is_same_text(" a", "a"));
  EXPECT_FALSE(is_same_text("a\n\nb", "a\nb"));  // an empty line within
  EXPECT_FALSE(is_same_text("a", ""));
}

TEST(EvalTextMetrics, EditDistanceCountsInsertionsRemovalsAndReplacements) {
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("sitting", "kitten"), 3u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("abc", "abc  "), 0u);
}

TEST(EvalTextMetrics, EditDistanceCountsCharactersAndNotBytes) {
  EXPECT_EQ(edit_distance("größe", "grosse"), 3u);  // ö, ß, and one more
  EXPECT_EQ(edit_distance("😀", ""), 1u);
  EXPECT_DOUBLE_EQ(edit_similarity("ä", "ö"), 0);  // their first bytes are the same
}

TEST(EvalTextMetrics, SimilarityIsAShareOfTheLongerText) {
  EXPECT_DOUBLE_EQ(edit_similarity("abcd", "abcd"), 1);
  EXPECT_DOUBLE_EQ(edit_similarity("abcd", "abxx"), 0.5);
  EXPECT_DOUBLE_EQ(edit_similarity("ab", "abcd"), 0.5);
  EXPECT_DOUBLE_EQ(edit_similarity("", "abcd"), 0);
  EXPECT_DOUBLE_EQ(edit_similarity("", ""), 1);
}

TEST(EvalTextMetrics, SeesTheNextLineAtTheEndOfAPiece) {
  EXPECT_TRUE(repeats_a_neighbour("  ", "a = 1\n  b = 2", "\n\n  b = 2\n  c = 3\n"));
  EXPECT_FALSE(repeats_a_neighbour("  ", "a = 1\n  b = 2", "\n  c = 3\n  b = 2\n"));
}

TEST(EvalTextMetrics, SeesThePreviousLineAtTheStartOfAPiece) {
  EXPECT_TRUE(repeats_a_neighbour("  a = 1\n  a ", "= 1", "\n"));
  EXPECT_FALSE(repeats_a_neighbour("  a = 1\n  a ", "= 2", "\n"));
}

TEST(EvalTextMetrics, LooksAtWholeLinesAndNotAtPiecesOfThem) {
  // "1);" is what follows, but the line that the piece makes is "f(1);".
  EXPECT_FALSE(repeats_a_neighbour("f(", "1);", "\n1);\n"));
  EXPECT_TRUE(repeats_a_neighbour("f(", "1", ");\nf(1);\n"));
}

TEST(EvalTextMetrics, LinesThatEndBlocksMayStandTwice) {
  EXPECT_FALSE(repeats_a_neighbour("{\n  ", "if (a) {\n  }", "\n}\n"));
  EXPECT_FALSE(repeats_a_neighbour("", "if a then\n end", "\nend\n"));
  EXPECT_FALSE(repeats_a_neighbour("", "fi", "\nfi\n"));
  EXPECT_TRUE(repeats_a_neighbour("", "ending()", "\nending()\n"));
}

TEST(EvalTextMetrics, NothingRepeatsNothing) {
  EXPECT_FALSE(repeats_a_neighbour("a\n", "", "\na\n"));
  EXPECT_FALSE(repeats_a_neighbour("", "a", ""));
}

}  // namespace
}  // namespace incipit::lsp::eval
