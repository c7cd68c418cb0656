#include "lsp/document/document.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace incipit::lsp {
namespace {

Document make(const std::string& text) {
  return Document("file:///a.py", "python", 1, text);
}

TEST(Document, AppliesAnEditAndKnowsWhereItEnded) {
  Document document = make("one\ntwo\nthree\n");
  document.replace({{1, 0}, {1, 3}}, "2\n2b", PositionEncoding::kUtf16);
  EXPECT_EQ(document.text(), "one\n2\n2b\nthree\n");
  EXPECT_EQ(document.edit_offset(), 8u);
  EXPECT_EQ(document.mapper(PositionEncoding::kUtf16).position_of(9), (Position{3, 0}));
}

TEST(Document, TakesARangeTheWrongWayRoundAndOneBeyondTheText) {
  Document document = make("abc");
  document.replace({{0, 2}, {0, 1}}, "X", PositionEncoding::kUtf16);
  EXPECT_EQ(document.text(), "aXc");
  document.replace({{7, 0}, {9, 9}}, "!", PositionEncoding::kUtf16);
  EXPECT_EQ(document.text(), "aXc!");
}

TEST(Document, FindsTheEditInAWholeNewText) {
  Document document = make("let x = 1;\nlet y = 2;\n");
  document.replace_all("let x = 1;\nlet yes = 2;\n");
  EXPECT_EQ(document.edit_offset(), std::string("let x = 1;\nlet yes").size());
  document.replace_all("");
  EXPECT_EQ(document.edit_offset(), 0u);
}

TEST(Document, CopiesItsTextOncePerVersion) {
  Document document = make("abc");
  const auto first = document.snapshot("a.py");
  EXPECT_EQ(document.snapshot("a.py").text, first.text);
  document.replace({{0, 0}, {0, 1}}, "", PositionEncoding::kUtf8);
  document.set_version(2);
  const auto second = document.snapshot("a.py");
  EXPECT_EQ(*first.text, "abc");
  EXPECT_EQ(*second.text, "bc");
  EXPECT_EQ(second.version, 2);
  EXPECT_EQ(second.language_id, "python");
}

// The same edits on plain lines of UTF-16 text, as an editor holds them.
TEST(Document, AThousandRandomEditsGiveWhatANaiveReplayGives) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const std::vector<std::string> pieces = {"a", "é", "\U0001F600", "\n", "\r\n", "long word", ""};
  const PositionEncoding encodings[] = {PositionEncoding::kUtf8, PositionEncoding::kUtf16,
                                        PositionEncoding::kUtf32};
  for (const auto encoding : encodings) {
    std::string naive = "start\n";
    Document document = make(naive);
    for (int step = 0; step < 1000; ++step) {
      const LineIndex fresh(naive);
      const PositionMapper positions(naive, fresh, encoding);
      const size_t one = positions.offset_of(positions.position_of(random() % (naive.size() + 1)));
      const size_t other =
          positions.offset_of(positions.position_of(std::min(naive.size(), one + random() % 9)));
      std::string inserted;
      for (size_t n = random() % 4; n > 0; --n) inserted += pieces[random() % pieces.size()];
      document.replace({positions.position_of(one), positions.position_of(other)}, inserted,
                       encoding);
      const size_t start = std::min(one, other);
      naive.replace(start, std::max(one, other) - start, inserted);
      ASSERT_EQ(document.text(), naive) << name_of(encoding) << ", step " << step;
    }
    const auto end = document.mapper(encoding).position_of(naive.size());
    const LineIndex fresh(naive);
    EXPECT_EQ(end, PositionMapper(naive, fresh, encoding).position_of(naive.size()));
  }
}

}  // namespace
}  // namespace incipit::lsp
