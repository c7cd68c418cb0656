// The difference of two texts by lines, as the changes that make one of the other: what an edit
// does not touch keeps its marks, folds and cursors in the editor. (Longest common subsequence of
// lines, by dynamic programming.) Pure.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "lsp/completion/code_task.h"

namespace incipit::lsp {

// In ascending order, without overlap. `base` is where `before` begins in its document. Texts of
// more than kMaxTable pairs of differing lines are one change.
constexpr size_t kMaxTable = size_t{4} << 20;
std::vector<TextChange> line_changes(std::string_view before, std::string_view after, size_t base);

}  // namespace incipit::lsp
