#include "lsp/handlers/handlers.h"

namespace incipit::lsp {

void register_handlers(Dispatcher<Session>& on) {
  on.quick<method::Initialize>(handle_initialize);
  on.quick<method::Shutdown>(handle_shutdown);
  on.quick<method::CodeActions>(handle_code_actions);
  on.quick<method::IncipitStatus>(handle_status);

  on.started<method::InlineCompletion>(start_inline_completion);
  on.started<method::Completion>(start_completion);
  on.started<method::ExecuteCommand>(start_command);
  on.started<method::HoverText>(start_hover);

  on.notification<method::Initialized>(on_initialized);
  on.notification<method::Exit>(on_exit);
  on.notification<method::DidOpen>(on_did_open);
  on.notification<method::DidChange>(on_did_change);
  on.notification<method::DidMoveCursor>(on_did_move_cursor);
  on.notification<method::DidClose>(on_did_close);
  on.notification<method::DidChangeWorkspaceFolders>(on_folders_changed);
  on.notification<method::DidChangeWatchedFiles>(on_files_changed);
  on.notification<method::DidChangeConfiguration>(on_did_change_configuration);
  on.notification<method::WorkDoneProgressCancel>(on_progress_cancel);
  // $/cancelRequest belongs to the connection.
}

}  // namespace incipit::lsp
