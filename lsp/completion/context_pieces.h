// ContextPieces: what a prompt may be told of other files: definitions of the names that are used
// near the cursor, file by file. Chosen once per anchor of the prompt window, never while typing.
// Context thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/context/cursor_site.h"
#include "lsp/index/symbol_index.h"
#include "lsp/syntax/parser.h"

namespace incipit::lsp {

// How definitions from other files enter a prompt.
enum class DefinitionsAs {
  kNothing,
  kFiles,  // each file under its path before this one, for models trained with whole repositories
  kComments,  // commented out, at the top of this file: for any model
};

// Where definitions come from, and how they are shown. Without symbols there are none.
struct ContextChoice {
  std::shared_ptr<const SymbolIndex> symbols;
  DefinitionsAs definitions = DefinitionsAs::kNothing;

  bool any() const { return symbols != nullptr && definitions != DefinitionsAs::kNothing; }
};

struct ContextPiece {
  std::string path;  // as the model sees it
  std::string text;  // whole lines, with a line end
};

// A document, for those who look from it at others.
struct ContextPlace {
  const CursorSite* site = nullptr;
  const SyntaxTree* tree = nullptr;    // may be null
  const Language* language = nullptr;  // null: there is no context
  std::string_view file_path;          // absolute; empty: it lies nowhere
  std::string_view shown_path;         // the end of it that the model sees
};

// At most `max_bytes`, paths included; the best is last, nearest to the file itself.
std::vector<ContextPiece> context_pieces(const ContextChoice& choice, const ContextPlace& place,
                                         size_t max_bytes);

// The name of the folder that the document's shown path lies in: of the workspace, as a rule. Empty
// when it is not known.
std::string_view repository_of(const ContextPlace& place);

// The pieces as comment lines of this language. Empty when it has no line comment.
std::string as_comments(const std::vector<ContextPiece>& pieces, const Language& language);

}  // namespace incipit::lsp
