#include "lsp/handlers/workspace_service.h"

#include <utility>

#include "lsp/document/uri.h"

namespace incipit::lsp {

ContextChoice WorkspaceService::context() const {
  return {std::shared_ptr<const SymbolIndex>(index_, &index_->symbols()), FilesAs::kFiles};
}

void WorkspaceService::update(const std::vector<std::string>& folders, const Settings& settings) {
  const bool enabled = settings.context_workspace;
  if (enabled == enabled_ && folders == folders_ && settings.excluded_files == excluded_) return;
  enabled_ = enabled;
  folders_ = folders;
  excluded_ = settings.excluded_files;
  index_->set_folders(enabled_ ? folders_ : std::vector<std::string>(), excluded_);
  // The walk passes over those that the index knows to be open, and it does not know all of them.
  for (const Document* document : documents_.all()) take(*document);
}

void WorkspaceService::opened(const Document& document) {
  take_left(document.uri());
  take(document);
}

void WorkspaceService::changed(const Document& document) {
  take_left(document.uri());
  left_ = document.uri();
}

void WorkspaceService::closed(const Document& document) {
  if (left_ == document.uri()) left_.clear();
  if (const auto path = document.parsed_uri().file_path()) index_->document_closed(*path);
}

void WorkspaceService::file_changed(const std::string& uri) {
  const auto path = Uri::parse(uri).file_path();
  if (enabled_ && path) index_->file_changed(*path);
}

void WorkspaceService::take(const Document& document) {
  const auto path = document.parsed_uri().file_path();
  if (enabled_ && path) index_->document_changed(*path, documents_.snapshot(document).text);
}

void WorkspaceService::take_left(const std::string& current_uri) {
  if (left_.empty() || left_ == current_uri) return;
  if (const Document* document = documents_.find(std::exchange(left_, ""))) take(*document);
}

}  // namespace incipit::lsp
