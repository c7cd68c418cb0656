// CodeBlock: the lines that a question is about, found from a selection or a cursor. Pure.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/result.h"
#include "lsp/syntax/parser.h"
#include "lsp/syntax/scope.h"

namespace incipit::lsp {

struct CodeBlock {
  Span span;  // whole lines, the last one's end included where it has one
  std::optional<Definition> definition;  // the first that begins in them
};

// The lines that hold the selection; for a cursor alone the innermost function or type around it,
// or the one that begins behind the cursor where nothing stands before it on the line.
// `tree` is the text's or null. Errors say what to select.
Result<CodeBlock> block_at(std::string_view text, const SyntaxTree* tree, Span selection);

// The definition whose name stands at `offset`, or is used there: of this file's alone, the
// nearest. Completions wait meanwhile, so a search of more than `longest` is given up.
std::optional<Definition> definition_named_at(std::string_view text, const SyntaxTree& tree,
                                              size_t offset, std::chrono::milliseconds longest);

// From the start of the line of `start` to the end of the line that holds the last byte.
Span whole_lines(std::string_view text, Span span);

}  // namespace incipit::lsp
