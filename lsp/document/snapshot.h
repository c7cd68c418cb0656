// DocumentSnapshot: one version of an open document, immutable, cheap to copy, free to cross
// threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lsp/document/edited_spans.h"

namespace incipit::lsp {

struct DocumentSnapshot {
  std::string uri;
  std::string path;  // shown to the model: relative to its workspace folder when there is one
  std::string language_id;  // as the client names it: "cpp", "c++", "python", …
  int64_t version = 0;
  std::shared_ptr<const std::string>
      text;                       // UTF-8 as received; invalid sequences were replaced by U+FFFD
  std::vector<EditedSpan> edits;  // of this text, newest first
};

}  // namespace incipit::lsp
