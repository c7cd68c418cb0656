#include "lsp/protocol/json_fields.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "lsp/protocol/methods.h"

namespace incipit::lsp {
namespace {

template <class T>
std::string error_of(const char* json) {
  const auto read = read_fields<T>(Json::parse(json), "params");
  return read ? "no error" : read.error().message;
}

TEST(FieldReader, KeepsTheFirstErrorWithItsPath) {
  using P = InlineCompletionParams;
  EXPECT_EQ(error_of<P>("[]"), "params: want object, found array");
  EXPECT_EQ(error_of<P>("{}"), "params.textDocument: want object, found nothing");
  EXPECT_EQ(error_of<P>(R"({"textDocument":{"uri":1},"position":5})"),
            "params.textDocument.uri: want string, found integer 1");
  EXPECT_EQ(error_of<P>(R"({"textDocument":{"uri":"a"},"position":{"line":"3","character":0}})"),
            "params.position.line: want integer, found string");
  EXPECT_EQ(error_of<P>(R"({"textDocument":{"uri":"a"},"position":{"line":1.5,"character":0}})"),
            "params.position.line: want integer, found number 1.5");
  EXPECT_EQ(error_of<P>(R"({"textDocument":{"uri":"a"},"position":{"line":-1,"character":0}})"),
            "params.position.line: want integer from 0, found integer -1");
  EXPECT_EQ(error_of<P>(R"({"textDocument":{"uri":"a"},"position":{"line":1,"character":null}})"),
            "params.position.character: want integer, found null");
  EXPECT_EQ(error_of<P>(R"({"textDocument":{"uri":"a"},"position":{"line":1,"character":1},
                            "context":{"triggerKind":true}})"),
            "params.context.triggerKind: want integer, found boolean");
  EXPECT_EQ(error_of<DidChangeParams>(R"({"textDocument":{"uri":"a","version":2},
                                          "contentChanges":[{"text":"x"},{"text":[]}]})"),
            "params.contentChanges[1].text: want string, found array");
}

TEST(FieldReader, TakesAbsentNullAndUnknownFieldsAsTheyAre) {
  const auto read = read_fields<InlineCompletionParams>(
      Json::parse(R"({"textDocument":{"uri":"a","version":7},"position":{"line":1,"character":2},
                      "context":null,"workDoneToken":"t"})"),
      "params");
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->position, (Position{1, 2}));
  EXPECT_FALSE(read->context.has_value());
}

TEST(FieldReader, TakesIntegralFloatsAndSaturatesLargeNumbers) {
  const auto line = [](const char* number) {
    const auto read = read_fields<Position>(
        Json::parse(std::string(R"({"line":)") + number + R"(,"character":0})"), "params");
    return read ? std::to_string(read->line) : read.error().message;
  };
  EXPECT_EQ(line("3.0"), "3");
  EXPECT_EQ(line("-0.0"), "0");
  EXPECT_EQ(line("4294967295"), "4294967295");
  EXPECT_EQ(line("4294967296"), "4294967295");
  EXPECT_EQ(line("18446744073709551615"), "4294967295");
  EXPECT_EQ(line("1.7976931348623157e308"), "4294967295");
  EXPECT_EQ(line("-1.0"), "params.line: want integer from 0, found number -1.0");
}

TEST(FieldReader, KeepsSignedNumbersInTheirRange) {
  const auto read = [](const char* number) {
    return read_fields<int32_t>(Json::parse(number), "n").value();
  };
  EXPECT_EQ(read("-5"), -5);
  EXPECT_EQ(read("-99999999999"), std::numeric_limits<int32_t>::min());
  EXPECT_EQ(read("99999999999"), std::numeric_limits<int32_t>::max());
  EXPECT_EQ(read("-1e300"), std::numeric_limits<int32_t>::min());
}

TEST(FieldWriter, LeavesEmptyOptionalsOut) {
  EXPECT_EQ(write_fields(WorkDoneProgress{"end", {}, {}, {}, {}}).dump(), R"({"kind":"end"})");
  EXPECT_EQ(write_fields(InlineCompletionList{}).dump(), R"({"items":[]})");
  EXPECT_EQ(write_fields(Nothing{}).dump(), "null");
}

TEST(FieldWriter, WritesWhatTheReaderReads) {
  DidChangeParams params;
  params.textDocument = {"file:///a", 4};
  params.contentChanges = {{Range{{1, 2}, {3, 4}}, "x"}, {std::nullopt, "y"}};
  const Json written = write_fields(params);
  EXPECT_EQ(written,
            Json::parse(R"({"textDocument":{"uri":"file:///a","version":4},"contentChanges":[
      {"range":{"start":{"line":1,"character":2},"end":{"line":3,"character":4}},"text":"x"},
      {"text":"y"}]})"));
  const auto read = read_fields<DidChangeParams>(written, "params");
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(write_fields(*read), written);
}

TEST(FieldReader, TakesTokensOfBothKinds) {
  using P = WorkDoneProgressCancelParams;
  EXPECT_EQ(read_fields<P>(Json::parse(R"({"token":"a"})"), "p")->token.value, "a");
  EXPECT_EQ(read_fields<P>(Json::parse(R"({"token":5})"), "p")->token.value, 5);
  EXPECT_EQ(error_of<P>(R"({"token":{}})"), "params.token: want integer or string, found object");
}

}  // namespace
}  // namespace incipit::lsp
