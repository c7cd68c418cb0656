#include "lsp/document/document_store.h"

#include <algorithm>
#include <utility>

#include "engine/base/log.h"

namespace incipit::lsp {
namespace {

std::string folder_key(const WorkspaceFolder& folder) {
  std::string key = Uri::parse(folder.uri).key();
  if (!key.ends_with('/')) key += '/';
  return key;
}

}  // namespace

void DocumentStore::set_folders(const std::vector<WorkspaceFolder>& folders) {
  folders_.clear();
  change_folders({folders, {}});
}

void DocumentStore::change_folders(const WorkspaceFoldersChangeEvent& event) {
  for (const auto& folder : event.removed) {
    std::erase_if(folders_, [key = folder_key(folder)](const Folder& f) { return f.key == key; });
  }
  for (const auto& folder : event.added) {
    std::string path = Uri::parse(folder.uri).file_path().value_or("");
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    folders_.push_back({folder_key(folder), std::move(path)});
  }
}

std::vector<std::string> DocumentStore::folder_paths() const {
  std::vector<std::string> paths;
  for (const Folder& folder : folders_) {
    if (!folder.path.empty()) paths.push_back(folder.path);
  }
  return paths;
}

DocumentStore::Entry* DocumentStore::entry_of(const std::string& uri) {
  const auto found = documents_.find(Uri::parse(uri).key());
  return found == documents_.end() ? nullptr : found->second.get();
}

const Document* DocumentStore::open(const TextDocumentItem& item) {
  auto& entry = documents_[Uri::parse(item.uri).key()];
  if (entry) log::warn("didOpen: {} is open already; the new text counts", item.uri);
  entry = std::make_unique<Entry>(
      Entry{Document(item.uri, item.languageId.value_or(""), item.version.value_or(0), item.text),
            ++clock_});
  return &entry->document;
}

const Document* DocumentStore::change(const DidChangeParams& params, PositionEncoding encoding) {
  const std::string& uri = params.textDocument.uri;
  Entry* entry = entry_of(uri);
  if (!entry) {
    log::warn("didChange: {} is not open", uri);
    return nullptr;
  }
  Document& document = entry->document;
  for (const ContentChange& change : params.contentChanges) {
    if (change.range) {
      document.replace(*change.range, change.text, encoding);
    } else {
      document.replace_all(change.text);
    }
  }
  const int64_t version = params.textDocument.version.value_or(document.version() + 1);
  if (version <= document.version()) {
    log::warn("didChange: {}: want a version above {}, found {}", uri, document.version(), version);
  }
  document.set_version(version);
  entry->used = ++clock_;
  return &document;
}

bool DocumentStore::close(const std::string& uri) {
  if (documents_.erase(Uri::parse(uri).key()) > 0) return true;
  log::warn("didClose: {} is not open", uri);
  return false;
}

const Document* DocumentStore::find(const std::string& uri) const {
  const auto found = documents_.find(Uri::parse(uri).key());
  return found == documents_.end() ? nullptr : &found->second->document;
}

DocumentSnapshot DocumentStore::snapshot(const Document& document) const {
  return document.snapshot(shown_path(document.parsed_uri()));
}

std::vector<const Document*> DocumentStore::others(const Document& than) const {
  std::vector<const Entry*> entries;
  for (const auto& [key, entry] : documents_) {
    if (&entry->document != &than) entries.push_back(entry.get());
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry* a, const Entry* b) { return a->used > b->used; });
  std::vector<const Document*> documents;
  for (const Entry* entry : entries) documents.push_back(&entry->document);
  return documents;
}

const Document* DocumentStore::most_recent() const {
  const Entry* recent = nullptr;
  for (const auto& [key, entry] : documents_) {
    if (!recent || entry->used > recent->used) recent = entry.get();
  }
  return recent ? &recent->document : nullptr;
}

std::string DocumentStore::shown_path(const Uri& uri) const {
  const std::string key = uri.key();
  size_t longest = 0;
  for (const Folder& folder : folders_) {
    if (key.starts_with(folder.key)) longest = std::max(longest, folder.key.size());
  }
  return longest > 0 ? key.substr(longest) : uri.file_name();
}

}  // namespace incipit::lsp
