#include "lsp/eval/hole_row.h"

#include <gtest/gtest.h>

namespace incipit::lsp::eval {
namespace {

constexpr const char* kText =
    "int add(int a, int b) {\n"
    "  int sum = a + b;\n"
    "  return sum;\n"
    "}\n";

Tree c_tree(const std::string& text) {
  return DocumentParser(*find_language("c", ""))
      .parse(std::make_shared<const std::string>(text),
             DocumentParser::Clock::now() + std::chrono::hours(1));
}

// Judges `shown` for the hole that begins with `from` and ends with the line.
HoleRow judged(const std::string& from, const std::string& shown, size_t n_replaced = 0,
               HoleKind kind = HoleKind::kLine, const std::string& text = kText) {
  const Tree tree = c_tree(text);
  HoleRow row;
  row.hole.kind = kind;
  row.hole.start = text.find(from);
  row.hole.end = text.find('\n', row.hole.start);
  const CompletionItem item{shown, row.hole.start, row.hole.start + n_replaced};
  judge(*tree, &item, row);
  return row;
}

TEST(EvalHoleRow, WhatStoodThereIsExact) {
  const HoleRow row = judged("a + b;", "a + b;  ");
  EXPECT_EQ(row.expected, "a + b;");
  EXPECT_TRUE(row.exact_line);
  EXPECT_TRUE(row.exact_span);
  EXPECT_DOUBLE_EQ(row.line_similarity, 1);
  EXPECT_DOUBLE_EQ(row.span_similarity, 1);
  EXPECT_EQ(row.damages, false);
  EXPECT_EQ(row.repeats, false);
  EXPECT_FALSE(row.exact_name);
}

TEST(EvalHoleRow, AnExactLineWithMoreBelowIsNoExactSpan) {
  const HoleRow row = judged("a + b;", "a + b;\n  sum += 1;");
  EXPECT_TRUE(row.exact_line);
  EXPECT_FALSE(row.exact_span);
  EXPECT_DOUBLE_EQ(row.line_similarity, 1);
  EXPECT_LT(row.span_similarity, 0.5);
}

TEST(EvalHoleRow, SomethingElseIsNotExact) {
  const HoleRow row = judged("a + b;", "a - b;");
  EXPECT_FALSE(row.exact_line);
  EXPECT_NEAR(row.line_similarity, 5.0 / 6, 1e-12);
  EXPECT_EQ(row.damages, false);  // wrong, but it parses
}

TEST(EvalHoleRow, NothingShownIsNotExactAndHasNoDamage) {
  const Tree tree = c_tree(kText);
  HoleRow row;
  row.hole = {HoleKind::kToken, tree->text()->find("um = a"), tree->text()->find("\n  return")};
  judge(*tree, nullptr, row);
  EXPECT_EQ(row.expected, "um = a + b;");
  EXPECT_FALSE(row.is_shown());
  EXPECT_FALSE(row.exact_line);
  EXPECT_EQ(row.exact_name, false);
  EXPECT_DOUBLE_EQ(row.span_similarity, 0);
  EXPECT_FALSE(row.damages.has_value());
  EXPECT_FALSE(row.repeats.has_value());
}

TEST(EvalHoleRow, BracketsThatDoNotFitAreDamage) {
  EXPECT_EQ(judged("a + b;", "(a + b;").damages, true);
  EXPECT_EQ(judged("a + b;", "a + b;\n  }").damages, true);
  EXPECT_EQ(judged("a + b;", "(a + b);").damages, false);
}

TEST(EvalHoleRow, ErrorsThatTheFileHasAlreadyAreNoDamage) {
  const std::string broken = std::string(kText) + "int f( {\n";
  EXPECT_EQ(judged("a + b;", "a * b;", 0, HoleKind::kLine, broken).damages, false);
  EXPECT_EQ(judged("a + b;", "(a * b;", 0, HoleKind::kLine, broken).damages, true);
}

TEST(EvalHoleRow, ARepeatedNextLineIsSeen) {
  EXPECT_EQ(judged("a + b;", "a + b;\n  return sum;").repeats, true);
  const std::string twice = "void f() {\n  g(1);\n  g(1);\n}\n";
  EXPECT_EQ(judged("1);\n  g", "1);", 0, HoleKind::kLine, twice).repeats, false);  // as it was
}

TEST(EvalHoleRow, ANameIsExactOnlyWhenItEndsThere) {
  EXPECT_EQ(judged("um = a", "um = 0;", 0, HoleKind::kToken).exact_name, true);
  EXPECT_EQ(judged("um = a", "umme = a + b;", 0, HoleKind::kToken).exact_name, false);
  EXPECT_EQ(judged("um = a", "u = a + b;", 0, HoleKind::kToken).exact_name, false);
}

TEST(EvalHoleRow, WhatASuggestionReplacesItHasToBringAlong) {
  // A hole before a closer, as an editor would have put it there.
  const Tree tree = c_tree("void f(void) { g(1, 2); }\n");
  HoleRow row;
  row.hole = {HoleKind::kLine, tree->text()->find("2);"), tree->text()->find("); }")};
  const CompletionItem item{"2);", row.hole.start, row.hole.start + 2};
  judge(*tree, &item, row);
  EXPECT_TRUE(row.exact_span);
  EXPECT_EQ(row.damages, false);
}

}  // namespace
}  // namespace incipit::lsp::eval
