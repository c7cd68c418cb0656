// Session: everything that one client's connection needs, and its lifecycle. The handlers are free
// functions on it. Io thread only; other threads reach it through `post`.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "lsp/document/position_encoding.h"
#include "lsp/rpc/dispatcher.h"
#include "lsp/rpc/json_rpc_connection.h"
#include "lsp/rpc/parent_watch.h"
#include "lsp/server.h"

namespace incipit::lsp {

using Post = std::function<void(std::function<void()>)>;

class Session {
 public:
  Session(ServerOptions options, EngineFactory make_engine, JsonRpcConnection& connection,
          Post post);
  ~Session();

  void handle(IncomingRequest request);
  void handle(const IncomingNotification& notification);

  void end(const std::string& why);
  bool ended() const { return phase == Phase::kEnded; }
  int exit_code() const { return shutdown_seen ? 0 : 1; }
  void answer_everything();

  std::optional<std::chrono::steady_clock::time_point> next_deadline() const;
  void on_deadline();
  void on_idle();

  enum class Phase { kUninitialized, kRunning, kShutDown, kEnded };
  Phase phase = Phase::kUninitialized;
  bool shutdown_seen = false;

  const ServerOptions options;
  JsonRpcConnection& connection;
  const Post post;
  PositionEncoding encoding = PositionEncoding::kUtf16;
  std::unique_ptr<ParentWatch> parent_watch;

 private:
  std::optional<RpcError> refuse(const std::string& method) const;

  Dispatcher<Session> dispatcher_;
};

}  // namespace incipit::lsp
