#include "lsp/context/cursor_site.h"

#include <gmock/gmock.h>

#include "tests/support/marked_text.h"

namespace incipit::lsp {
namespace {

TEST(CursorSite, SplitsTheLineAtTheCursor) {
  const test::MarkedText marked = test::parse_marked("a\n  x = f($0y)\n\n  z\n");
  const CursorSite site = look_at(marked.text, marked.cursor, nullptr);
  EXPECT_EQ(site.before, "  x = f(");
  EXPECT_EQ(site.after, "y)");
  EXPECT_EQ(site.next_line, "  z");
  EXPECT_EQ(site.previous_line, "a");
  EXPECT_EQ(site.tail, LineTail::kCode);
}

TEST(CursorSite, KnowsAllLineEnds) {
  const std::string crlf = "a\r\nb\r\nc\r\n";
  CursorSite site = look_at(crlf, 4, nullptr);
  EXPECT_EQ(site.before, "b");
  EXPECT_EQ(site.after, "");
  EXPECT_EQ(site.next_line, "c");
  EXPECT_EQ(site.previous_line, "a");
  EXPECT_EQ(site.eol, "\r\n");
  const std::string cr = "a\rb\rc\r";
  site = look_at(cr, 2, nullptr);
  EXPECT_EQ(site.after, "b");
  EXPECT_EQ(site.next_line, "c");
  EXPECT_EQ(site.previous_line, "a");
  EXPECT_EQ(site.eol, "\r");
}

TEST(CursorSite, MovesIntoTheTextAndOntoACharacter) {
  const std::string text = "x\xC3\xA9";
  EXPECT_EQ(look_at(text, 99, nullptr).offset, 3U);
  EXPECT_EQ(look_at(text, 2, nullptr).offset, 1U);
  EXPECT_EQ(look_at("", 5, nullptr).offset, 0U);
}

LineTail tail(std::string_view marked_text) {
  const test::MarkedText marked = test::parse_marked(marked_text);
  return look_at(marked.text, marked.cursor, nullptr).tail;
}

TEST(CursorSite, TellsClosersFromCode) {
  EXPECT_EQ(tail("f($0"), LineTail::kNothing);
  EXPECT_EQ(tail("f($0  \n"), LineTail::kNothing);
  EXPECT_EQ(tail("f(\"$0\");"), LineTail::kClosers);
  EXPECT_EQ(tail("f($0) {"), LineTail::kCode);
  EXPECT_EQ(tail("def f($0):"), LineTail::kCode);
}

char quote(std::string_view before, const char* language) {
  return look_at(before, before.size(), find_language(language, "")).open_quote;
}

TEST(CursorSite, KnowsWhetherTheLineIsInsideOfAString) {
  EXPECT_EQ(quote("x = \"abc", "python"), '"');
  EXPECT_EQ(quote("x = \"a\\\"bc", "python"), '"');
  EXPECT_EQ(quote("x = \"abc\"", "python"), 0);
  EXPECT_EQ(quote("# don't", "python"), 0);
  EXPECT_EQ(quote("fn f<'a>(x: &'a", "rust"), 0);
  EXPECT_EQ(quote("I don't", "none"), 0);
}

TEST(IndentStyle, IsReadFromTheFile) {
  const Language* c = find_language("c", "");
  EXPECT_EQ(indent_style("a {\n  b {\n    c\n", 0, c).unit, 2);
  EXPECT_EQ(indent_style("a:\n    b:\n        c\n", 0, c).unit, 4);
  EXPECT_TRUE(indent_style("a {\n\tb {\n\t\tc\n", 0, c).tabs);
  EXPECT_TRUE(indent_style("package p\n", 0, find_language("go", "")).tabs);
  EXPECT_FALSE(indent_style("int a;\n", 0, c).tabs);
}

TEST(WithLf, MakesEveryLineEndANewline) {
  EXPECT_EQ(with_lf("a\r\nb\rc\nd\r"), "a\nb\nc\nd\n");
}

}  // namespace
}  // namespace incipit::lsp
