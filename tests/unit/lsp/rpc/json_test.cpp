#include "lsp/rpc/json.h"

#include <gtest/gtest.h>

#include <string>

namespace incipit::lsp {
namespace {

std::string string_of(const std::string& json) {
  const auto parsed = parse_json(json);
  return parsed ? parsed->get<std::string>() : "error: " + parsed.error().message;
}

TEST(ParseJson, ReplacesHalvesOfSurrogatePairs) {
  EXPECT_EQ(string_of(R"("a\ud83db")"), "a\uFFFDb");
  EXPECT_EQ(string_of(R"("\uDE00")"), "\uFFFD");
  EXPECT_EQ(string_of(R"("\ud83d\ud83d\ude00")"), "\uFFFD\U0001F600");
  EXPECT_EQ(string_of(R"("\ud83d\\ude00")"), "\uFFFD\\ude00");
}

TEST(ParseJson, LeavesWholePairsAndEscapedBackslashesAlone) {
  EXPECT_EQ(string_of(R"("\ud83d\ude00")"), "\U0001F600");
  EXPECT_EQ(string_of(R"("\\ud83d")"), "\\ud83d");
  EXPECT_EQ(string_of(R"("\\\\")"), "\\\\");
}

TEST(ParseJson, ReplacesBytesThatAreNotUtf8) {
  EXPECT_EQ(string_of("\"a\xFFz\""), "a\uFFFDz");
  EXPECT_EQ(string_of("\"\xED\xA0\xBD\""), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(string_of("\"\xC3\xA9\xE2\x82\""), "é\uFFFD\uFFFD");
}

TEST(ParseJson, RefusesDeepNestingWithoutUsingTheStack) {
  const std::string deep(1'000'000, '[');
  const auto parsed = parse_json(deep);
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().message, "JSON: want at most 200 levels of nesting");
  EXPECT_FALSE(parse_json(std::string(201, '[') + std::string(201, ']')).ok());
  EXPECT_TRUE(parse_json(std::string(200, '[') + std::string(200, ']')).ok());
  EXPECT_TRUE(parse_json("\"" + std::string(1000, '[') + "\"").ok());
}

TEST(ParseJson, SaysWhereAMessageIsBroken) {
  const auto parsed = parse_json("{\"a\": }");
  ASSERT_FALSE(parsed.ok());
  EXPECT_NE(parsed.error().message.find("column 7"), std::string::npos) << parsed.error().message;
  EXPECT_FALSE(parse_json("").ok());
  EXPECT_FALSE(parse_json("{} {}").ok());
  EXPECT_FALSE(parse_json("1e999").ok());
}

}  // namespace
}  // namespace incipit::lsp
