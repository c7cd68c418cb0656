// What a suggestion comes to for somebody who can only insert at the cursor. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "lsp/completion/completion_pipeline.h"

namespace incipit::lsp::cli {

// The item's text without the parts of its range that it leaves as they are: brackets and quotes
// that stand right of the cursor, what was typed left of it. Nothing when it replaces other text
// than it puts there. `text` is the document's, `offset` the cursor.
std::optional<std::string> inserted_text(const CompletionItem& item, std::string_view text,
                                         size_t offset);

}  // namespace incipit::lsp::cli
