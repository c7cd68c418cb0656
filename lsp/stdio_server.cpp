// Apart from server.cpp, so that tests with a fake engine do not link the real one.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "engine/base/bounded_queue.h"
#include "engine/base/log.h"
#include "lsp/rpc/stdio_transport.h"
#include "lsp/server.h"

namespace incipit::lsp {
namespace {

// Longer than a step of the engine or reading a shard takes; an editor that quits should not wait
// for the packing of a big model.
constexpr std::chrono::seconds kStopLimit{5};

// Ends the process when taking the server down takes longer than kStopLimit.
class StopGuard {
 public:
  void start(int exit_code) {
    thread_ = std::thread([this, exit_code] {
      if (done_.pop_until(std::chrono::steady_clock::now() + kStopLimit)) return;
      log::warn("server: stopping takes longer than {} s, gives up waiting", kStopLimit.count());
      std::_Exit(exit_code);
    });
  }
  ~StopGuard() {
    done_.push(true);
    if (thread_.joinable()) thread_.join();
  }

 private:
  BoundedQueue<bool> done_{1};
  std::thread thread_;
};

}  // namespace

int run_stdio_server(const ServerOptions& options) {
  // A closed pipe is an error of write(), not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  StopGuard guard;
  ServerOptions guarded = options;
  guarded.on_stopping = [&guard](int exit_code) { guard.start(exit_code); };
  StdioTransport transport;
  Server server(std::move(guarded), transport, &engine::Engine::create);
  return server.run();
}

}  // namespace incipit::lsp
