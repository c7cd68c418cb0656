#include "lsp/eval/comparison.h"

#include <gmock/gmock.h>

#include "tests/unit/lsp/eval/eval_rows.h"

namespace incipit::lsp::eval {
namespace {

using testing::HasSubstr;

EvalRun run_with(std::vector<HoleRow> rows) {
  EvalRun run;
  run.model = "pocket";
  run.rows = std::move(rows);
  return run;
}

const PairedFigure& figure(const Comparison& comparison, const std::string& name) {
  for (const PairedFigure& one : comparison.groups.front().figures) {
    if (one.name == name) return one;
  }
  ADD_FAILURE() << "no figure " << name;
  return comparison.groups.front().figures.front();
}

TEST(EvalComparison, OfARunWithItselfHasNoDifference) {
  const EvalRun run = run_with({eval_row(1, "x"), eval_row(2, "y"), eval_row(3, "")});
  const Result<Comparison> same = compare(run, run);
  ASSERT_TRUE(same);
  EXPECT_EQ(same->n_common, 3);
  for (const PairedFigure& one : same->groups.front().figures) {
    EXPECT_EQ(one.a, one.b) << one.name;
    EXPECT_EQ(one.up + one.down, 0) << one.name;
    EXPECT_EQ(one.chance, 1) << one.name;
  }
}

TEST(EvalComparison, CountsHolesThatGotBetterAndWorse) {
  std::vector<HoleRow> a, b;
  for (size_t i = 0; i < 10; ++i) {
    a.push_back(eval_row(i, i < 1 ? "x" : "y"));
    b.push_back(eval_row(i, i < 1 ? "y" : i < 8 ? "x" : "y"));
  }
  const Result<Comparison> comparison = compare(run_with(a), run_with(b));
  ASSERT_TRUE(comparison);
  const PairedFigure& exact = figure(*comparison, "exactLine");
  EXPECT_DOUBLE_EQ(exact.a, 0.1);
  EXPECT_DOUBLE_EQ(exact.b, 0.7);
  EXPECT_EQ(exact.up, 7);
  EXPECT_EQ(exact.down, 1);
  EXPECT_NEAR(exact.chance, 18.0 / 256, 1e-12);  // 2 (1 + 8) / 2^8
}

TEST(EvalComparison, TakesCommonHolesOnly) {
  const EvalRun a = run_with({eval_row(1, "x"), eval_row(2, "x")});
  const EvalRun b = run_with({eval_row(2, "y"), eval_row(3, "y"), eval_row(4, "y")});
  const Result<Comparison> comparison = compare(a, b);
  ASSERT_TRUE(comparison);
  EXPECT_EQ(comparison->n_common, 1);
  EXPECT_EQ(comparison->n_only_a, 1);
  EXPECT_EQ(comparison->n_only_b, 2);
  EXPECT_EQ(figure(*comparison, "exactLine").n, 1);
}

TEST(EvalComparison, RefusesRunsWithoutACommonHole) {
  HoleRow other_text = eval_row(1, "x");
  other_text.text_hash = "fedcba9876543210";
  for (const HoleRow& other :
       {eval_row(2, "x"), other_text, eval_row(1, "x", "x", HoleKind::kToken)}) {
    const Result<Comparison> comparison = compare(run_with({eval_row(1, "x")}), run_with({other}));
    ASSERT_FALSE(comparison);
    EXPECT_THAT(comparison.error().message, HasSubstr("found none in common"));
  }
}

TEST(EvalComparison, ComparesDamageWhereBothShowSomething) {
  HoleRow damaged = eval_row(1, "(");
  damaged.damages = true;
  const EvalRun a = run_with({damaged, eval_row(2, "x"), eval_row(3, "")});
  const EvalRun b = run_with({eval_row(1, "x"), eval_row(2, ""), eval_row(3, "x")});
  const Result<Comparison> comparison = compare(a, b);
  ASSERT_TRUE(comparison);
  const PairedFigure& damage = figure(*comparison, "damages");
  EXPECT_EQ(damage.n, 1);
  EXPECT_EQ(damage.down, 1);
  EXPECT_FALSE(damage.higher_is_better);
}

TEST(EvalComparison, HasTheGroupsOfASummary) {
  const EvalRun run = run_with({eval_row(1, "x"), eval_row(2, "x", "x", HoleKind::kBlock, "lua")});
  const Result<Comparison> comparison = compare(run, run);
  ASSERT_TRUE(comparison);
  ASSERT_EQ(comparison->groups.size(), 7u);
  EXPECT_EQ(comparison->groups[0].a.n, 2);
  EXPECT_EQ(comparison->groups[1].kind, "line");
  EXPECT_EQ(comparison->groups[1].figures.front().n, 1);
  EXPECT_THAT(comparison_json(run, run, *comparison), HasSubstr("\"common\":2"));
}

}  // namespace
}  // namespace incipit::lsp::eval
