#include "lsp/syntax/scope.h"

#include <gmock/gmock.h>

#include <chrono>
#include <filesystem>
#include <string>

#include "lsp/syntax/brackets.h"
#include "tests/support/golden.h"
#include "tests/support/marked_text.h"

namespace incipit::lsp {
namespace {

Tree parse(std::string_view language, const std::string& text) {
  return DocumentParser(*find_language(language, ""))
      .parse(std::make_shared<const std::string>(text),
             DocumentParser::Clock::now() + std::chrono::hours(1));
}

std::string show(const SyntaxTree& tree, Span span) {
  std::string text = tree.text()->substr(span.start, span.end - span.start);
  for (size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += 2) {
    text.replace(at, 1, "\\n");
  }
  return text;
}

std::string show(const SyntaxTree& tree, const Definition& definition) {
  return std::string(definition.kind == DefinitionKind::kType ? "type " : "function ") +
         definition.name + ": " + show(tree, definition.signature);
}

std::string describe(const test::GoldenCase& one) {
  const test::MarkedText marked = test::parse_marked(one.get("input"));
  const Tree tree = parse(one.get("language"), marked.text);
  std::string result = "imports";
  const Span all{0, marked.text.size()};
  for (const Span& span : imports_in(*tree, all)) result += "\n  " + show(*tree, span);
  result += "\ndefinitions";
  for (const Definition& d : definitions_in(*tree, all)) result += "\n  " + show(*tree, d);
  result += "\nenclosing";
  for (const Definition& d : enclosing_definitions(*tree, marked.cursor)) {
    result += "\n  " + show(*tree, d);
  }
  result += "\nunclosed \"" +
            unclosed_brackets(tree.get(), &tree->language(), marked.text, marked.cursor) + "\"";
  return result;
}

TEST(Scope, MatchesTheGoldenFileOfEveryLanguage) {
  const std::filesystem::path folder =
      std::filesystem::path(INCIPIT_SOURCE_DIR) / "tests/golden/syntax";
  for (const Language& language : all_languages()) {
    const auto file = folder / (std::string(language.name) + ".txt");
    EXPECT_THAT(test::check_golden(file, describe), testing::IsEmpty());
  }
}

Span statement(std::string_view language, std::string_view marked_text, std::string* shown) {
  const test::MarkedText marked = test::parse_marked(marked_text);
  const Tree tree = parse(language, marked.text);
  const Span span = statement_at(*tree, marked.cursor);
  *shown = show(*tree, span);
  return span;
}

TEST(Scope, TheStatementOfALineIsTheLargestNodeThatBeginsThere) {
  std::string shown;
  statement("python", "def f():\n    $0x = g(1,\n          2)\n    y = 2\n", &shown);
  EXPECT_EQ(shown, "x = g(1,\\n          2)");
  statement("cpp", "int f() {\n  $0if (a) {\n    b();\n  }\n  c();\n}\n", &shown);
  EXPECT_EQ(shown, "if (a) {\\n    b();\\n  }");
  statement("go", "package p\nfunc f() {\n\t$0x := 1\n\ty := 2\n}\n", &shown);
  EXPECT_EQ(shown, "x := 1");
  statement("lua", "function f()\n  $0local x = 1\n  local y = 2\nend\n", &shown);
  EXPECT_EQ(shown, "local x = 1");
  statement("python", "$0def f():\n    return 1\nx = 2\n", &shown);
  EXPECT_EQ(shown, "def f():\\n    return 1");
}

TEST(Scope, KnowsCommentsAndStrings) {
  const Tree tree = parse("python", "x = 'abc'  # note\n");
  EXPECT_TRUE(in_string(*tree, 6));
  EXPECT_FALSE(in_string(*tree, 9));
  EXPECT_FALSE(in_string(*tree, 3));
  EXPECT_TRUE(in_comment(*tree, 14));
  EXPECT_FALSE(in_comment(*tree, 10));
}

TEST(Scope, CountsErrorsOnlyInTheRange) {
  const Tree good = parse("c", "int f(void) { return 1; }\n");
  EXPECT_EQ(count_errors(*good, {0, 26}), 0);
  const Tree bad = parse("c", "int f(void) { return 1; }\nint g( { ;\n");
  EXPECT_GT(count_errors(*bad, {26, 37}), 0);
}

TEST(Scope, CountsWhatIsMissingWithoutANodeOfItsOwn) {
  const std::string text = "def f(a):\n    b = a\n    g(5)   c = 1\n    return b\n\n\nd = 2\n";
  const Tree tree = parse("python", text);
  EXPECT_EQ(count_errors(*tree, {0, text.size()}), 1);
  EXPECT_EQ(count_errors(*tree, {text.size() - 4, text.size()}), 0);
  const Tree good = parse("python", "def f(a):\n    b = a\n    g(5)\n    c = 1\n    return b\n");
  EXPECT_EQ(count_errors(*good, {0, 1000}), 0);
}

TEST(Scope, FindsThePlaceWhereTheNextTopLevelNodeBegins) {
  const Tree tree = parse("python", "import a\n\ndef f():\n    return 1\n\nx = 2\n");
  EXPECT_EQ(top_level_start_in(*tree, {1, 36}), 10U);
  EXPECT_EQ(top_level_start_in(*tree, {11, 36}), 33U);
  EXPECT_EQ(top_level_start_in(*tree, {34, 36}), 36U);
}

TEST(Scope, SurvivesADeepTree) {
  const std::string text = "x = " + std::string(20000, '(') + "1" + std::string(20000, ')') + "\n";
  const Tree tree = parse("python", text);
  ASSERT_NE(tree, nullptr);
  EXPECT_EQ(count_errors(*tree, {0, text.size()}), 0);
  EXPECT_FALSE(in_comment(*tree, 20000));
  EXPECT_TRUE(enclosing_definitions(*tree, 20000).empty());
  EXPECT_EQ(unclosed_brackets(tree.get(), nullptr, text, 20004), "");
}

std::string unclosed(const Language* language, std::string_view marked_text) {
  const test::MarkedText marked = test::parse_marked(marked_text);
  return unclosed_brackets(nullptr, language, marked.text, marked.cursor);
}

TEST(UnclosedBrackets, AreFoundWithoutATree) {
  EXPECT_EQ(unclosed(nullptr, "f(a[$0"), "])");
  EXPECT_EQ(unclosed(nullptr, "f(a[$0])"), "");
  EXPECT_EQ(unclosed(nullptr, "s = \"((\" + ($0"), ")");
  EXPECT_EQ(unclosed(nullptr, "don't (stop$0"), ")");
  EXPECT_EQ(unclosed(find_language("c", ""), "f( // (\n /* ( */ $0"), ")");
}

std::string unclosed_in(std::string_view language, std::string_view marked_text) {
  const test::MarkedText marked = test::parse_marked(marked_text);
  const Tree tree = parse(language, marked.text);
  return unclosed_brackets(tree.get(), &tree->language(), marked.text, marked.cursor);
}

TEST(UnclosedBrackets, OfAnotherStatementAreNotTheCursors) {
  EXPECT_EQ(unclosed_in("python", "def f():\n    a = g(1,\n\ndef h():\n    return [$0\n"), "]");
  EXPECT_EQ(unclosed_in("c", "int f() {\n  if (a) {\n    g((1;\n  }\n  h($0\n}\n"), ")");
  EXPECT_EQ(unclosed_in("c", "int f() {\n  if (a) {\n    b();\n}\nint g() {\n  h($0\n"), ")}");
  // Still the cursor's: nothing stands further to the left, or it is no code.
  EXPECT_EQ(unclosed_in("python", "def f():\n    a = g(1,\n          h($0\n"), "))");
  EXPECT_EQ(unclosed_in("python", "def f():\n    a = g(\"\"\"\ntext\n\"\"\", $0\n"), ")");
  EXPECT_EQ(unclosed_in("c", "void f() {\n  g(1,\n#ifdef A\n    2,\n#endif\n    $0\n}\n"), ")");
  EXPECT_EQ(unclosed_in("c", "void f() {\n  g(1,\nh($0\n}\n"), "))");
}

TEST(UnclosedBrackets, AnOuterBraceDoesNotCloseAnInnerOneThatWasJustBegun) {
  EXPECT_EQ(unclosed(nullptr, "int f() {\n  if (x) {\n    $0\n}\n"), "}");
  EXPECT_EQ(unclosed(nullptr, "int f() {\n  if (x) {\n    $0\n  }\n}\n"), "");
}

// A line may be as long as a document: nothing walks it for each bracket of the window.
TEST(UnclosedBrackets, AreFoundOnALineOfMillions) {
  const Language* c = find_language("c", "");
  const std::string far(size_t{4} << 20, 'x');
  const std::string pairs = std::string(20000, '(') + std::string(20000, ')');
  EXPECT_EQ(unclosed_brackets(nullptr, c, far + pairs + far, far.size() + 20000), "");
  EXPECT_EQ(unclosed_brackets(nullptr, c, far + "f({[" + far.substr(0, 100), far.size() + 4),
            "]})");
  std::string quotes;
  for (int i = 0; i < 1 << 20; ++i) quotes += "\"\\";
  EXPECT_EQ(unclosed_brackets(nullptr, c, quotes + "(", quotes.size() + 1), ")");
}

}  // namespace
}  // namespace incipit::lsp
