// Server: `incipit lsp`. Owns the transport's reader thread, the io loop, and, through its Session,
// documents, settings, the model and what is in flight. run() is the io thread.
//
// Threads: reader (bytes -> frames), io (everything with a document, a request or a reply), loader
// (makes the engine), parent watch, and those of the CompletionPipeline and the Engine, which only
// post. Shutdown order: answer what is pending; close the transport and the queue; cancel loading
// and destroy the pipeline; join parent watch and reader.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "engine/base/cancel_token.h"
#include "engine/base/result.h"
#include "engine/config/engine_options.h"
#include "engine/engine.h"
#include "lsp/rpc/transport.h"

namespace incipit::lsp {

// Makes the engine; tests hand in a fake. Runs on the loader thread; looks at the token when it
// can.
using EngineFactory = std::function<Result<std::unique_ptr<engine::Engine>>(
    const engine::EngineOptions&, const engine::Engine::Progress&, const CancelToken&)>;

struct ServerOptions {
  engine::EngineOptions engine;  // settings may name another model and thread count
  std::optional<std::filesystem::path> settings_file;  // JSON; the client's settings go before it
  // How long a completion that comes before the model is loaded waits for it.
  std::chrono::milliseconds load_wait{10'000};
  std::function<void(int exit_code)> on_stopping;  // optional; io thread, before the parts go down
};

class Server {
 public:
  Server(ServerOptions options, Transport& transport, EngineFactory make_engine);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Serves until `exit`, the end of input, a broken output or the parent's death. Returns the
  // process's exit code: 0 after `shutdown`, else 1. Called on the thread that made the server.
  int run();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The server on stdin and stdout, with the real engine. Returns the process's exit code. Takes
// stdout for itself: whatever else prints there lands on stderr.
int run_stdio_server(const ServerOptions& options);

}  // namespace incipit::lsp
