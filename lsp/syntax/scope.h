// What a tree says about a place: the functions and types around it, the imports, the definitions.
// Pure functions over a SyntaxTree; used by the context collector and the stop rules.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/syntax/parser.h"

namespace incipit::lsp {

struct Span {
  size_t start = 0;  // bytes
  size_t end = 0;

  bool contains(size_t offset) const { return start <= offset && offset < end; }
  friend bool operator==(const Span&, const Span&) = default;
};

enum class DefinitionKind { kFunction, kType, kValue };

struct Definition {
  DefinitionKind kind = DefinitionKind::kFunction;
  std::string name;
  Span span;       // the whole definition, decorators and template head included
  Span signature;  // without the body; never empty
  bool has_body = false;
};

// The definitions around `offset`, outermost first. In Python the indentation of the cursor's line
// decides, because an empty line belongs to no node.
std::vector<Definition> enclosing_definitions(const SyntaxTree& tree, size_t offset);

// Definitions and imports that touch `range`, in file order.
std::vector<Definition> definitions_in(const SyntaxTree& tree, Span range);
// What other files may use of this one: definitions, declarations without a body (prototypes,
// methods of interfaces), constants. In file order.
std::vector<Definition> declarations_in(const SyntaxTree& tree, Span range);
std::vector<Span> imports_in(const SyntaxTree& tree, Span range);

// The first top-level node that starts in `range`: a place to cut the text without cutting a
// definition. `range.end` when there is none.
size_t top_level_start_in(const SyntaxTree& tree, Span range);

// The largest statement that starts at `start` (a place where a line's first character is): the
// node that a cursor on this line belongs to. Empty when no node starts there.
Span statement_at(const SyntaxTree& tree, size_t start);

// Whether `offset` lies inside a comment; inside a string literal.
bool in_comment(const SyntaxTree& tree, size_t offset);
bool in_string(const SyntaxTree& tree, size_t offset);

// Errors (see errors.h) that touch `range`: what a candidate may not raise. Counting stops at
// `most`.
int count_errors(const SyntaxTree& tree, Span range, int most = 64);

}  // namespace incipit::lsp
