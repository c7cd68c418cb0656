// The protocol on one screen (register_handlers, handlers.cpp): which message goes to which
// function. Handlers turn params into calls and results; they hold no state and no lock.
#pragma once

#include <string>
#include <vector>

#include "lsp/handlers/session.h"
#include "lsp/protocol/methods.h"
#include "lsp/rpc/dispatcher.h"
#include "lsp/rpc/reply.h"

namespace incipit::lsp {

// lifecycle.cpp
RpcResult<InitializeResult> handle_initialize(Session& session, const InitializeParams& params);
RpcResult<Nothing> handle_shutdown(Session& session, const Nothing& params);
void on_initialized(Session& session, const Nothing& params);
void on_exit(Session& session, const Nothing& params);

// text_sync.cpp
void on_did_open(Session& session, const DidOpenParams& params);
void on_did_change(Session& session, const DidChangeParams& params);
void on_did_move_cursor(Session& session, const DidMoveCursorParams& params);
void on_did_close(Session& session, const DidCloseParams& params);
void on_folders_changed(Session& session, const DidChangeWorkspaceFoldersParams& params);
void on_files_changed(Session& session, const DidChangeWatchedFilesParams& params);

// completion.cpp
void start_inline_completion(Session& session, const InlineCompletionParams& params,
                             const Call& call, Reply<InlineCompletionList> reply);
void start_completion(Session& session, const CompletionParams& params, const Call& call,
                      Reply<CompletionList> reply);

// code_actions.cpp
RpcResult<std::vector<Json>> handle_code_actions(Session& session, const CodeActionParams& params);
bool holds_code(std::string_view text, size_t start, size_t end);  // more than blanks

// commands.cpp
void start_command(Session& session, const ExecuteCommandParams& params, const Call& call,
                   Reply<Json> reply);
void on_progress_cancel(Session& session, const WorkDoneProgressCancelParams& params);

// hover.cpp
void start_hover(Session& session, const HoverParams& params, const Call& call, Reply<Json> reply);

// configuration.cpp
void ask_configuration(Session& session);
void on_did_change_configuration(Session& session, const DidChangeConfigurationParams& params);

// status.cpp
RpcResult<Status> handle_status(Session& session, const Nothing& params);

void register_handlers(Dispatcher<Session>& on);

}  // namespace incipit::lsp
