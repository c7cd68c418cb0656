// initialize, and of the client's capabilities those that change what the server does.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lsp/protocol/basic.h"

namespace incipit::lsp {

struct WorkspaceFolder {
  std::string uri;
  std::optional<std::string> name;
};
template <class V>
void visit_fields(V& v, WorkspaceFolder& f) {
  v("uri", f.uri);
  v("name", f.name);
}

struct DynamicRegistration {
  std::optional<bool> dynamicRegistration;
};
template <class V>
void visit_fields(V& v, DynamicRegistration& d) {
  v("dynamicRegistration", d.dynamicRegistration);
}

struct CodeActionClientCapabilities {
  std::optional<Json> codeActionLiteralSupport;
  std::optional<bool> disabledSupport;
};
template <class V>
void visit_fields(V& v, CodeActionClientCapabilities& c) {
  v("codeActionLiteralSupport", c.codeActionLiteralSupport);
  v("disabledSupport", c.disabledSupport);
}

struct TextDocumentClientCapabilities {
  std::optional<DynamicRegistration> inlineCompletion;
  std::optional<CodeActionClientCapabilities> codeAction;
};
template <class V>
void visit_fields(V& v, TextDocumentClientCapabilities& c) {
  v("inlineCompletion", c.inlineCompletion);
  v("codeAction", c.codeAction);
}

struct WorkspaceEditClientCapabilities {
  std::optional<bool> documentChanges;
  std::optional<std::vector<std::string>> resourceOperations;
};
template <class V>
void visit_fields(V& v, WorkspaceEditClientCapabilities& c) {
  v("documentChanges", c.documentChanges);
  v("resourceOperations", c.resourceOperations);
}

struct WorkspaceClientCapabilities {
  std::optional<bool> applyEdit;
  std::optional<WorkspaceEditClientCapabilities> workspaceEdit;
  std::optional<bool> configuration;
  std::optional<DynamicRegistration> didChangeConfiguration;
  std::optional<DynamicRegistration> didChangeWatchedFiles;
};
template <class V>
void visit_fields(V& v, WorkspaceClientCapabilities& c) {
  v("applyEdit", c.applyEdit);
  v("workspaceEdit", c.workspaceEdit);
  v("configuration", c.configuration);
  v("didChangeConfiguration", c.didChangeConfiguration);
  v("didChangeWatchedFiles", c.didChangeWatchedFiles);
}

struct WindowClientCapabilities {
  std::optional<bool> workDoneProgress;
};
template <class V>
void visit_fields(V& v, WindowClientCapabilities& c) {
  v("workDoneProgress", c.workDoneProgress);
}

struct GeneralClientCapabilities {
  std::optional<std::vector<std::string>> positionEncodings;
};
template <class V>
void visit_fields(V& v, GeneralClientCapabilities& c) {
  v("positionEncodings", c.positionEncodings);
}

// Ours, for clients that know us.
struct IncipitClientCapabilities {
  std::optional<bool> asksInstruction;
};
template <class V>
void visit_fields(V& v, IncipitClientCapabilities& c) {
  v("asksInstruction", c.asksInstruction);
}

struct ExperimentalClientCapabilities {
  std::optional<IncipitClientCapabilities> incipit;
};
template <class V>
void visit_fields(V& v, ExperimentalClientCapabilities& c) {
  v("incipit", c.incipit);
}

struct ClientCapabilities {
  std::optional<TextDocumentClientCapabilities> textDocument;
  std::optional<WorkspaceClientCapabilities> workspace;
  std::optional<WindowClientCapabilities> window;
  std::optional<GeneralClientCapabilities> general;
  std::optional<Json> experimental;  // anything; ours are read where they are well-formed
};
template <class V>
void visit_fields(V& v, ClientCapabilities& c) {
  v("textDocument", c.textDocument);
  v("workspace", c.workspace);
  v("window", c.window);
  v("general", c.general);
  v("experimental", c.experimental);
}

struct ClientInfo {
  std::string name;
  std::optional<std::string> version;
};
template <class V>
void visit_fields(V& v, ClientInfo& c) {
  v("name", c.name);
  v("version", c.version);
}

struct InitializeParams {
  std::optional<int64_t> processId;
  std::optional<ClientInfo> clientInfo;
  std::optional<std::string> rootUri;
  std::optional<std::vector<WorkspaceFolder>> workspaceFolders;
  std::optional<Json> initializationOptions;
  std::optional<ClientCapabilities> capabilities;  // required by the specification, not by us
};
template <class V>
void visit_fields(V& v, InitializeParams& p) {
  v("processId", p.processId);
  v("clientInfo", p.clientInfo);
  v("rootUri", p.rootUri);
  v("workspaceFolders", p.workspaceFolders);
  v("initializationOptions", p.initializationOptions);
  v("capabilities", p.capabilities);
}

enum class TextDocumentSyncKind { kNone = 0, kFull = 1, kIncremental = 2 };

struct TextDocumentSyncOptions {
  bool openClose = true;
  int32_t change = static_cast<int32_t>(TextDocumentSyncKind::kIncremental);
};
template <class V>
void visit_fields(V& v, TextDocumentSyncOptions& o) {
  v("openClose", o.openClose);
  v("change", o.change);
}

struct CompletionOptionsOffered {
  std::vector<std::string> triggerCharacters;
};
template <class V>
void visit_fields(V& v, CompletionOptionsOffered& o) {
  v("triggerCharacters", o.triggerCharacters);
}

struct CodeActionOptions {
  std::vector<std::string> codeActionKinds;
};
template <class V>
void visit_fields(V& v, CodeActionOptions& o) {
  v("codeActionKinds", o.codeActionKinds);
}

struct ExecuteCommandOptions {
  std::vector<std::string> commands;
  bool workDoneProgress = true;
};
template <class V>
void visit_fields(V& v, ExecuteCommandOptions& o) {
  v("commands", o.commands);
  v("workDoneProgress", o.workDoneProgress);
}

struct WorkspaceFoldersServerCapabilities {
  bool supported = true;
  bool changeNotifications = true;
};
template <class V>
void visit_fields(V& v, WorkspaceFoldersServerCapabilities& c) {
  v("supported", c.supported);
  v("changeNotifications", c.changeNotifications);
}

struct WorkspaceServerCapabilities {
  WorkspaceFoldersServerCapabilities workspaceFolders;
};
template <class V>
void visit_fields(V& v, WorkspaceServerCapabilities& c) {
  v("workspaceFolders", c.workspaceFolders);
}

struct ServerCapabilities {
  std::string positionEncoding;
  TextDocumentSyncOptions textDocumentSync;
  bool inlineCompletionProvider = true;
  bool hoverProvider = true;
  std::optional<CompletionOptionsOffered> completionProvider;
  CodeActionOptions codeActionProvider;
  ExecuteCommandOptions executeCommandProvider;
  WorkspaceServerCapabilities workspace;
};
template <class V>
void visit_fields(V& v, ServerCapabilities& c) {
  v("positionEncoding", c.positionEncoding);
  v("textDocumentSync", c.textDocumentSync);
  v("inlineCompletionProvider", c.inlineCompletionProvider);
  v("hoverProvider", c.hoverProvider);
  v("completionProvider", c.completionProvider);
  v("codeActionProvider", c.codeActionProvider);
  v("executeCommandProvider", c.executeCommandProvider);
  v("workspace", c.workspace);
}

struct InitializeResult {
  ServerCapabilities capabilities;
  ClientInfo serverInfo;
};
template <class V>
void visit_fields(V& v, InitializeResult& r) {
  v("capabilities", r.capabilities);
  v("serverInfo", r.serverInfo);
}

struct WorkspaceFoldersChangeEvent {
  std::vector<WorkspaceFolder> added;
  std::vector<WorkspaceFolder> removed;
};
template <class V>
void visit_fields(V& v, WorkspaceFoldersChangeEvent& e) {
  v("added", e.added);
  v("removed", e.removed);
}

// What became of a file does not matter here: it is looked at again.
struct FileEvent {
  std::string uri;
};
template <class V>
void visit_fields(V& v, FileEvent& e) {
  v("uri", e.uri);
}

struct DidChangeWatchedFilesParams {
  std::vector<FileEvent> changes;
};
template <class V>
void visit_fields(V& v, DidChangeWatchedFilesParams& p) {
  v("changes", p.changes);
}

struct DidChangeWorkspaceFoldersParams {
  WorkspaceFoldersChangeEvent event;
};
template <class V>
void visit_fields(V& v, DidChangeWorkspaceFoldersParams& p) {
  v("event", p.event);
}

}  // namespace incipit::lsp
