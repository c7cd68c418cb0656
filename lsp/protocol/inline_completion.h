// textDocument/inlineCompletion (LSP 3.18), and textDocument/completion for clients without it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lsp/protocol/basic.h"

namespace incipit::lsp {

struct SelectedCompletionInfo {
  Range range;
  std::string text;
};
template <class V>
void visit_fields(V& v, SelectedCompletionInfo& s) {
  v("range", s.range);
  v("text", s.text);
}

// 1: asked for by hand; 2: by typing. Drafts before December 2023 counted from 0.
constexpr int32_t kTriggerAutomatic = 2;

struct InlineCompletionContext {
  std::optional<int32_t> triggerKind;
  std::optional<SelectedCompletionInfo> selectedCompletionInfo;
};
template <class V>
void visit_fields(V& v, InlineCompletionContext& c) {
  v("triggerKind", c.triggerKind);
  v("selectedCompletionInfo", c.selectedCompletionInfo);
}

struct InlineCompletionParams {
  TextDocumentIdentifier textDocument;
  Position position;
  std::optional<InlineCompletionContext> context;
};
template <class V>
void visit_fields(V& v, InlineCompletionParams& p) {
  v("textDocument", p.textDocument);
  v("position", p.position);
  v("context", p.context);
}

struct InlineCompletionItem {
  std::string insertText;
  Range range;
};
template <class V>
void visit_fields(V& v, InlineCompletionItem& i) {
  v("insertText", i.insertText);
  v("range", i.range);
}

struct InlineCompletionList {
  std::vector<InlineCompletionItem> items;
};
template <class V>
void visit_fields(V& v, InlineCompletionList& l) {
  v("items", l.items);
}

struct CompletionParams {
  TextDocumentIdentifier textDocument;
  Position position;
};
template <class V>
void visit_fields(V& v, CompletionParams& p) {
  v("textDocument", p.textDocument);
  v("position", p.position);
}

struct ListedCompletion {
  std::string label;
  int32_t kind = 1;  // CompletionItemKind.Text
  std::string detail = "incipit";
  std::string documentation;
  bool preselect = true;
  std::string filterText;
  int32_t insertTextFormat = 1;  // PlainText: what a model writes is never a snippet
  TextEdit textEdit;
};
template <class V>
void visit_fields(V& v, ListedCompletion& i) {
  v("label", i.label);
  v("kind", i.kind);
  v("detail", i.detail);
  v("documentation", i.documentation);
  v("preselect", i.preselect);
  v("filterText", i.filterText);
  v("insertTextFormat", i.insertTextFormat);
  v("textEdit", i.textEdit);
}

struct CompletionList {
  bool isIncomplete = true;  // ask again after the next keystroke
  std::vector<ListedCompletion> items;
};
template <class V>
void visit_fields(V& v, CompletionList& l) {
  v("isIncomplete", l.isIncomplete);
  v("items", l.items);
}

}  // namespace incipit::lsp
