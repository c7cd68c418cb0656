// Rows of an evaluation for tests of what is made of them.
#pragma once

#include <string>

#include "lsp/eval/hole_row.h"

namespace incipit::lsp::eval {

// A hole for which `shown` came, where `expected` stood; empty: nothing came.
inline HoleRow eval_row(size_t start, const std::string& shown, const std::string& expected = "x",
                        HoleKind kind = HoleKind::kLine, const std::string& language = "python") {
  HoleRow row;
  row.file = "src/a." + language;
  row.text_hash = "0123456789abcdef";
  row.language = language;
  row.hole = {kind, start, start + expected.size()};
  row.line = start;
  row.expected = expected;
  row.shown = shown;
  row.exact_line = row.exact_span = shown == expected;
  row.line_similarity = row.span_similarity = shown == expected ? 1 : 0.25;
  if (shown.empty()) {
    row.why_hidden = "too short";
    row.line_similarity = row.span_similarity = 0;
  } else {
    row.damages = false;
    row.repeats = false;
  }
  row.finish = "stop token";
  row.first_token_ms = 10;
  row.total_ms = 20;
  row.prompt_tokens = 100;
  row.cached_tokens = 40;
  row.generated_tokens = 5;
  return row;
}

}  // namespace incipit::lsp::eval
