// didOpen, didChange, didClose, incipit/didMoveCursor; the workspace's folders and files.
#include "lsp/handlers/handlers.h"

namespace incipit::lsp {

void on_did_open(Session& session, const DidOpenParams& params) {
  const Document* document = session.documents.open(params.textDocument);
  session.workspace.opened(*document);
  session.warm_later(*document);
}

void on_did_change(Session& session, const DidChangeParams& params) {
  const Document* document = session.documents.change(params, session.encoding);
  if (!document) return;
  session.completions.document_changed(*document);
  session.workspace.changed(*document);
  session.warm_later(*document);
}

void on_did_move_cursor(Session& session, const DidMoveCursorParams& params) {
  const Document* document = session.documents.find(params.textDocument.uri);
  if (document == nullptr) return;  // of a file that is not ours to look at
  session.warm_later(*document, document->mapper(session.encoding).offset_of(params.position));
}

void on_did_close(Session& session, const DidCloseParams& params) {
  const Document* document = session.documents.find(params.textDocument.uri);
  // The pipeline knows the document by the spelling that its snapshots carried.
  const std::string uri = document ? document->uri() : params.textDocument.uri;
  if (document) session.workspace.closed(*document);
  if (!session.documents.close(params.textDocument.uri)) return;
  session.completions.document_closed(uri);
  if (session.model.pipeline()) session.model.pipeline()->forget(uri);
}

void on_folders_changed(Session& session, const DidChangeWorkspaceFoldersParams& params) {
  session.documents.change_folders(params.event);
  session.update_workspace();
}

void on_files_changed(Session& session, const DidChangeWatchedFilesParams& params) {
  for (const FileEvent& event : params.changes) {
    session.workspace.file_changed(event.uri);
    session.documents.forget_closed(event.uri);
  }
}

}  // namespace incipit::lsp
