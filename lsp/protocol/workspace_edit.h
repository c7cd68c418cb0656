// workspace/applyEdit: changes of documents, each of one version, and new files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lsp/protocol/basic.h"

namespace incipit::lsp {

struct TextDocumentEdit {
  Json version;  // a number, or null for a file that is not open
  std::string uri;
  std::vector<TextEdit> edits;
};
inline Json write_text_document_edit(const TextDocumentEdit& edit) {
  return {{"textDocument", {{"uri", edit.uri}, {"version", edit.version}}},
          {"edits", write_fields(edit.edits)}};
}

struct CreateFileOptions {
  bool overwrite = false;
  bool ignoreIfExists = false;
};
template <class V>
void visit_fields(V& v, CreateFileOptions& o) {
  v("overwrite", o.overwrite);
  v("ignoreIfExists", o.ignoreIfExists);
}

struct CreateFile {
  std::string kind = "create";
  std::string uri;
  CreateFileOptions options;
};
template <class V>
void visit_fields(V& v, CreateFile& c) {
  v("kind", c.kind);
  v("uri", c.uri);
  v("options", c.options);
}

struct WorkspaceEdit {
  std::vector<Json> documentChanges;  // CreateFile, TextDocumentEdit
};
template <class V>
void visit_fields(V& v, WorkspaceEdit& e) {
  v("documentChanges", e.documentChanges);
}

struct ApplyWorkspaceEditParams {
  std::string label;
  WorkspaceEdit edit;
};
template <class V>
void visit_fields(V& v, ApplyWorkspaceEditParams& p) {
  v("label", p.label);
  v("edit", p.edit);
}

struct ApplyWorkspaceEditResult {
  bool applied = false;
  std::optional<std::string> failureReason;
};
template <class V>
void visit_fields(V& v, ApplyWorkspaceEditResult& r) {
  v("applied", r.applied);
  v("failureReason", r.failureReason);
}

// What an edit command is answered with.
struct EditCommandResult {
  bool applied = false;
  int32_t edits = 0;                   // places that were changed
  std::string text;                    // what the model wrote, in the form in which it was put in
  std::optional<std::string> uri;      // of a file that was made
  std::optional<std::string> message;  // why nothing was applied
};
template <class V>
void visit_fields(V& v, EditCommandResult& r) {
  v("applied", r.applied);
  v("edits", r.edits);
  v("text", r.text);
  v("uri", r.uri);
  v("message", r.message);
}

}  // namespace incipit::lsp
