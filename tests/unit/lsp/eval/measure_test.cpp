#include "lsp/eval/measure.h"

#include <gmock/gmock.h>

#include <memory>
#include <string>

#include "tests/support/fake_engine.h"
#include "tests/support/pocket_tokenizer.h"

namespace incipit::lsp::eval {
namespace {

using test::FakeEngine;
using testing::IsEmpty;

constexpr const char* kLua =
    "local function add(a, b)\n"
    "  local sum = a + b\n"
    "  return sum\n"
    "end\n";

std::shared_ptr<FakeEngine> engine_that_says(const std::string& text) {
  FakeEngine::Options options;
  options.mode = FakeEngine::Mode::kThread;
  options.tokenizer = test::pocket_tokenizer();
  options.info.context_tokens = 2048;
  options.info.prompt = test::pocket_format();
  auto engine = std::make_shared<FakeEngine>(options);
  engine->reply_with_text(text);
  return engine;
}

Hole hole_from(const std::string& from, HoleKind kind = HoleKind::kLine) {
  const std::string text = kLua;
  const size_t start = text.find(from);
  return {kind, start, text.find('\n', start)};
}

EvalFiles lua_file(std::vector<Hole> holes) {
  EvalFiles files;
  files.files.push_back({"src/add.lua", "file:///src/add.lua", find_language("lua", ""),
                         std::make_shared<const std::string>(kLua), std::move(holes)});
  return files;
}

std::vector<HoleRow> rows_of(const std::shared_ptr<FakeEngine>& engine, const EvalFiles& files,
                             const CancelToken& cancel = {}) {
  CompletionPipeline pipeline(engine);
  return measure(pipeline, *engine, files, {}, cancel, [](const HoleRow&) {});
}

TEST(EvalMeasure, ShowsThePipelineTheFileWithoutTheHole) {
  const auto engine = engine_that_says(" a + b");
  const std::vector<HoleRow> rows = rows_of(engine, lua_file({hole_from("a + b")}));
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].shown, "a + b");
  EXPECT_TRUE(rows[0].exact_span);
  EXPECT_EQ(rows[0].line, 1u);
  EXPECT_EQ(rows[0].character, 14u);
  EXPECT_EQ(rows[0].language, "lua");
  EXPECT_EQ(rows[0].text_hash.size(), 16u);
  ASSERT_EQ(engine->n_requests(), 1u);
  const std::string prompt = test::pocket_tokenizer()->decode(engine->requests()[0].prompt);
  EXPECT_THAT(prompt, testing::HasSubstr("return sum"));
  EXPECT_THAT(prompt, testing::HasSubstr("src/add.lua"));
  EXPECT_THAT(prompt, testing::Not(testing::HasSubstr("a + b")));
}

TEST(EvalMeasure, ShowsLinesOfTheFilesBesideIt) {
  const auto engine = engine_that_says(" a + b");
  EvalFiles files = lua_file({hole_from("a + b")});
  const auto beside = std::make_shared<const std::string>("local function sum(local_name)\n" +
                                                          std::string(kLua) + "\nreturn add\n");
  files.files[0].beside = {{"file:///src/b.lua", "src/b.lua", "lua", 0, beside, {}}};
  const std::vector<HoleRow> rows = rows_of(engine, files);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_GT(rows[0].context_tokens.value_or(0), 0);
  EXPECT_THAT(test::pocket_tokenizer()->decode(engine->requests()[0].prompt),
              testing::HasSubstr("src/b.lua"));
}

TEST(EvalMeasure, KeepsThePipelinesReasonWhenNothingIsShown) {
  const std::vector<HoleRow> rows = rows_of(engine_that_says(""), lua_file({hole_from("a + b")}));
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_FALSE(rows[0].is_shown());
  EXPECT_EQ(rows[0].why_hidden, "the model had nothing to add here");
}

TEST(EvalMeasure, JudgesWhatEachRuleFound) {
  const std::vector<HoleRow> rows =
      rows_of(engine_that_says(" a + b)"), lua_file({hole_from("a + b")}));
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_TRUE(rows[0].exact_line) << rows[0].shown;
  ASSERT_FALSE(rows[0].rules.empty());
  EXPECT_THAT(rows[0].rules.front().before, testing::HasSubstr("a + b)"));
  EXPECT_FALSE(rows[0].rules.front().exact_line);
  EXPECT_TRUE(rows[0].rules.front().damages.value_or(false));
}

TEST(EvalMeasure, CountsAllThatARequestCost) {
  const auto engine = engine_that_says("a + b");
  const std::vector<HoleRow> rows = rows_of(engine, lua_file({hole_from("a + b")}));
  ASSERT_EQ(rows.size(), 1u);
  const auto requests = engine->requests();
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(static_cast<size_t>(rows[0].prompt_tokens), requests[0].prompt.size());
  EXPECT_GE(rows[0].total_ms, rows[0].first_token_ms);
}

TEST(EvalMeasure, AsksByHandInsideAName) {
  // By itself a completion that short would not be shown.
  const auto rows =
      rows_of(engine_that_says("m"), lua_file({hole_from("m\nend", HoleKind::kToken)}));
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_TRUE(rows[0].exact_name.value_or(false)) << rows[0].why_hidden;
}

TEST(EvalMeasure, AsksEveryHoleAndTellsOfEachRow) {
  const auto engine = engine_that_says("a + b");
  CompletionPipeline pipeline(engine);
  std::vector<size_t> lines;
  measure(pipeline, *engine, lua_file({hole_from("sum = a"), hole_from("sum\nend")}), {}, {},
          [&](const HoleRow& row) { lines.push_back(row.line); });
  EXPECT_THAT(lines, testing::ElementsAre(1u, 2u));
}

TEST(EvalMeasure, EndsWithWhatItHasWhenCancelled) {
  const auto engine = engine_that_says("a + b");
  CompletionPipeline pipeline(engine);
  CancelToken cancel;
  const EvalFiles files = lua_file({hole_from("sum = a"), hole_from("sum\nend")});
  const auto rows =
      measure(pipeline, *engine, files, {}, cancel, [&](const HoleRow&) { cancel.cancel(); });
  EXPECT_EQ(rows.size(), 1u);
  EXPECT_THAT(rows_of(engine, files, cancel), IsEmpty());
}

}  // namespace
}  // namespace incipit::lsp::eval
