// initialize, initialized, shutdown, exit.
#include <algorithm>
#include <array>
#include <limits>

#include "engine/base/log.h"
#include "lsp/handlers/code_commands.h"
#include "lsp/handlers/handlers.h"

namespace incipit::lsp {
namespace {

// utf-8 is what the documents are kept in, so it costs nothing; utf-16 is what every client knows.
PositionEncoding negotiate_encoding(const ClientCapabilities& client) {
  if (!client.general || !client.general->positionEncodings) return PositionEncoding::kUtf16;
  const auto& offered = *client.general->positionEncodings;
  for (const auto encoding :
       {PositionEncoding::kUtf8, PositionEncoding::kUtf16, PositionEncoding::kUtf32}) {
    if (std::find(offered.begin(), offered.end(), name_of(encoding)) != offered.end()) {
      return encoding;
    }
  }
  return PositionEncoding::kUtf16;
}

ClientFeatures features_of(const ClientCapabilities& client) {
  ClientFeatures features;
  if (client.textDocument) {
    const auto& document = *client.textDocument;
    features.inline_completion = document.inlineCompletion.has_value();
    features.code_action_literals =
        document.codeAction && document.codeAction->codeActionLiteralSupport.has_value();
    features.disabled_actions =
        document.codeAction && document.codeAction->disabledSupport.value_or(false);
  }
  if (client.workspace) {
    const auto& workspace = *client.workspace;
    features.configuration = workspace.configuration.value_or(false);
    if (workspace.workspaceEdit) {
      const auto& edit = *workspace.workspaceEdit;
      const auto operations = edit.resourceOperations.value_or(std::vector<std::string>());
      // Operations on files travel in documentChanges alone; Neovim names no more than those.
      features.versioned_edits = workspace.applyEdit.value_or(false) &&
                                 (edit.documentChanges.value_or(false) || !operations.empty());
      features.create_files =
          std::find(operations.begin(), operations.end(), "create") != operations.end();
    }
    features.files_register = workspace.didChangeWatchedFiles &&
                              workspace.didChangeWatchedFiles->dynamicRegistration.value_or(false);
    features.configuration_register =
        workspace.didChangeConfiguration &&
        workspace.didChangeConfiguration->dynamicRegistration.value_or(false);
  }
  if (client.experimental) {
    const auto own = read_fields<ExperimentalClientCapabilities>(*client.experimental, "");
    features.asks_instruction =
        own && own->incipit && own->incipit->asksInstruction.value_or(false);
  }
  if (client.window) features.work_done_progress = client.window->workDoneProgress.value_or(false);
  return features;
}

void watch_parent(Session& session, const InitializeParams& params) {
  if (!params.processId) return;
  const int64_t pid = *params.processId;
  if (pid <= 0 || pid > std::numeric_limits<pid_t>::max()) {
    return log::warn("initialize: params.processId: {} is no process id, not watched", pid);
  }
  session.parent_watch = std::make_unique<ParentWatch>(static_cast<pid_t>(pid), [&session] {
    session.post([&session] { session.end("the parent process is gone"); });
    session.abandon_wire();  // io may be stuck in a write that nobody reads
  });
}

void set_folders(Session& session, const InitializeParams& params) {
  if (params.workspaceFolders) {
    session.documents.set_folders(*params.workspaceFolders);
  } else if (params.rootUri) {
    session.documents.set_folders({{*params.rootUri, std::nullopt}});
  }
}

ServerCapabilities offer(const Session& session) {
  ServerCapabilities offered;
  offered.positionEncoding = name_of(session.encoding);
  if (!session.client.inline_completion) {
    offered.completionProvider = CompletionOptionsOffered{{".", "("}};
  }
  auto& kinds = offered.codeActionProvider.codeActionKinds;
  for (const CodeCommand& row : kCodeCommands) {
    offered.executeCommandProvider.commands.emplace_back(row.name);
    if (row.kind.empty()) continue;
    if (std::find(kinds.begin(), kinds.end(), row.kind) == kinds.end())
      kinds.emplace_back(row.kind);
  }
  return offered;
}

void show_loading(Session& session) {
  if (!session.client.work_done_progress) return;
  session.load_progress.allow();
  if (session.model.state() != ModelHost::State::kLoading) return;
  session.load_progress.update(session.model.loading().fraction, session.model.loading().what);
}

void register_for(Session& session, const char* id, std::string_view method, Json options) {
  session.connection.request<method::RegisterCapability>(
      {{Registration{id, std::string(method), std::move(options)}}},
      [method](RpcResult<Json> result) {
        if (const auto* error = std::get_if<RpcError>(&result)) {
          log::info("{}: the client will not send it: {}", method, error->message);
        }
      });
}

void register_for_changes(Session& session) {
  if (session.client.configuration_register) {
    register_for(session, "incipit-configuration", method::DidChangeConfiguration::kName,
                 {{"section", "incipit"}});
  }
  if (session.client.files_register) {
    // Folders too, whose names have no dot: one that is renamed is told of without its files.
    register_for(session, "incipit-files", method::DidChangeWatchedFiles::kName,
                 {{"watchers", Json::array({{{"globPattern", "**/*"}}})}});
  }
}

}  // namespace

RpcResult<InitializeResult> handle_initialize(Session& session, const InitializeParams& params) {
  const ClientCapabilities client = params.capabilities.value_or(ClientCapabilities());
  if (params.clientInfo) {
    log::info("client: {} {}", params.clientInfo->name, params.clientInfo->version.value_or(""));
  }
  session.encoding = negotiate_encoding(client);
  session.client = features_of(client);
  set_folders(session, params);
  watch_parent(session, params);
  // Everything that talks to the user waits until the client has its answer. Each a task of its
  // own: a defect in one costs that one, and the model loads all the same.
  session.post([&session] { session.load_settings_file(); });
  session.post([&session, options = params.initializationOptions] {
    if (options) session.apply_settings(SettingsLayer::kInitialization, *options);
  });
  session.post([&session] { session.follow_settings(); });
  session.phase = Session::Phase::kRunning;
  return InitializeResult{offer(session), {"incipit", INCIPIT_VERSION}};
}

void on_initialized(Session& session, const Nothing&) {
  // Tasks of their own, as in handle_initialize().
  session.post([&session] { show_loading(session); });
  session.post([&session] { register_for_changes(session); });
  session.post([&session] {
    if (session.client.configuration) ask_configuration(session);
  });
}

RpcResult<Nothing> handle_shutdown(Session& session, const Nothing&) {
  session.phase = Session::Phase::kShutDown;
  session.shutdown_seen = true;
  session.completions.cancel_all();
  session.explanations.cancel_all();
  session.hovers.cancel_all();
  session.model.stop_loading();
  return Nothing{};
}

void on_exit(Session& session, const Nothing&) {
  session.end("exit");
}

}  // namespace incipit::lsp
