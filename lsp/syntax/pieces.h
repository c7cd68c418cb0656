// What a text is made of, by its tree: its tokens, and runs of whole lines that belong to one node.
// Used by lsp/eval to find places where something can be left out. Pure; any thread.
#pragma once

#include <vector>

#include "lsp/syntax/parser.h"
#include "lsp/syntax/scope.h"

namespace incipit::lsp {

struct Token {
  Span span;             // never empty; a string literal is one token
  bool is_name = false;  // letters, digits and '_', and not a keyword
};

// In file order. Comments are left out, and so is what the parser could not place.
std::vector<Token> tokens_of(const SyntaxTree& tree);

// Runs of `min_lines` to `max_lines` lines that end a node: from a child that is the first thing on
// its line to the end of the line on which the node's last child ends. What makes up the whole of
// the node is a run only where the node is no more than a list of statements. Runs neither begin
// with a comment nor lie in a string. In file order, without repetition.
std::vector<Span> line_runs(const SyntaxTree& tree, int min_lines, int max_lines);

// Whether the parser made nothing of the text: at the top, ERROR nodes hold more than half of it.
bool is_unparsed(const SyntaxTree& tree);

}  // namespace incipit::lsp
