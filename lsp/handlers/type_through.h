// What becomes of a suggestion when the text changed while it was being made. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "lsp/completion/completion_pipeline.h"

namespace incipit::lsp {

// When `now` is `before` with some text typed at `cursor`, and the suggestion begins with just that
// text, the same suggestion for `now`; otherwise nothing. Nothing also when all of it is typed.
std::optional<CompletionItem> type_through(const CompletionItem& item, size_t cursor,
                                           std::string_view before, std::string_view now);

}  // namespace incipit::lsp
