// The part of a file that no longer fits in the prompt, retold in a few lines that still look like
// the file: its imports, signatures that the kept part uses, and the heads of the definitions
// around the place where the kept part begins. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "lsp/context/cursor_site.h"
#include "lsp/syntax/scope.h"

namespace incipit::lsp {

// For a window of `tree`'s text that starts at `window_start` and shows `kept`. At most
// `max_bytes`; empty when the window starts at the beginning. Ends with a line end.
std::string file_header(const SyntaxTree& tree, size_t window_start, std::string_view kept,
                        size_t max_bytes);

}  // namespace incipit::lsp
