#include "lsp/cli/eval_table.h"

#include <gmock/gmock.h>

#include <sstream>

#include "tests/unit/lsp/eval/eval_rows.h"

namespace incipit::lsp::cli {
namespace {

using eval::HoleKind;
using testing::HasSubstr;
using testing::Not;

eval::EvalRun run_of_rows(std::vector<eval::HoleRow> rows) {
  eval::EvalRun run;
  run.incipit = "1.2.3";
  run.model = "pocket";
  run.device = "cpu (avx2, 2 threads)";
  run.n_files = 1;
  run.rows = std::move(rows);
  return run;
}

eval::EvalRun usual_run() {
  auto run = run_of_rows({eval::eval_row(1, "x"), eval::eval_row(2, "y"), eval::eval_row(3, ""),
                          eval::eval_row(4, "x", "x", HoleKind::kToken, "cpp")});
  run.rows[3].exact_name = true;
  run.left_out = {{"generated", 2}, {"minified", 30}};
  return run;
}

void expect_fits(const std::string& table) {
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << line;
}

TEST(EvalTable, HasALineForEachGroup) {
  const std::string table = eval_table(usual_run());
  EXPECT_THAT(table, HasSubstr("pocket on cpu (avx2, 2 threads)\n4 holes in 1 file, seed 1\n"));
  EXPECT_THAT(table, HasSubstr("all      4   75.0 %      50.0 %      50.0 %"));
  EXPECT_THAT(table, HasSubstr("\nC++      1  100.0 %     100.0 %"));
  EXPECT_THAT(table, HasSubstr("exact name: 100.0 % of 1 token holes"));
  EXPECT_THAT(table, HasSubstr("      1  too short\n"));
  EXPECT_THAT(table, HasSubstr("files left out\n     30  minified\n      2  generated\n"));
  expect_fits(table);
}

TEST(EvalTable, SaysThatARunWasInterruptedAndTakesOneWithoutRows) {
  eval::EvalRun run = run_of_rows({});
  run.interrupted = true;
  EXPECT_THAT(eval_table(run), HasSubstr("0 holes in 1 file, seed 1, interrupted"));
  EXPECT_THAT(eval_table(usual_run()), Not(HasSubstr("interrupted")));
}

std::string compared(const eval::EvalRun& a, const eval::EvalRun& b) {
  const Result<eval::Comparison> comparison = eval::compare(a, b);
  EXPECT_TRUE(comparison);
  return comparison_table(a, b, *comparison);
}

TEST(EvalTable, SaysBetterOnlyWhenLuckIsUnlikely) {
  std::vector<eval::HoleRow> before, after;
  for (size_t i = 0; i < 10; ++i) {
    before.push_back(eval::eval_row(i, "y"));
    after.push_back(eval::eval_row(i, "x"));
  }
  const auto a = run_of_rows(before), b = run_of_rows(after);
  EXPECT_THAT(compared(a, b), HasSubstr("10 / 0   0.002  better\n"));
  EXPECT_THAT(compared(b, a), HasSubstr("0 / 10   0.002  worse\n"));
  before.resize(3);
  const std::string few = compared(run_of_rows(before), b);
  EXPECT_THAT(few, HasSubstr("3 holes in both; only in A 0, only in B 7\n"));
  EXPECT_THAT(few, Not(HasSubstr("better\n")));
  expect_fits(few);
}

TEST(EvalTable, NamesTheOptionsThatTheRunsDoNotShare) {
  eval::EvalRun a = run_of_rows({eval::eval_row(0, "x")}), b = a;
  const std::string alike = compared(a, b);
  EXPECT_THAT(alike, Not(HasSubstr("definitions")));
  EXPECT_THAT(alike, Not(HasSubstr("healing")));
  b.definitions = "files";
  b.completion.prompt_end = PromptEnd::kBeforeBlank;
  const std::string table = compared(a, b);
  EXPECT_THAT(table, HasSubstr(", definitions: none, healing\nB: "));
  EXPECT_THAT(table, HasSubstr(", definitions: files, no healing\n"));
  b.options.neighbours = true;
  EXPECT_THAT(compared(a, b), HasSubstr(", neighbours"));
}

TEST(EvalTable, MoreDamageIsWorse) {
  std::vector<eval::HoleRow> before, after;
  for (size_t i = 0; i < 10; ++i) {
    before.push_back(eval::eval_row(i, "y"));
    after.push_back(eval::eval_row(i, "y"));
    after.back().damages = true;
  }
  EXPECT_THAT(compared(run_of_rows(before), run_of_rows(after)),
              HasSubstr("0.0 %  100.0 %  +100.0     10 / 0   0.002  worse\n"));
}

}  // namespace
}  // namespace incipit::lsp::cli
