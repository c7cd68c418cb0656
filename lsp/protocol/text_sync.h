// didOpen, didChange, didClose.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lsp/protocol/basic.h"

namespace incipit::lsp {

struct TextDocumentItem {
  std::string uri;
  std::optional<std::string> languageId;
  std::optional<int64_t> version;
  std::string text;
};
template <class V>
void visit_fields(V& v, TextDocumentItem& d) {
  v("uri", d.uri);
  v("languageId", d.languageId);
  v("version", d.version);
  v("text", d.text);
}

struct DidOpenParams {
  TextDocumentItem textDocument;
};
template <class V>
void visit_fields(V& v, DidOpenParams& p) {
  v("textDocument", p.textDocument);
}

// Without a range the text is the whole document.
struct ContentChange {
  std::optional<Range> range;
  std::string text;
};
template <class V>
void visit_fields(V& v, ContentChange& c) {
  v("range", c.range);
  v("text", c.text);
}

struct DidChangeParams {
  VersionedTextDocumentIdentifier textDocument;
  std::vector<ContentChange> contentChanges;  // each applies to the result of the one before
};
template <class V>
void visit_fields(V& v, DidChangeParams& p) {
  v("textDocument", p.textDocument);
  v("contentChanges", p.contentChanges);
}

struct DidCloseParams {
  TextDocumentIdentifier textDocument;
};
template <class V>
void visit_fields(V& v, DidCloseParams& p) {
  v("textDocument", p.textDocument);
}

}  // namespace incipit::lsp
