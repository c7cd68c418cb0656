// textDocument/codeAction, workspace/executeCommand, textDocument/hover: what is asked about code.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lsp/protocol/basic.h"

namespace incipit::lsp {

struct Diagnostic {
  Range range;
  std::string message;
};
template <class V>
void visit_fields(V& v, Diagnostic& d) {
  v("range", d.range);
  v("message", d.message);
}

enum class CodeActionTrigger { kInvoked = 1, kAutomatic = 2 };

struct CodeActionContext {
  std::optional<std::vector<std::string>> only;
  std::optional<std::vector<Json>> diagnostics;  // as they came: they are sent back
  std::optional<int32_t> triggerKind;
};
template <class V>
void visit_fields(V& v, CodeActionContext& c) {
  v("only", c.only);
  v("diagnostics", c.diagnostics);
  v("triggerKind", c.triggerKind);
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

struct DisabledAction {
  std::string reason;
};
template <class V>
void visit_fields(V& v, DisabledAction& d) {
  v("reason", d.reason);
}

struct CodeAction {
  std::string title;
  std::string kind;
  Command command;
  std::optional<std::vector<Json>> diagnostics;
  std::optional<DisabledAction> disabled;
};
template <class V>
void visit_fields(V& v, CodeAction& a) {
  v("title", a.title);
  v("kind", a.kind);
  v("command", a.command);
  v("diagnostics", a.diagnostics);
  v("disabled", a.disabled);
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

struct HoverParams {
  TextDocumentIdentifier textDocument;
  Position position;
};
template <class V>
void visit_fields(V& v, HoverParams& p) {
  v("textDocument", p.textDocument);
  v("position", p.position);
}

struct MarkupContent {
  std::string kind = "plaintext";
  std::string value;
};
template <class V>
void visit_fields(V& v, MarkupContent& m) {
  v("kind", m.kind);
  v("value", m.value);
}

struct Hover {
  MarkupContent contents;
};
template <class V>
void visit_fields(V& v, Hover& h) {
  v("contents", h.contents);
}

}  // namespace incipit::lsp
