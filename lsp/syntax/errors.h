// The ERROR and MISSING nodes of a tree, as places. For those who compare trees of almost the same
// text; who only wants a number takes count_errors of scope.h.
#pragma once

#include <vector>

#include "lsp/syntax/scope.h"

namespace incipit::lsp {

// In the order of a walk from the top down: a node comes before those inside it.
std::vector<Span> error_spans(const SyntaxTree& tree);

}  // namespace incipit::lsp
