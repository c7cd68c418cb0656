// What a completion's prompt may be told of the other documents, by the settings. Io thread.
#pragma once

#include "lsp/document/document_store.h"
#include "lsp/document/open_documents.h"
#include "lsp/settings.h"

namespace incipit::lsp {

// Null when the settings want nothing of them. Documents of unrelated languages, and those that
// incipit.excludeFiles names, are not among them.
OpenDocumentsPtr open_documents(const DocumentStore& documents, const Document& document,
                                const Settings& settings);

}  // namespace incipit::lsp
