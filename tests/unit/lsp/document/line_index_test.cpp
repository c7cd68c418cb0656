#include "lsp/document/line_index.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace incipit::lsp {
namespace {

std::vector<size_t> starts_of(const LineIndex& lines) {
  std::vector<size_t> starts;
  for (size_t line = 0; line < lines.n_lines(); ++line) starts.push_back(lines.start(line));
  return starts;
}

TEST(LineIndex, EndsLinesAtEveryKindOfBreak) {
  const std::string text = "a\nb\r\nc\rd\n\r\n";
  const LineIndex lines(text);
  EXPECT_EQ(starts_of(lines), (std::vector<size_t>{0, 2, 5, 7, 9, 11}));
  EXPECT_EQ(lines.end(text, 0), 1u);
  EXPECT_EQ(lines.end(text, 1), 3u);
  EXPECT_EQ(lines.end(text, 2), 6u);
  EXPECT_EQ(lines.end(text, 4), 9u);
  EXPECT_EQ(lines.end(text, 5), 11u);
}

TEST(LineIndex, FindsTheLineOfAnOffset) {
  const LineIndex lines("ab\ncd");
  EXPECT_EQ(lines.line_at(0), 0u);
  EXPECT_EQ(lines.line_at(2), 0u);
  EXPECT_EQ(lines.line_at(3), 1u);
  EXPECT_EQ(lines.line_at(99), 1u);
}

TEST(LineIndex, AnEmptyTextHasOneLine) {
  EXPECT_EQ(starts_of(LineIndex("")), std::vector<size_t>{0});
}

TEST(LineIndex, SeesBreaksThatAnEditJoinsOrParts) {
  std::string text = "a\r\nb";
  LineIndex lines(text);
  text.insert(2, 1, 'x');  // a\rx\nb
  lines.replaced(text, 2, 0, 1);
  EXPECT_EQ(starts_of(lines), (std::vector<size_t>{0, 2, 4}));
  text.erase(2, 1);
  lines.replaced(text, 2, 1, 0);
  EXPECT_EQ(starts_of(lines), (std::vector<size_t>{0, 3}));
}

TEST(LineIndex, StaysEqualToAFreshOneOverRandomEdits) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const std::string alphabet = "a\n\r\r\nb";
  std::string text;
  LineIndex lines(text);
  for (int step = 0; step < 5000; ++step) {
    const size_t at = random() % (text.size() + 1);
    const size_t n_removed = std::min<size_t>(random() % 6, text.size() - at);
    std::string inserted;
    for (size_t n = random() % 6; n > 0; --n) inserted += alphabet[random() % alphabet.size()];
    text.replace(at, n_removed, inserted);
    lines.replaced(text, at, n_removed, inserted.size());
    ASSERT_EQ(starts_of(lines), starts_of(LineIndex(text))) << "step " << step;
  }
}

}  // namespace
}  // namespace incipit::lsp
