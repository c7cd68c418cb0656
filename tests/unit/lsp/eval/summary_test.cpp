#include "lsp/eval/summary.h"

#include <gmock/gmock.h>

#include <cmath>

#include "lsp/eval/calibration.h"
#include "lsp/eval/run_json.h"
#include "lsp/rpc/json.h"
#include "tests/unit/lsp/eval/eval_rows.h"

namespace incipit::lsp::eval {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

std::vector<HoleRow> some_rows() {
  std::vector<HoleRow> rows = {eval_row(1, "x"), eval_row(2, "y"), eval_row(3, ""),
                               eval_row(4, "x", "x", HoleKind::kToken, "lua")};
  rows[1].damages = true;
  rows[1].first_token_ms = 30;
  rows[2].prompt_tokens = rows[2].cached_tokens = 0;  // the model was not asked
  rows[2].first_token_ms = 0;
  rows[3].exact_name = true;
  rows[3].rules = {{"cut", "x y", true, false, true}};
  return rows;
}

TEST(EvalSummary, CountsReasonsWithoutTheFiguresOfOneCase) {
  std::vector<HoleRow> rows = {eval_row(1, ""), eval_row(2, ""), eval_row(3, "")};
  rows[0].why_hidden = "not sure enough: 0.38, and the setting wants 0.40; by hand it is shown";
  rows[1].why_hidden = "not sure enough: 0.11, and the setting wants 0.40; by hand it is shown";
  rows[2].why_hidden = "the first line was dropped: the line above";
  EXPECT_THAT(summaries_of(rows).front().why_hidden,
              ElementsAre(Pair("not sure enough", 2),
                          Pair("the first line was dropped: the line above", 1)));
}

TEST(EvalSummary, CountsOverAllHolesAndOverWhatIsShown) {
  const Summary sum = summaries_of(some_rows()).front();
  EXPECT_EQ(sum.n, 4);
  EXPECT_DOUBLE_EQ(sum.shown.value(), 0.75);
  EXPECT_THAT(sum.why_hidden, ElementsAre(Pair("too short", 1)));
  EXPECT_DOUBLE_EQ(sum.exact_line.value(), 0.5);
  EXPECT_DOUBLE_EQ(sum.line_similarity, (1 + 0.25 + 0 + 1) / 4);
  EXPECT_EQ(sum.damages.yes, 1);
  EXPECT_EQ(sum.damages.n, 3);
  EXPECT_EQ(sum.repeats.yes, 0);
  EXPECT_EQ(sum.exact_name.n, 1);
}

TEST(EvalSummary, CountsWhatEachRuleChangedForBetterAndForWorse) {
  std::vector<HoleRow> rows = {eval_row(1, "x"), eval_row(2, "y"), eval_row(3, "")};
  rows[0].rules = {{"cut", "x + 1", false, true, true}};  // damage mended
  rows[1].rules = {{"cut", "x y", true, false, false}, {"trim", "x", true, {}, false}};
  rows[2].rules = {{"cut", "x", true, false, false}};  // the right one hidden
  const auto rules = summaries_of(rows).front().rules;
  ASSERT_EQ(rules.size(), 2u);
  const RuleSummary& cut = rules.at("cut");
  EXPECT_EQ(cut.n, 3);
  EXPECT_EQ(cut.hidden, 1);
  EXPECT_EQ(cut.exact_line_before, 2);
  EXPECT_EQ(cut.exact_line_after, 2);  // rows[0], and rows[1] before the next rule
  EXPECT_EQ(cut.damages_before, 1);
  EXPECT_EQ(cut.damages_after, 0);
  EXPECT_EQ(cut.repeats_before, 1);
  EXPECT_EQ(cut.repeats_after, 0);
  EXPECT_EQ(rules.at("trim").exact_line_before, 1);
  EXPECT_EQ(rules.at("trim").exact_line_after, 0);
}

TEST(EvalSummary, TimesAreOfRequestsThatReachedTheModel) {
  const Summary sum = summaries_of(some_rows()).front();
  EXPECT_EQ(sum.first_token.p50_ms, 10);
  EXPECT_EQ(sum.first_token.p95_ms, 30);
  EXPECT_EQ(sum.prompt_tokens, 300);
  EXPECT_EQ(sum.cached_tokens, 120);
}

TEST(EvalSummary, HasAGroupForEachKindAndLanguageThatOccurs) {
  std::vector<std::string> groups;
  for (const Summary& sum : summaries_of(some_rows())) {
    groups.push_back(sum.language + "/" + sum.kind + "/" + std::to_string(sum.n));
  }
  EXPECT_THAT(groups, ElementsAre("//4", "/line/3", "/token/1", "lua//1", "python//3",
                                  "lua/token/1", "python/line/3"));
  EXPECT_TRUE(summaries_of({}).empty());
}

HoleRow sure_row(double confidence, bool exact, bool hidden = false,
                 HoleKind kind = HoleKind::kLine) {
  HoleRow row = eval_row(1, exact ? "x" : "y", "x", kind);
  row.mean_log_prob = std::log(confidence);
  if (hidden) {
    row.rules = {{kConfidenceRule, row.shown, exact, false, false}};
    row.shown.clear();
    row.exact_line = false;
  }
  return row;
}

TEST(EvalCalibration, TellsOfEachConfidenceHowOftenItWasRightAndWhatHidingCosts) {
  std::vector<HoleRow> rows = {sure_row(0.12, false), sure_row(0.13, true, true),
                               sure_row(0.61, true), sure_row(0.64, false), sure_row(1, true)};
  rows.push_back(sure_row(0.12, true, false, HoleKind::kToken));  // asked by hand: never hidden
  rows.push_back(eval_row(1, ""));                                // nothing was said
  rows.push_back(eval_row(2, "x"));                               // by an engine that does not tell
  const auto buckets = calibration(rows);
  ASSERT_EQ(buckets.size(), 20U);
  EXPECT_NEAR(buckets[2].from, 0.1, 1e-9);
  EXPECT_EQ(buckets[2].exact_line.n, 2);
  EXPECT_EQ(buckets[2].exact_line.yes, 1);
  EXPECT_EQ(buckets[2].hidden.yes, 0);
  EXPECT_EQ(buckets[12].exact_line.n, 2);
  EXPECT_EQ(buckets[12].hidden.yes, 2);
  EXPECT_EQ(buckets[12].hidden.n, 5);
  EXPECT_EQ(buckets[12].exact_hidden.yes, 1);
  EXPECT_EQ(buckets[12].exact_hidden.n, 3);
  EXPECT_EQ(buckets[19].exact_line.n, 1);
  EXPECT_EQ(buckets[19].hidden.yes, 4);
  EXPECT_TRUE(calibration(std::vector<HoleRow>{eval_row(1, "x")}).empty());
}

EvalRun some_run() {
  EvalRun run;
  run.incipit = "1.2.3";
  run.model = "pocket";
  run.device = "cpu";
  run.context_tokens = 2048;
  run.n_files = 2;
  run.left_out = {{"generated", 3}};
  run.rows = some_rows();
  return run;
}

TEST(EvalRunJson, ComesBackAsItWent) {
  const EvalRun run = some_run();
  const Result<EvalRun> back = parse_run(run_json(run), "a.json");
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->model, "pocket");
  ASSERT_EQ(back->rows.size(), run.rows.size());
  for (size_t i = 0; i < run.rows.size(); ++i) {
    const HoleRow& a = run.rows[i];
    const HoleRow& b = back->rows[i];
    EXPECT_EQ(a.file, b.file);
    EXPECT_EQ(a.text_hash, b.text_hash);
    EXPECT_EQ(a.hole, b.hole);
    EXPECT_EQ(a.shown, b.shown);
    EXPECT_EQ(a.why_hidden, b.why_hidden);
    EXPECT_EQ(a.exact_name, b.exact_name);
    EXPECT_EQ(a.damages, b.damages);
    EXPECT_EQ(a.line_similarity, b.line_similarity);
    EXPECT_EQ(a.first_token_ms, b.first_token_ms);
    ASSERT_EQ(a.rules.size(), b.rules.size());
    if (a.rules.empty()) continue;
    EXPECT_EQ(a.rules[0].rule, b.rules[0].rule);
    EXPECT_EQ(a.rules[0].before, b.rules[0].before);
    EXPECT_EQ(a.rules[0].exact_line, b.rules[0].exact_line);
    EXPECT_EQ(a.rules[0].damages, b.rules[0].damages);
    EXPECT_EQ(a.rules[0].repeats, b.rules[0].repeats);
  }
}

TEST(EvalRunJson, KeepsTheOptionsThatAComparisonTells) {
  EvalRun run = some_run();
  run.definitions = "files";
  run.options.neighbours = true;
  run.completion.prompt_end = PromptEnd::kBeforeBlank;
  Json json = *parse_json(run_json(run));
  EXPECT_EQ(json["options"]["definitions"], "files");
  EXPECT_EQ(json["options"]["noHealing"], true);
  const Result<EvalRun> back = parse_run(print_json(json), "a.json");
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->definitions, "files");
  EXPECT_TRUE(back->options.neighbours);
  EXPECT_EQ(back->completion.prompt_end, PromptEnd::kBeforeBlank);
  json.erase("options");  // older reports lack some of them
  const Result<EvalRun> older = parse_run(print_json(json), "a.json");
  ASSERT_TRUE(older) << older.error().message;
  EXPECT_EQ(older->definitions, "none");
}

TEST(EvalRunJson, HasTheSummariesAndWhatWasLeftOut) {
  const Json json = *parse_json(run_json(some_run()));
  EXPECT_EQ(json["format"], kRunFormat);
  EXPECT_EQ(json["leftOut"]["generated"], 3);
  EXPECT_EQ(json["summaries"].size(), 7u);
  EXPECT_EQ(json["summaries"][0]["exactLine"]["yes"], 2);
  EXPECT_EQ(json["summaries"][0]["exactLine"]["interval95"].size(), 2u);
  EXPECT_EQ(json["holes"][3]["kind"], "token");
  EXPECT_FALSE(json["holes"][0].contains("exactName"));
  EXPECT_FALSE(json["holes"][2].contains("damages"));
}

TEST(EvalRunJson, RefusesWhatIsNoReport) {
  const auto message = [](const std::string& text) {
    const Result<EvalRun> run = parse_run(text, "b.json");
    return run ? "taken" : run.error().message;
  };
  EXPECT_THAT(message("{"), HasSubstr("b.json"));
  EXPECT_THAT(message("[]"), HasSubstr("b.json"));
  EXPECT_THAT(message(R"({"format":2})"), HasSubstr("want format 1, found 2"));
  EXPECT_THAT(message(R"({"format":1,"model":"m"})"), HasSubstr("incipit eval --json"));
  Json json = *parse_json(run_json(some_run()));
  json["holes"][0]["start"] = "one";
  EXPECT_THAT(message(print_json(json)), HasSubstr("found other JSON"));
  json["holes"][0]["start"] = 1;
  json["holes"][0]["kind"] = "word";
  EXPECT_THAT(message(print_json(json)), HasSubstr("word"));
}

}  // namespace
}  // namespace incipit::lsp::eval
