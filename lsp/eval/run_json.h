// EvalRun: one run of `incipit eval`, to and from the JSON that docs/evaluation.md describes. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "lsp/eval/hole_row.h"
#include "lsp/eval/source_files.h"

namespace incipit::lsp::eval {

constexpr int kRunFormat = 1;

struct EvalRun {
  std::string incipit;  // version
  std::string model;
  std::string device;
  int32_t context_tokens = 0;
  CompletionOptions completion;
  std::string definitions = "none";  // of other files in prompts: "none", "files", "comments"
  EvalOptions options;
  int n_files = 0;
  std::map<std::string, int> left_out;
  bool interrupted = false;
  std::vector<HoleRow> rows;
};

// On one line.
std::string run_json(const EvalRun& run);

// Takes what run_json wrote; `name` is for messages. Summaries are not read: they follow from the
// rows.
Result<EvalRun> parse_run(std::string text, const std::string& name);

}  // namespace incipit::lsp::eval
