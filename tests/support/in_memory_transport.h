// InMemoryTransport: the two byte streams of a server, in memory. The server reads and writes; the
// test feeds the input and takes the output. Thread-safe.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/bounded_queue.h"
#include "lsp/rpc/transport.h"

namespace incipit::test {

class InMemoryTransport final : public lsp::Transport {
 public:
  // Server's side.
  bool read(std::string& out) override;
  bool write(std::string_view bytes) override;
  void close() override;

  // Test's side.
  void feed(std::string bytes) { input_.push(std::move(bytes)); }
  void end_input() { input_.close(); }
  void break_output() { output_.close(); }
  // Nothing when the deadline passed, or the server is gone and all was taken.
  std::optional<std::string> take(std::chrono::steady_clock::time_point deadline) {
    return output_.pop_until(deadline);
  }

 private:
  BoundedQueue<std::string> input_{1 << 20};
  BoundedQueue<std::string> output_{1 << 20};
};

}  // namespace incipit::test
