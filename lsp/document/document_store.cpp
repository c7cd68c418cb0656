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
  forget_closed(item.uri);
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
  entry->used = ++clock_;
  for (const ContentChange& change : params.contentChanges) {
    if (change.range) {
      document.replace(*change.range, change.text, encoding, entry->used);
    } else {
      document.replace_all(change.text, entry->used);
    }
  }
  const int64_t version = params.textDocument.version.value_or(document.version() + 1);
  if (version <= document.version()) {
    log::warn("didChange: {}: want a version above {}, found {}", uri, document.version(), version);
  }
  document.set_version(version);
  return &document;
}

bool DocumentStore::close(const std::string& uri) {
  const auto found = documents_.find(Uri::parse(uri).key());
  if (found == documents_.end()) {
    log::warn("didClose: {} is not open", uri);
    return false;
  }
  if (found->second->document.text().size() <= kMaxClosedBytes) {
    closed_.insert(closed_.begin(), std::move(found->second));
    if (closed_.size() > kMaxClosed) closed_.pop_back();
  }
  documents_.erase(found);
  return true;
}

void DocumentStore::forget_closed(const std::string& uri) {
  if (closed_.empty()) return;  // a build tells of thousands of files at once
  std::erase_if(closed_, [key = Uri::parse(uri).key()](const auto& entry) {
    return entry->document.parsed_uri().key() == key;
  });
}

const Document* DocumentStore::find(const std::string& uri) const {
  const auto found = documents_.find(Uri::parse(uri).key());
  return found == documents_.end() ? nullptr : &found->second->document;
}

DocumentSnapshot DocumentStore::snapshot(const Document& document) const {
  return document.snapshot(shown_path(document.parsed_uri()));
}

std::vector<DocumentStore::Other> DocumentStore::others(const Document& than) const {
  std::vector<Other> others;
  for (const auto& [key, entry] : documents_) {
    if (&entry->document != &than) others.push_back({&entry->document, entry->used});
  }
  std::sort(others.begin(), others.end(),
            [](const Other& a, const Other& b) { return a.used > b.used; });
  for (const auto& entry : closed_) others.push_back({&entry->document, entry->used});
  return others;
}

const Document* DocumentStore::most_recent() const {
  const Entry* recent = nullptr;
  for (const auto& [key, entry] : documents_) {
    if (!recent || entry->used > recent->used) recent = entry.get();
  }
  return recent ? &recent->document : nullptr;
}

std::vector<const Document*> DocumentStore::all() const {
  std::vector<const Document*> all;
  for (const auto& [key, entry] : documents_) all.push_back(&entry->document);
  return all;
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
