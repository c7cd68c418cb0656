// What the rows of an evaluation come to: for all of them, by kind, by language, and by both. Pure.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "lsp/eval/hole_row.h"

namespace incipit::lsp::eval {

// `yes` of `n` rows.
struct Share {
  int yes = 0;
  int n = 0;

  double value() const { return n == 0 ? 0 : static_cast<double>(yes) / n; }
};

struct Times {
  double p50_ms = 0;
  double p95_ms = 0;
};

// What one rule did to the suggestions that it changed: numbers of them, before it and after it.
struct RuleSummary {
  int n = 0;
  int hidden = 0;  // nothing was left to show
  int exact_line_before = 0;
  int exact_line_after = 0;
  int damages_before = 0;
  int damages_after = 0;
  int repeats_before = 0;
  int repeats_after = 0;
};

struct Summary {
  std::string language;  // empty: all
  std::string kind;      // empty: all
  int n = 0;
  Share shown;
  std::map<std::string, int> why_hidden;     // without the figures of one case
  std::map<std::string, RuleSummary> rules;  // by name
  // Of all holes: one for which nothing is shown is not exact, and its similarity is 0.
  Share exact_line;
  Share exact_span;
  Share exact_name;  // of token holes
  double line_similarity = 0;
  double span_similarity = 0;
  Share damages;  // of what is shown
  Share repeats;  // of what is shown
  // Of the holes for which the model was asked.
  Times first_token;
  Times total;
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;
  int64_t generated_tokens = 0;
};

Summary summarise(std::span<const HoleRow* const> rows);

// All, each kind, each language, each kind of each language; groups without rows are left out.
std::vector<Summary> summaries_of(std::span<const HoleRow> rows);

}  // namespace incipit::lsp::eval
