#include "lsp/syntax/pieces.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

namespace incipit::lsp {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

Tree tree_of_pieces(std::string_view language, std::string text) {
  return DocumentParser(*find_language(language, ""))
      .parse(std::make_shared<const std::string>(std::move(text)),
             DocumentParser::Clock::now() + std::chrono::hours(1));
}

std::string text_of(const SyntaxTree& tree, Span span) {
  return tree.text()->substr(span.start, span.end - span.start);
}

std::vector<std::string> names_in(std::string_view language, std::string text) {
  const Tree tree = tree_of_pieces(language, std::move(text));
  std::vector<std::string> names;
  for (const Token& token : tokens_of(*tree)) {
    if (token.is_name) names.push_back(text_of(*tree, token.span));
  }
  return names;
}

std::vector<std::string> runs_in(std::string_view language, std::string text, int min = 1,
                                 int max = 8) {
  const Tree tree = tree_of_pieces(language, std::move(text));
  std::vector<std::string> runs;
  for (const Span& span : line_runs(*tree, min, max)) runs.push_back(text_of(*tree, span));
  return runs;
}

TEST(SyntaxPieces, TokensAreTheLeavesWithoutComments) {
  const Tree tree = tree_of_pieces("c", "int a = f(1); // note\n");
  std::vector<std::string> texts;
  for (const Token& token : tokens_of(*tree)) texts.push_back(text_of(*tree, token.span));
  EXPECT_THAT(texts, ElementsAre("int", "a", "=", "f", "(", "1", ")", ";"));
}

TEST(SyntaxPieces, AStringIsOneToken) {
  const Tree tree = tree_of_pieces("python", "x = f'a {b} c'\n");
  std::vector<std::string> texts;
  for (const Token& token : tokens_of(*tree)) texts.push_back(text_of(*tree, token.span));
  EXPECT_THAT(texts, ElementsAre("x", "=", "f'a {b} c'"));
}

TEST(SyntaxPieces, NamesAreNeitherKeywordsNorNumbersNorStrings) {
  EXPECT_THAT(names_in("python", "def go(value):\n    return value + 12 + 'text'\n"),
              ElementsAre("go", "value", "value"));
}

TEST(SyntaxPieces, WhatTheParserCouldNotPlaceHasNoTokens) {
  EXPECT_THAT(names_in("c", "int ok;\n)))) bad ((((\n"), Not(Contains("bad")));
}

TEST(SyntaxPieces, RunsAreTheBodyOfABlockAndItsLastLines) {
  EXPECT_THAT(runs_in("python", "def f(a):\n    b = a\n    return b\n"),
              ElementsAre("b = a\n    return b", "return b"));
  EXPECT_THAT(runs_in("c", "int f(int a) {\n  int b = a;\n  return b;\n}\n"),
              ElementsAre("int b = a;\n  return b;", "return b;"));
}

TEST(SyntaxPieces, ARunReachesToTheEndOfItsLine) {
  EXPECT_THAT(runs_in("javascript", "f({\n  a: 1,\n  b: 2,\n});\n"),
              ElementsAre("a: 1,\n  b: 2,", "b: 2,"));
  // What ends the node stands on the same line: no whole lines.
  EXPECT_THAT(runs_in("javascript", "f({\n  a: 1,\n  b: 2 });\n"), IsEmpty());
}

TEST(SyntaxPieces, RunsHaveTheWantedLength) {
  const std::string text = "def f(a):\n    b = a\n    c = b\n    return c\n";
  EXPECT_THAT(runs_in("python", text, 2, 2), ElementsAre("c = b\n    return c"));
  EXPECT_THAT(runs_in("python", text, 4, 8), IsEmpty());
}

TEST(SyntaxPieces, RunsLieInCodeAndDoNotBeginWithAComment) {
  EXPECT_THAT(runs_in("python", "def f(a):\n    # why\n    return a\n"), ElementsAre("return a"));
  EXPECT_THAT(runs_in("python", "x = '''\na\nb\n'''\n"), IsEmpty());
}

TEST(SyntaxPieces, ACarriageReturnIsPartOfTheLineEnd) {
  EXPECT_THAT(runs_in("c", "int f() {\r\n  g();\r\n  return 1;\r\n}\r\n", 2, 2),
              ElementsAre("g();\r\n  return 1;"));
}

TEST(SyntaxPieces, DeepNestingIsCutOff) {
  const std::string deep = std::string(100'000, '(') + "1" + std::string(100'000, ')');
  EXPECT_THAT(runs_in("python", "x = " + deep + "\n"), IsEmpty());
  EXPECT_THAT(names_in("python", "x = " + deep + "\n"), Not(IsEmpty()));
}

TEST(SyntaxPieces, KnowsATextThatIsNothingButAnError) {
  EXPECT_TRUE(is_unparsed(*tree_of_pieces("python", "def f(:\n  (((\n")));
  EXPECT_TRUE(is_unparsed(*tree_of_pieces("java", "{\"a\": [1, 2")));
  EXPECT_FALSE(is_unparsed(*tree_of_pieces("java", "class A { int b; }\n")));
  EXPECT_FALSE(is_unparsed(*tree_of_pieces("java", "class A { int b; }\n) (\n")));
  EXPECT_FALSE(is_unparsed(*tree_of_pieces("java", "")));
}

}  // namespace
}  // namespace incipit::lsp
