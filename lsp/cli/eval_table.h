// The tables that `incipit eval` prints, at most 100 columns. Pure.
#pragma once

#include <string>

#include "lsp/eval/comparison.h"
#include "lsp/eval/run_json.h"

namespace incipit::lsp::cli {

std::string eval_table(const eval::EvalRun& run);
std::string comparison_table(const eval::EvalRun& a, const eval::EvalRun& b,
                             const eval::Comparison& comparison);

}  // namespace incipit::lsp::cli
