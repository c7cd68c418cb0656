// WorkspaceService: what of the workspace's other files the model may be told. Keeps the index of
// their symbols to the folders, the settings and the documents. Io thread only; the index works on
// a thread of its own.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lsp/completion/context_pieces.h"
#include "lsp/document/document_store.h"
#include "lsp/index/workspace_index.h"
#include "lsp/settings.h"

namespace incipit::lsp {

class WorkspaceService {
 public:
  explicit WorkspaceService(const DocumentStore& documents)
      : documents_(documents), index_(std::make_shared<WorkspaceIndex>()) {}

  // For prompts: always this index, which is empty where the settings say so.
  ContextChoice context() const;

  // Folders or settings may have changed: walks them anew if they did.
  void update(const std::vector<std::string>& folders, const Settings& settings);

  void opened(const Document& document);
  // Its symbols are read again when the user goes to another document: nobody needs those of the
  // file that is being typed in.
  void changed(const Document& document);
  void closed(const Document& document);
  void file_changed(const std::string& uri);  // on disk

  bool enabled() const { return enabled_; }
  IndexProgress progress() const { return index_->progress(); }

 private:
  void take(const Document& document);
  void take_left(const std::string& current_uri);

  const DocumentStore& documents_;
  std::shared_ptr<WorkspaceIndex> index_;
  std::vector<std::string> folders_;
  std::vector<std::string> excluded_;
  bool enabled_ = false;
  std::string left_;  // the URI of a document whose text the index does not know yet
};

}  // namespace incipit::lsp
