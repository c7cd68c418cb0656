// Method tags: the name on the wire, what comes, what goes back. A handler is bound to a tag.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lsp/protocol/code_action.h"
#include "lsp/protocol/extensions.h"
#include "lsp/protocol/inline_completion.h"
#include "lsp/protocol/lifecycle.h"
#include "lsp/protocol/text_sync.h"
#include "lsp/protocol/window.h"
#include "lsp/protocol/workspace_edit.h"

namespace incipit::lsp::method {

// Requests of the client.
struct Initialize {
  static constexpr std::string_view kName = "initialize";
  using Params = InitializeParams;
  using Result = InitializeResult;
};
struct Shutdown {
  static constexpr std::string_view kName = "shutdown";
  using Params = Nothing;
  using Result = Nothing;
};
struct InlineCompletion {
  static constexpr std::string_view kName = "textDocument/inlineCompletion";
  using Params = InlineCompletionParams;
  using Result = InlineCompletionList;
};
struct Completion {
  static constexpr std::string_view kName = "textDocument/completion";
  using Params = CompletionParams;
  using Result = CompletionList;
};
struct CodeActions {
  static constexpr std::string_view kName = "textDocument/codeAction";
  using Params = CodeActionParams;
  using Result = std::vector<Json>;  // CodeAction, or Command for clients without literals
};
struct ExecuteCommand {
  static constexpr std::string_view kName = "workspace/executeCommand";
  using Params = ExecuteCommandParams;
  using Result = Json;  // the explanation, an EditCommandResult or a ChatResult
};
struct HoverText {
  static constexpr std::string_view kName = "textDocument/hover";
  using Params = HoverParams;
  using Result = Json;  // Hover or null
};
struct IncipitStatus {
  static constexpr std::string_view kName = "incipit/status";
  using Params = Nothing;
  using Result = Status;
};

// Notifications of the client.
struct Initialized {
  static constexpr std::string_view kName = "initialized";
  using Params = Nothing;
};
struct Exit {
  static constexpr std::string_view kName = "exit";
  using Params = Nothing;
};
struct DidOpen {
  static constexpr std::string_view kName = "textDocument/didOpen";
  using Params = DidOpenParams;
};
struct DidChange {
  static constexpr std::string_view kName = "textDocument/didChange";
  using Params = DidChangeParams;
};
struct DidMoveCursor {
  static constexpr std::string_view kName = "incipit/didMoveCursor";
  using Params = DidMoveCursorParams;
};
struct DidClose {
  static constexpr std::string_view kName = "textDocument/didClose";
  using Params = DidCloseParams;
};
struct DidChangeConfiguration {
  static constexpr std::string_view kName = "workspace/didChangeConfiguration";
  using Params = DidChangeConfigurationParams;
};
struct DidChangeWorkspaceFolders {
  static constexpr std::string_view kName = "workspace/didChangeWorkspaceFolders";
  using Params = DidChangeWorkspaceFoldersParams;
};
struct DidChangeWatchedFiles {
  static constexpr std::string_view kName = "workspace/didChangeWatchedFiles";
  using Params = DidChangeWatchedFilesParams;
};
struct WorkDoneProgressCancel {
  static constexpr std::string_view kName = "window/workDoneProgress/cancel";
  using Params = WorkDoneProgressCancelParams;
};

// What the server sends.
struct ShowMessage {
  static constexpr std::string_view kName = "window/showMessage";
  using Params = ShowMessageParams;
};
struct Progress {
  static constexpr std::string_view kName = "$/progress";
  using Params = ProgressParams;
};
struct WorkDoneProgressCreate {
  static constexpr std::string_view kName = "window/workDoneProgress/create";
  using Params = WorkDoneProgressCreateParams;
};
struct Configuration {
  static constexpr std::string_view kName = "workspace/configuration";
  using Params = ConfigurationParams;
};
struct ApplyEdit {
  static constexpr std::string_view kName = "workspace/applyEdit";
  using Params = ApplyWorkspaceEditParams;
};
struct RegisterCapability {
  static constexpr std::string_view kName = "client/registerCapability";
  using Params = RegistrationParams;
};

}  // namespace incipit::lsp::method
