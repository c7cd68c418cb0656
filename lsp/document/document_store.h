// DocumentStore: the open documents and the workspace folders. Io thread only. Whatever a client
// gets wrong (a document opened twice, changed before it was opened, a version that goes back) is
// logged and survived: the text that came last counts.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lsp/document/document.h"
#include "lsp/protocol/lifecycle.h"
#include "lsp/protocol/text_sync.h"

namespace incipit::lsp {

class DocumentStore {
 public:
  void set_folders(const std::vector<WorkspaceFolder>& folders);
  void change_folders(const WorkspaceFoldersChangeEvent& event);

  // Each returns the document it touched; nullptr when it is not open.
  const Document* open(const TextDocumentItem& item);
  const Document* change(const DidChangeParams& params, PositionEncoding encoding);
  bool close(const std::string& uri);

  const Document* find(const std::string& uri) const;
  DocumentSnapshot snapshot(const Document& document) const;
  // Other documents, the most recently changed or opened first; then those that were closed last,
  // as they were then: kMaxClosed of at most kMaxClosedBytes.
  struct Other {
    const Document* document = nullptr;
    uint64_t used = 0;  // grows with every change and opening of any document
  };
  static constexpr size_t kMaxClosed = 4;
  static constexpr size_t kMaxClosedBytes = size_t{256} << 10;
  std::vector<Other> others(const Document& than) const;
  void forget_closed(const std::string& uri);  // its file is another one now
  const Document* most_recent() const;
  std::vector<const Document*> all() const;  // that are open
  size_t size() const { return documents_.size(); }

  std::vector<std::string> folder_paths() const;  // absolute, of those on this machine

  // The document's path as the model sees it: below its workspace folder (the innermost one that
  // holds it), else its file name alone, so that no home directory enters a prompt.
  std::string shown_path(const Uri& uri) const;

 private:
  struct Folder {
    std::string key;   // with a slash at its end
    std::string path;  // without; empty: not on this machine
  };
  struct Entry {
    Document document;
    uint64_t used = 0;  // grows with every use
  };

  Entry* entry_of(const std::string& uri);

  std::map<std::string, std::unique_ptr<Entry>> documents_;  // by Uri::key
  std::vector<std::unique_ptr<Entry>> closed_;               // the last one first
  std::vector<Folder> folders_;
  uint64_t clock_ = 0;
};

}  // namespace incipit::lsp
