// HoleRow: what came of one hole, and how it is judged. The judgement is pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lsp/completion/completion_pipeline.h"
#include "lsp/eval/hole.h"
#include "lsp/syntax/parser.h"

namespace incipit::lsp::eval {

// A rule that changed the suggestion, and what the suggestion was like before it did.
struct RuleRow {
  std::string rule;
  std::string before;
  bool exact_line = false;
  std::optional<bool> damages;
  bool repeats = false;
};

struct HoleRow {
  std::string file;       // as EvalFile::name
  std::string text_hash;  // of the whole file, 16 hexadecimal digits
  std::string language;   // "python"
  Hole hole;
  size_t line = 0;       // where the hole begins: 0-based, as in LSP
  size_t character = 0;  // bytes

  std::string expected;    // what was cut out
  std::string shown;       // what was suggested; empty: nothing
  std::string why_hidden;  // the pipeline's reason, when nothing was
  std::string finish;      // why generation stopped

  bool exact_line = false;         // the first line
  bool exact_span = false;         // all of it
  std::optional<bool> exact_name;  // kToken: the rest of the name, and no more of a name
  double line_similarity = 0;      // 0 when nothing is shown
  double span_similarity = 0;
  // Of what is shown, else nothing.
  std::optional<bool> damages;  // more ERROR and MISSING nodes than the file has; nothing: no tree
  std::optional<bool> repeats;  // a line beside it
  // As in CompletionTimings; nothing: the model said nothing, or was not asked.
  std::optional<double> mean_log_prob;
  std::vector<RuleRow> rules;  // in the order in which they were applied

  double first_token_ms = 0;  // from the request; 0: the model was not asked
  double total_ms = 0;
  int32_t prompt_tokens = 0;
  int32_t cached_tokens = 0;  // of them, from the prefix cache
  int32_t generated_tokens = 0;
  std::optional<int32_t> context_tokens;  // of the prompt's: what was said of other files

  bool is_shown() const { return !shown.empty(); }
  bool asked_the_model() const { return prompt_tokens > 0; }
};

// The file with the hole cut out: what the pipeline sees.
std::string without_hole(const std::string& text, const Hole& hole);

// Fills in everything from `expected` to `repeats` for a suggestion into without_hole(file), or
// for none (`item` null). `original` is the tree of the whole file.
void judge(const SyntaxTree& original, const CompletionItem* item, HoleRow& row);

// Fills in `rules`, each judged as if its text had been shown.
void judge_rules(const SyntaxTree& original, const std::vector<RuleStep>& steps, HoleRow& row);

}  // namespace incipit::lsp::eval
