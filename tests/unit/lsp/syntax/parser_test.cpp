#include "lsp/syntax/parser.h"

#include <gmock/gmock.h>

#include <chrono>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "tests/support/golden.h"

namespace incipit::lsp {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using Clock = DocumentParser::Clock;

Text text_of(std::string text) {
  return std::make_shared<const std::string>(std::move(text));
}

Clock::time_point in_an_hour() {
  return Clock::now() + hours(1);
}

std::string from_scratch(const Language& language, const std::string& text) {
  return DocumentParser(language).parse(text_of(text), in_an_hour())->s_expression();
}

std::string sample(const Language& language) {
  const std::filesystem::path file = std::filesystem::path(INCIPIT_SOURCE_DIR) /
                                     "tests/golden/syntax" / (std::string(language.name) + ".txt");
  // The file's cursor stands in unfinished code; "whole" is what finishes it.
  const test::GoldenCase one = test::read_golden(file).at(0);
  std::string text = one.get("input");
  return text.replace(text.find("$0"), 2, one.get("whole"));
}

TEST(Difference, IsTheSmallestReplacement) {
  const TextDifference edit = difference("int a = 1;", "int a = 23;");
  EXPECT_EQ(edit.start, 8U);
  EXPECT_EQ(edit.old_end, 9U);
  EXPECT_EQ(edit.new_end, 10U);
  EXPECT_TRUE(difference("same", "same").empty());
}

TEST(Difference, CountsARepeatedCharacterOnce) {
  const TextDifference edit = difference("aa", "aaa");
  EXPECT_EQ(edit.old_end - edit.start, 0U);
  EXPECT_EQ(edit.new_end - edit.start, 1U);
}

TEST(Difference, NeverCutsAUtf8Sequence) {
  // U+00E9 and U+00E8 share their first byte; U+4E2D and U+512D share their last one.
  EXPECT_EQ(difference("x\xC3\xA9y", "x\xC3\xA8y").start, 1U);
  const TextDifference edit = difference("x\xE4\xB8\xADy", "x\xE5\x84\xADy");
  EXPECT_EQ(edit.start, 1U);
  EXPECT_EQ(edit.old_end, 4U);
}

// What one random edit does to a text; it may split brackets, quotes, lines and keywords.
void edit_randomly(std::mt19937& random, std::string& text) {
  static const std::vector<std::string> kPieces = {"(",
                                                   ")",
                                                   "{",
                                                   "}",
                                                   "[",
                                                   "]",
                                                   "\"",
                                                   "'",
                                                   "\n",
                                                   "\n    ",
                                                   "  ",
                                                   "\t",
                                                   "x",
                                                   "if ",
                                                   "return ",
                                                   "# ",
                                                   "// ",
                                                   "/*",
                                                   "*/",
                                                   "é",
                                                   "漢",
                                                   "😀",
                                                   "0",
                                                   ";",
                                                   ":",
                                                   "def f():\n    pass\n",
                                                   "=",
                                                   "\\",
                                                   std::string(1, '\0')};
  const auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n)(random); };
  const auto boundary = [&](size_t at) {
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
    return at;
  };
  const size_t start = boundary(below(text.size()));
  if (below(2) != 0 || text.empty()) {
    text.insert(start, kPieces[below(kPieces.size() - 1)]);
  } else {
    const size_t end = boundary(std::min(text.size(), start + below(12)));
    text.erase(start, end - start);
  }
}

bool has_error(const std::string& s_expression) {
  return s_expression.find("(ERROR") != std::string::npos ||
         s_expression.find("(MISSING") != std::string::npos;
}

// Edits go forward into broken code and are then taken back one by one. Code that parses must give
// exactly the tree of a fresh parse, whatever came before. In broken code tree-sitter's recovery
// may take a keyword for an identifier when it reuses a token (begins in about 1 of 5,000 such
// edits, always inside of an ERROR, and stays until that place is edited again), so there a few may
// differ.
TEST(DocumentParser, AThousandRandomEditsGiveTheTreeOfAFreshParse) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  constexpr int kRoundsPerLanguage = 4;
  constexpr int kEditsForward = 11;
  int n_edits = 0;
  int n_different = 0;
  int n_whole = 0;
  for (const Language& language : all_languages()) {
    DocumentParser parser(language);
    std::string text = sample(language);
    ASSERT_NE(parser.parse(text_of(text), in_an_hour()), nullptr);
    const auto check = [&] {
      ++n_edits;
      const std::string got = parser.parse(text_of(text), in_an_hour())->s_expression();
      const std::string want = from_scratch(language, text);
      n_different += got == want ? 0 : 1;
      if (!has_error(want)) {
        ++n_whole;
        EXPECT_EQ(got, want) << language.name << ", text:\n" << text;
      }
    };
    for (int round = 0; round < kRoundsPerLanguage; ++round) {
      std::vector<std::string> history;
      for (int i = 0; i < kEditsForward; ++i) {
        history.push_back(text);
        edit_randomly(random, text);
        check();
      }
      for (; !history.empty(); history.pop_back()) {
        text = history.back();
        check();
      }
    }
  }
  EXPECT_GE(n_edits, 1000);
  EXPECT_LE(n_different, n_edits / 10);
  // At least the samples themselves, every time all edits were taken back.
  EXPECT_GE(n_whole, kRoundsPerLanguage * static_cast<int>(all_languages().size()));
}

TEST(DocumentParser, GivesUpAtTheDeadlineAndFinishesLater) {
  std::string text;
  for (int i = 0; i < 20000; ++i) text += "def f" + std::to_string(i) + "(a):\n    return a + 1\n";
  DocumentParser parser(*find_language("python", ""));
  const Text first = text_of(text);
  EXPECT_EQ(parser.parse(first, Clock::now()), nullptr);
  EXPECT_TRUE(parser.unfinished());
  // The user types on: the old text is finished first, then the new one is made from its tree.
  int slices = 0;
  while (parser.advance(Clock::now() + std::chrono::milliseconds(1))) ++slices;
  EXPECT_GT(slices, 0);
  const Tree tree = parser.parse(text_of(text + "x = 1\n"), in_an_hour());
  ASSERT_NE(tree, nullptr);
  EXPECT_EQ(*tree->text(), text + "x = 1\n");
}

TEST(DocumentParser, StopsWhenItsRequestIsCancelled) {
  DocumentParser parser(*find_language("c", ""));
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "int f(void) { return 1; }\n";
  const CancelToken cancel;
  cancel.cancel();
  EXPECT_EQ(parser.parse(text_of(text), in_an_hour(), cancel), nullptr);
}

TEST(DocumentParser, RefusesATextThatIsTooLargeForATree) {
  DocumentParser parser(*find_language("c", ""));
  const Text text = text_of(std::string(DocumentParser::kMaxTextBytes + 1, ' '));
  EXPECT_EQ(parser.parse(text, in_an_hour()), nullptr);
  EXPECT_FALSE(parser.unfinished());
}

TEST(DocumentParser, TakesAnyBytes) {
  std::string all_bytes;
  for (int i = 0; i < 256; ++i) all_bytes += static_cast<char>(i);
  for (const Language& language : all_languages()) {
    DocumentParser parser(language);
    for (const std::string& text :
         {std::string(), std::string(100, '\0'), all_bytes + all_bytes, std::string("\xF0\x9F"),
          std::string(50000, '('), std::string(50000, '{') + "x"}) {
      // Wrong code may take as long as it likes; what counts is that it ends at the deadline.
      parser.parse(text_of(text), Clock::now() + std::chrono::milliseconds(50));
    }
  }
}

TEST(Reparse, GivesTheTreeOfTheCandidateInItsPlace) {
  const Language& python = *find_language("python", "");
  DocumentParser parser(python);
  const Tree base = parser.parse(text_of("def f(a):\n    return \n"), in_an_hour());
  const std::string text = "def f(a):\n    return a + 1\n";
  const Tree tree = reparse(*base, text_of(text), in_an_hour());
  ASSERT_NE(tree, nullptr);
  EXPECT_EQ(tree->s_expression(), from_scratch(python, text));
}

}  // namespace
}  // namespace incipit::lsp
