// Suggestions as the protocol wants them. Pure.
#pragma once

#include <cstddef>
#include <vector>

#include "lsp/completion/completion_pipeline.h"
#include "lsp/document/document.h"
#include "lsp/protocol/inline_completion.h"

namespace incipit::lsp {

// Items are in bytes of the document's text. Without a document there are none.
InlineCompletionList inline_list(const std::vector<CompletionItem>& items, const Document* document,
                                 PositionEncoding encoding);

// For popup menus: they filter by the word before the cursor, so each item covers that word too.
CompletionList completion_list(const std::vector<CompletionItem>& items, const Document* document,
                               size_t cursor, PositionEncoding encoding);

}  // namespace incipit::lsp
