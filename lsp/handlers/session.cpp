#include "lsp/handlers/session.h"

#include <utility>

#include "engine/base/log.h"
#include "lsp/handlers/handlers.h"

namespace incipit::lsp {

Session::Session(ServerOptions given, EngineFactory, JsonRpcConnection& wire, Post to_io)
    : options(std::move(given)), connection(wire), post(std::move(to_io)) {
  register_handlers(dispatcher_);
}

Session::~Session() = default;

std::optional<RpcError> Session::refuse(const std::string& method) const {
  const bool is_initialize = method == method::Initialize::kName;
  switch (phase) {
    case Phase::kUninitialized:
      if (is_initialize) return std::nullopt;
      return RpcError{RpcCode::kServerNotInitialized, method + ": want initialize first"};
    case Phase::kRunning:
      if (!is_initialize) return std::nullopt;
      return RpcError{RpcCode::kInvalidRequest, "initialize: the server is initialized already"};
    case Phase::kShutDown:
    case Phase::kEnded:
      break;
  }
  return RpcError{RpcCode::kInvalidRequest, method + ": the server was shut down"};
}

void Session::handle(IncomingRequest request) {
  if (auto error = refuse(request.method)) {
    request.reply.finish(std::move(*error));
  } else {
    dispatcher_.dispatch(*this, std::move(request));
  }
}

void Session::handle(const IncomingNotification& notification) {
  // Outside of its running time the server hears `exit` alone.
  if (phase == Phase::kRunning || notification.method == method::Exit::kName) {
    dispatcher_.dispatch(*this, notification);
  } else {
    log::warn("{}: ignored, the server is not running", notification.method);
  }
}

void Session::end(const std::string& why) {
  if (ended()) return;
  log::info("server: ends: {}", why);
  phase = Phase::kEnded;
}

void Session::answer_everything() {
  connection.cancel_all({RpcCode::kRequestCancelled, "the server stops"});
}

std::optional<std::chrono::steady_clock::time_point> Session::next_deadline() const {
  return std::nullopt;
}

void Session::on_deadline() {}

void Session::on_idle() {}

}  // namespace incipit::lsp
