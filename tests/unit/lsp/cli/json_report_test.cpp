#include "lsp/cli/json_report.h"

#include <gtest/gtest.h>

#include "lsp/cli/timing_note.h"
#include "lsp/rpc/json.h"

namespace incipit::lsp::cli {
namespace {

Json parsed(const std::string& text) {
  Result<Json> json = parse_json(text);
  return json ? *json : Json();
}

CompletionOutcome one_item(std::string text, size_t start, size_t end) {
  CompletionOutcome outcome;
  outcome.items.push_back({std::move(text), start, end});
  return outcome;
}

TEST(CompletionJson, HasItemsAndTimingsAndNothingElse) {
  const Result<SourceFile> source = make_source("a.py", "x = \n", "");
  ASSERT_TRUE(source.ok());
  const Json json = parsed(completion_json(one_item("1", 4, 4), *source));
  EXPECT_EQ(json.size(), 2u);
  EXPECT_EQ(json["items"][0]["insertText"], "1");
  EXPECT_TRUE(json["timings"].contains("firstTokenMs"));
}

TEST(CompletionJson, CountsPositionsFromZeroInBytes) {
  const Result<SourceFile> source = make_source("a.py", "\n😀é = )\n", "");
  ASSERT_TRUE(source.ok());
  const Json json = parsed(completion_json(one_item("f()", 10, 11), *source));
  EXPECT_EQ(json["items"][0]["range"], (Json{{"start", {{"line", 1}, {"character", 9}}},
                                             {"end", {{"line", 1}, {"character", 10}}}}));
}

TEST(CompletionJson, SaysWhyThereIsNothing) {
  const Result<SourceFile> source = make_source("a.py", "", "");
  ASSERT_TRUE(source.ok());
  CompletionOutcome outcome;
  outcome.why_empty = "the cursor is inside a word";
  const Json json = parsed(completion_json(outcome, *source));
  EXPECT_EQ(json["items"], Json::array());
  EXPECT_EQ(json["whyEmpty"], "the cursor is inside a word");
}

TEST(CompletionJson, GivesTimesInMilliseconds) {
  const Result<SourceFile> source = make_source("a.py", "", "");
  ASSERT_TRUE(source.ok());
  CompletionOutcome outcome = one_item("1", 0, 0);
  outcome.timings.engine.first_token = std::chrono::microseconds(1500);
  outcome.timings.engine.n_cached_tokens = 7;
  const Json json = parsed(completion_json(outcome, *source));
  EXPECT_EQ(json["timings"]["firstTokenMs"], 1.5);
  EXPECT_EQ(json["timings"]["cachedTokens"], 7);
}

TEST(ErrorJson, HasCodeMessageAndExitCode) {
  const Json json = parsed(error_json(ExitCode::kInput, {ErrorCode::kNotFound, "a.py: none"}));
  EXPECT_EQ(json,
            (Json{{"error", {{"code", "not_found"}, {"message", "a.py: none"}, {"exitCode", 3}}}}));
}

TEST(TimingNote, CountsTheRateWithoutTheFirstToken) {
  engine::Timings timings;
  timings.first_token = std::chrono::milliseconds(10);
  timings.total = std::chrono::milliseconds(110);
  timings.n_generated = 11;
  timings.n_prompt_tokens = 50;
  timings.n_cached_tokens = 40;
  EXPECT_EQ(timing_note(timings),
            "first token 10.0 ms, 11 tokens in 110.0 ms (100/s), 40 of 50 prompt tokens from the "
            "cache");
}

TEST(TimingNote, LeavesTheRateOutForASingleToken) {
  engine::Timings timings;
  timings.first_token = timings.total = std::chrono::milliseconds(10);
  timings.n_generated = 1;
  EXPECT_EQ(timing_note(timings),
            "first token 10.0 ms, 1 tokens in 10.0 ms, 0 of 0 prompt tokens from the cache");
}

}  // namespace
}  // namespace incipit::lsp::cli
