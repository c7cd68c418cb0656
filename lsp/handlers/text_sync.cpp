// didOpen, didChange, didClose, incipit/didMoveCursor, and the folders of the workspace.
#include "lsp/handlers/handlers.h"

namespace incipit::lsp {

void on_did_open(Session& session, const DidOpenParams& params) {
  session.warm_later(*session.documents.open(params.textDocument));
}

void on_did_change(Session& session, const DidChangeParams& params) {
  const Document* document = session.documents.change(params, session.encoding);
  if (!document) return;
  session.completions.document_changed(*document);
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
  if (!session.documents.close(params.textDocument.uri)) return;
  session.completions.document_closed(uri);
  if (session.model.pipeline()) session.model.pipeline()->forget(uri);
}

void on_folders_changed(Session& session, const DidChangeWorkspaceFoldersParams& params) {
  session.documents.change_folders(params.event);
}

}  // namespace incipit::lsp
