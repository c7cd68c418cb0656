// textDocument/codeAction and workspace/executeCommand: "Explain selection".
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lsp/protocol/basic.h"

namespace incipit::lsp {

struct CodeActionContext {
  std::optional<std::vector<std::string>> only;
};
template <class V>
void visit_fields(V& v, CodeActionContext& c) {
  v("only", c.only);
}

struct CodeActionParams {
  TextDocumentIdentifier textDocument;
  Range range;
  std::optional<CodeActionContext> context;
};
template <class V>
void visit_fields(V& v, CodeActionParams& p) {
  v("textDocument", p.textDocument);
  v("range", p.range);
  v("context", p.context);
}

struct CodeAction {
  std::string title;
  std::string kind;
  Command command;
};
template <class V>
void visit_fields(V& v, CodeAction& a) {
  v("title", a.title);
  v("kind", a.kind);
  v("command", a.command);
}

struct ExecuteCommandParams {
  std::string command;
  std::optional<std::vector<Json>> arguments;
  std::optional<ProgressToken> workDoneToken;
};
template <class V>
void visit_fields(V& v, ExecuteCommandParams& p) {
  v("command", p.command);
  v("arguments", p.arguments);
  v("workDoneToken", p.workDoneToken);
}

}  // namespace incipit::lsp
