#include "lsp/context/similar_lines.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <string>

namespace incipit::lsp {
namespace {

NameSet names(std::string_view text) {
  return names_around(text, text.size());
}

std::string found(std::string_view text, const NameSet& wanted, size_t max_lines = 60,
                  size_t max_bytes = 1000) {
  const auto lines = most_similar_lines(text, wanted, max_lines, max_bytes);
  return lines ? std::string(text.substr(lines->span.start, lines->span.end - lines->span.start))
               : "";
}

TEST(SimilarLines, AreThoseThatShareNames) {
  const std::string text =
      "import alpha\n\nfirst = second(third)\n\nbasket = weigh(apples)\nprice = basket.total\n\n"
      "other = nothing\n";
  EXPECT_EQ(found(text, names("basket.total = weigh("), 2),
            "basket = weigh(apples)\nprice = basket.total\n");
  EXPECT_EQ(found(text, names("unheard.of")), "");
  EXPECT_EQ(found("", names("basket")), "");
}

TEST(SimilarLines, SimilarityIsJaccards) {
  const auto lines =
      most_similar_lines("one_name two_name\n", names("two_name other_name"), 60, 99);
  ASSERT_TRUE(lines);
  EXPECT_DOUBLE_EQ(lines->similarity, 1.0 / 3);
  EXPECT_EQ(lines->n_shared, 1u);
  // How often a name stands there makes no difference, short names and numbers none at all.
  EXPECT_DOUBLE_EQ(
      most_similar_lines("two_name two_name if 12345\n", names("two_name"), 60, 99)->similarity, 1);
}

TEST(SimilarLines, KeepToTheirLimitsInWholeLines) {
  std::string text;
  for (int i = 0; i < 50; ++i) text += "wanted_name = call_it(" + std::to_string(i) + ")\n";
  for (const size_t max_bytes : {30u, 100u, 500u}) {
    const std::string lines = found(text, names("wanted_name call_it"), 60, max_bytes);
    EXPECT_LE(lines.size(), max_bytes);
    EXPECT_TRUE(lines.ends_with('\n'));
  }
  EXPECT_EQ(found(text, names("wanted_name call_it"), 60, 10), "");  // no line is that short
  const std::string three = found(text, names("wanted_name call_it"), 3);
  EXPECT_EQ(std::count(three.begin(), three.end(), '\n'), 3);
}

TEST(SimilarLines, HaveNoBlankEndsAndReachTheEndOfTheFile) {
  EXPECT_EQ(found("\n\n  \nwanted_name\n\n\n", names("wanted_name")), "wanted_name\n");
  EXPECT_EQ(found("aaaa\nwanted_name", names("wanted_name"), 1), "wanted_name");
}

TEST(SimilarLines, NamesAreThoseNearTheCursorOnBothSides) {
  const std::string far(2000, ' ');
  const std::string text = "far_above" + far + "near_above = near_below\n" + far + "far_below";
  const NameSet set = names_around(text, text.find("near_below"));
  EXPECT_THAT(set, testing::UnorderedElementsAre("near_above", "near_below"));
}

}  // namespace
}  // namespace incipit::lsp
