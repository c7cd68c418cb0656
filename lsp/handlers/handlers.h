// The protocol on one screen: which message goes to which function. Handlers turn params into calls
// and results; they hold no state and no lock.
#pragma once

#include "lsp/handlers/session.h"
#include "lsp/protocol/methods.h"
#include "lsp/rpc/dispatcher.h"
#include "lsp/rpc/reply.h"

namespace incipit::lsp {

// lifecycle.cpp
RpcResult<InitializeResult> handle_initialize(Session& session, const InitializeParams& params);
RpcResult<Nothing> handle_shutdown(Session& session, const Nothing& params);
void on_exit(Session& session, const Nothing& params);

void register_handlers(Dispatcher<Session>& on);

}  // namespace incipit::lsp
