// ContextPieces: what a prompt may be told of other files: definitions of the names that are used
// near the cursor, lines of open documents that are like its surroundings, lines that were edited
// lately. Pure but for the index. Context thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/context/cursor_site.h"
#include "lsp/context/open_excerpts.h"
#include "lsp/document/open_documents.h"
#include "lsp/index/symbol_index.h"
#include "lsp/syntax/parser.h"

namespace incipit::lsp {

// How other files enter a prompt.
enum class FilesAs {
  kFiles,     // each under its path before this one, for models trained with whole repositories
  kComments,  // commented out, at the top of this file: for any model
};

// Where definitions come from, and how everything is shown. Without symbols there are none.
struct ContextChoice {
  std::shared_ptr<const SymbolIndex> symbols;
  FilesAs shown_as = FilesAs::kFiles;
};

enum class ContextSource { kDefinitions, kSimilar, kEdited };
constexpr std::string_view name_of(ContextSource source) {
  return source == ContextSource::kDefinitions ? "definitions"
         : source == ContextSource::kSimilar   ? "similar"
                                               : "edited";
}

struct ContextPiece {
  ContextSource source = ContextSource::kDefinitions;
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
  Span shown = {};                     // of its text, about: what the prompt shows anyway
};

// At most `max_bytes`, paths included; the best is last, nearest to the file itself.
std::vector<ContextPiece> definition_pieces(const SymbolIndex& symbols, const ContextPlace& place,
                                            size_t max_bytes);
// The same of what is open: similar lines, then those that were edited.
std::vector<ContextPiece> open_pieces(const OpenDocuments& open, const ContextPlace& place,
                                      size_t max_similar_bytes, size_t max_edited_bytes);

// The name of the folder that the document's shown path lies in: of the workspace, as a rule. Empty
// when it is not known.
std::string_view repository_of(const ContextPlace& place);

// The piece as comment lines of this language. Empty when it has no line comment.
std::string as_comments(const ContextPiece& piece, const Language& language);

}  // namespace incipit::lsp
