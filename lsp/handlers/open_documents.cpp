#include "lsp/handlers/open_documents.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "lsp/context/file_patterns.h"
#include "lsp/index/source_fitness.h"
#include "lsp/syntax/language.h"

namespace incipit::lsp {
namespace {

// What the prompt builder may look at; it takes far less.
constexpr size_t kMaxDocuments = 8;

const Language* language_of(const Document& document) {
  return find_language(document.language_id(), document.parsed_uri().file_name());
}

}  // namespace

OpenDocumentsPtr open_documents(const DocumentStore& documents, const Document& document,
                                const Settings& settings) {
  const Language* language = language_of(document);
  if (!settings.context_neighbours && !settings.context_recent_edits) return nullptr;
  if (language == nullptr) return nullptr;
  auto open = std::make_shared<OpenDocuments>();
  open->similar = settings.context_neighbours;
  open->edited = settings.context_recent_edits;
  open->own_edits = document.edits().newest_first();
  for (const auto& [other, used] : documents.others(document)) {
    if (open->others.size() == kMaxDocuments) break;
    const Language* spoken = language_of(*other);
    if (spoken == nullptr || !are_related(*spoken, *language) ||
        !unfit_by_size(other->text().size()).empty() ||
        matches_any(settings.excluded_files, other->parsed_uri().file_name())) {
      continue;
    }
    open->others.push_back(documents.snapshot(*other));
    open->changed_at = std::max(open->changed_at, used);
  }
  return open;
}

}  // namespace incipit::lsp
