#include "lsp/document/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace incipit::lsp {
namespace {

TEST(Utf8, KnowsWhereASequenceIsWellFormed) {
  EXPECT_EQ(utf8_sequence_length("a", 0), 1u);
  EXPECT_EQ(utf8_sequence_length("\xC3\xA9", 0), 2u);
  EXPECT_EQ(utf8_sequence_length("\xE2\x82\xAC", 0), 3u);
  EXPECT_EQ(utf8_sequence_length("\xF0\x9F\x98\x80", 0), 4u);
  EXPECT_EQ(utf8_sequence_length("", 0), 0u);
  for (const char* bad : {"\x80", "\xC0\xAF", "\xC1\xBF", "\xE0\x80\x80", "\xED\xA0\x80",
                          "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xC3",
                          "\xE2\x82", "\xF0\x9F\x98", "\xC3z", "\xFF"}) {
    EXPECT_EQ(utf8_sequence_length(bad, 0), 0u) << testing::PrintToString(std::string(bad));
  }
}

TEST(Utf8, RepairsEachStrayByte) {
  EXPECT_TRUE(is_valid_utf8("plain ascii that is longer than a word, é and \U0001F600"));
  EXPECT_FALSE(is_valid_utf8("plain ascii that is longer than a word \xFF"));
  EXPECT_EQ(to_valid_utf8("a\xC3\xA9\xE2\x82z"), "aé\uFFFD\uFFFDz");
}

}  // namespace
}  // namespace incipit::lsp
