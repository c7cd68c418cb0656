// The errors of a tree, as places: ERROR and MISSING nodes, and nodes in which something is missing
// that has no node of its own, such as the end of a line between two statements of Python. For
// those who compare trees of almost the same text; who only wants a number takes count_errors of
// scope.h.
#pragma once

#include <cstddef>
#include <limits>
#include <vector>

#include "lsp/syntax/scope.h"

namespace incipit::lsp {

// Of those that touch `range`, the first `most`. A node comes before those inside it, one that
// misses something behind them.
std::vector<Span> error_spans(const SyntaxTree& tree,
                              Span range = {0, std::numeric_limits<size_t>::max()},
                              size_t most = std::numeric_limits<size_t>::max());

}  // namespace incipit::lsp
