// Two runs side by side, hole by hole: only holes that both have count, so that what differs is the
// model or the program, not the task. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "lsp/eval/run_json.h"
#include "lsp/eval/summary.h"

namespace incipit::lsp::eval {

// A figure that is higher or lower for single holes. `up` holes have a higher value in B than in A,
// `down` a lower one; `chance` is the sign test: how likely so uneven a split is without any
// reason.
struct PairedFigure {
  std::string name;
  bool is_share = true;
  bool higher_is_better = true;
  double a = 0;  // over the holes that have a value in both runs
  double b = 0;
  int n = 0;
  int up = 0;
  int down = 0;
  double chance = 1;
};

struct ComparedGroup {
  std::string language;  // as in Summary
  std::string kind;
  std::vector<PairedFigure> figures;
  Summary a;  // over the common holes
  Summary b;
};

struct Comparison {
  int n_common = 0;
  int n_only_a = 0;
  int n_only_b = 0;
  std::vector<ComparedGroup> groups;  // as in summaries_of
};

// An error when no hole is in both.
Result<Comparison> compare(const EvalRun& a, const EvalRun& b);

std::string comparison_json(const EvalRun& a, const EvalRun& b, const Comparison& comparison);

}  // namespace incipit::lsp::eval
