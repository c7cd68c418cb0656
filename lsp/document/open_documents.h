// OpenDocuments: what else is open, or was until lately, beside the document that a request is
// about. Immutable once made; free to cross threads.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "lsp/document/edited_spans.h"
#include "lsp/document/snapshot.h"

namespace incipit::lsp {

struct OpenDocuments {
  std::vector<DocumentSnapshot> others;  // most recently used first
  std::vector<EditedSpan> own_edits;     // of the document itself, newest first
  uint64_t changed_at = 0;               // the newest change or opening of one of the others
  // What prompts are told of them.
  bool similar = false;  // lines like those around the cursor
  bool edited = false;   // lines that were edited lately, also of the document itself
};
using OpenDocumentsPtr = std::shared_ptr<const OpenDocuments>;

}  // namespace incipit::lsp
