// Excerpts of the open documents for a prompt: lines that are like the surroundings of the cursor,
// and lines that were edited lately. Never of what looks secret, generated or minified, nor of
// another language's documents. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/document/open_documents.h"
#include "lsp/syntax/scope.h"

namespace incipit::lsp {

struct OpenExcerpt {
  std::string path;     // as the model sees it
  std::string text;     // whole lines, "\n" at their ends
  size_t document = 0;  // in OpenDocuments::others; others.size(): the document itself
  Span span;            // of its text
};

// The document that is asked about.
struct OpenPlace {
  std::string_view text;
  size_t offset = 0;
  const Language* language = nullptr;
  std::string_view shown_path;
  Span shown;  // of its text, in the prompt anyway
};

// The most similar first, one of a document, paths included in `max_bytes`.
std::vector<OpenExcerpt> similar_excerpts(const OpenDocuments& open, const OpenPlace& place,
                                          size_t max_bytes);

// The newest first. What is in `known` or in the prompt anyway is left out.
std::vector<OpenExcerpt> edited_excerpts(const OpenDocuments& open, const OpenPlace& place,
                                         const std::vector<OpenExcerpt>& known, size_t max_bytes);

}  // namespace incipit::lsp
