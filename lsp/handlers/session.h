// Session: everything that one client's connection needs, and its lifecycle. The handlers are free
// functions on it. Io thread only; other threads reach it through `post`.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "lsp/document/document_store.h"
#include "lsp/handlers/client_features.h"
#include "lsp/handlers/completion_service.h"
#include "lsp/handlers/explain_service.h"
#include "lsp/handlers/hover_service.h"
#include "lsp/handlers/load_progress.h"
#include "lsp/handlers/model_host.h"
#include "lsp/handlers/workspace_service.h"
#include "lsp/protocol/methods.h"
#include "lsp/rpc/dispatcher.h"
#include "lsp/rpc/json_rpc_connection.h"
#include "lsp/rpc/parent_watch.h"
#include "lsp/server.h"
#include "lsp/settings.h"

namespace incipit::lsp {

class Session {
 public:
  // `abandon_wire` may be called on any thread: nobody listens any more.
  Session(ServerOptions options, EngineFactory make_engine, JsonRpcConnection& connection,
          Post post, std::function<void()> abandon_wire);

  void handle(IncomingRequest request);
  void handle(const IncomingNotification& notification);

  void end(const std::string& why);
  bool ended() const { return phase == Phase::kEnded; }
  int exit_code() const { return shutdown_seen ? 0 : 1; }
  void answer_everything();

  std::optional<std::chrono::steady_clock::time_point> next_deadline() const;
  void on_deadline();
  void on_idle();  // nothing else to do: reads ahead where the user types

  void show_message(MessageType type, const std::string& text) const;
  void apply_settings(SettingsLayer layer, const Json& given);
  void load_settings_file();
  void follow_settings();   // they may have changed
  void update_workspace();  // so may the folders
  // The cursor is probably there: what a request would need is read ahead, once there is nothing
  // else to do. The newest call counts.
  void warm_later(const Document& document, size_t offset) {
    warm_ = WarmPlace{document.uri(), offset};
  }
  void warm_later(const Document& document) { warm_later(document, document.edit_offset()); }

  enum class Phase { kUninitialized, kRunning, kShutDown, kEnded };
  Phase phase = Phase::kUninitialized;
  bool shutdown_seen = false;

  const ServerOptions options;
  JsonRpcConnection& connection;
  const Post post;
  const std::function<void()> abandon_wire;

  ClientFeatures client;
  PositionEncoding encoding = PositionEncoding::kUtf16;
  DocumentStore documents;
  SettingsStack settings;
  LoadProgress load_progress;
  WorkspaceService workspace;
  ModelHost model;  // before the services: they refer to it
  CompletionService completions;
  ExplainService explanations;
  HoverService hovers;
  std::unique_ptr<ParentWatch> parent_watch;

 private:
  std::optional<RpcError> refuse(const std::string& method) const;
  void load_model();
  void model_changed();
  void device_failed(const engine::DeviceStatus& device);

  Dispatcher<Session> dispatcher_;
  struct WarmPlace {
    std::string uri;
    size_t offset = 0;
  };
  std::optional<WarmPlace> warm_;
  // About settings, by layer. A client gives them several times over; each complaint is told once.
  std::array<std::set<std::string>, 4> complaints_;
};

}  // namespace incipit::lsp
