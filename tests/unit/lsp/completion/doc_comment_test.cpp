#include "lsp/completion/doc_comment.h"

#include <gmock/gmock.h>

#include <chrono>
#include <memory>
#include <string>

#include "lsp/syntax/parser.h"
#include "lsp/syntax/scope.h"

namespace incipit::lsp {
namespace {

using testing::HasSubstr;

// What documenting the first definition makes of the text.
std::string documented(const std::string& text, std::string_view language, std::string_view prose) {
  const Tree tree = DocumentParser(*find_language(language, ""))
                        .parse(std::make_shared<const std::string>(text),
                               DocumentParser::Clock::now() + std::chrono::hours(1));
  const auto definitions = definitions_in(*tree, {0, text.size()});
  const auto change = doc_comment(text, *find_language(language, ""), definitions.at(0), prose);
  if (!change) return "error: " + change.error().message;
  std::string result = text;
  return result.replace(change->start, change->end - change->start, change->text);
}

TEST(DocComment, HasTheFormOfItsLanguage) {
  EXPECT_EQ(documented("def f(a):\n    return a\n", "python", "Returns \"a\"."),
            "def f(a):\n    \"\"\"Returns \"a\".\"\"\"\n    return a\n");
  EXPECT_EQ(documented("class C:\r\n\tx = 1\r\n", "python", "Holds \\x"),
            "class C:\r\n\t\"\"\"Holds \\\\x\"\"\"\r\n\tx = 1\r\n");
  EXPECT_EQ(documented("int f(int a) {\n  return a;\n}\n", "c", "Returns a."),
            "/// Returns a.\nint f(int a) {\n  return a;\n}\n");
  EXPECT_EQ(documented("func F() {}\n", "go", "F does."), "// F does.\nfunc F() {}\n");
  EXPECT_EQ(documented("fn f() {}\n", "rust", "Does."), "/// Does.\nfn f() {}\n");
  EXPECT_EQ(documented("function f() g() end\n", "lua", "Does."),
            "--- Does.\nfunction f() g() end\n");
  EXPECT_EQ(documented("f() { ls; }\n", "bash", "Lists."), "# Lists.\nf() { ls; }\n");
  EXPECT_EQ(documented("function f() {}\n", "javascript", "Ends */ here."),
            "/**\n * Ends * / here.\n */\nfunction f() {}\n");
}

TEST(DocComment, IsWrappedAt80Columns) {
  std::string prose;
  for (int i = 0; i < 30; ++i) prose += "word ";
  const std::string text = documented("def f(a):\n    return a\n", "python", prose);
  size_t start = 0;
  for (size_t end = text.find('\n'); end != text.npos; end = text.find('\n', start)) {
    EXPECT_LE(end - start, 80u);
    start = end + 1;
  }
  EXPECT_THAT(text, HasSubstr("word\n    \"\"\"\n    return a\n"));
}

TEST(DocComment, RefusesWhereThereIsOneOrNoPlaceForIt) {
  EXPECT_THAT(documented("def f(a):\n    '''Is.'''\n    return a\n", "python", "x"),
              HasSubstr("f is documented already"));
  EXPECT_THAT(documented("/** Is. */\nfunction f() {}\n", "javascript", "x"),
              HasSubstr("f is documented already"));
  EXPECT_THAT(documented("def f(a): return a\n", "python", "x"), HasSubstr("no place"));
  EXPECT_THAT(documented("def f(a):\n    return a\n", "python", " "), HasSubstr("nothing to say"));
}

TEST(DocComment, HoldsNoTextThatEndsItOrGoesOnBehindIt) {
  EXPECT_EQ(documented("def f(a):\n    return a\n", "python", "Says \"a\""),
            "def f(a):\n    \"\"\"Says \"a\" \"\"\"\n    return a\n");
  EXPECT_EQ(documented("fun f() {}\n", "kotlin", "Serves /api/*."),
            "/**\n * Serves /api/ *.\n */\nfun f() {}\n");
  EXPECT_EQ(documented("int f(void) { return 1; }\n", "c", "Ends in \\"),
            "/// Ends in \nint f(void) { return 1; }\n");
  EXPECT_THAT(documented("<?php function f() {}\n", "php", "x"), HasSubstr("no place"));
}

TEST(DocComment, StandsBesideCommentsThatDocumentNothing) {
  EXPECT_EQ(documented("#!/bin/sh\nf() { ls; }\n", "bash", "Lists."),
            "#!/bin/sh\n# Lists.\nf() { ls; }\n");
  EXPECT_EQ(documented("# frozen_string_literal: true\ndef f\n  1\nend\n", "ruby", "Gives one."),
            "# frozen_string_literal: true\n# Gives one.\ndef f\n  1\nend\n");
  EXPECT_EQ(documented("// eslint-disable-next-line\nfunction f() {}\n", "javascript", "Does."),
            "/**\n * Does.\n */\n// eslint-disable-next-line\nfunction f() {}\n");
  EXPECT_THAT(documented("// F does.\n//go:noinline\nfunc F() {}\n", "go", "x"),
              HasSubstr("documented already"));
}

}  // namespace
}  // namespace incipit::lsp
