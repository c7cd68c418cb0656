// postprocess: from the text a model wrote to what is inserted, or to the reason why nothing is.
// Pure; every rule has cases in tests/golden/postprocess.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/completion/completion_pipeline.h"
#include "lsp/completion/stop_checks.h"
#include "lsp/context/cursor_site.h"

namespace incipit::lsp {

struct PostprocessInput {
  CursorSite site;  // of the document as the prompt saw it
  const Language* language = nullptr;
  Tree tree = nullptr;  // of the site's text; null: by the text alone
  CompletionUnit unit = CompletionUnit::kBlock;
  std::string_view candidate;  // as generated, already cut by StopChecks
  std::string_view unclosed;   // see unclosed_brackets
  bool invoked = false;        // asked for by hand: short answers are welcome too
  bool typed_through = false;  // the rest of a suggestion that is being typed: never too short
  bool keep_tail = false;      // the range may not reach behind the cursor
};

struct Postprocessed {
  std::string text;      // with the document's line ends; empty: nothing to suggest
  size_t tail_used = 0;  // bytes after the cursor that the text replaces
  std::string why_empty;
  std::vector<RuleStep> steps;
  bool fitted = false;  // the text was changed so that it parses: the candidate says something else
};

Postprocessed postprocess(const PostprocessInput& input);

}  // namespace incipit::lsp
