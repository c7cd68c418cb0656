// LspClient: an editor for tests, over any pair of byte streams. Sends messages, and waits for the
// ones it wants while keeping the others. Waiting is bounded (kPatience) and then fails the test by
// an exception that tells what had come. Test thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "lsp/rpc/json.h"
#include "lsp/rpc/message_framer.h"

namespace incipit::test {

using lsp::Json;

std::string frame(std::string_view body);

class LspClient {
 public:
  using Clock = std::chrono::steady_clock;
  // Generous: sanitizers on a loaded machine. Nobody waits that long when all is well.
  static constexpr std::chrono::seconds kPatience{120};

  using Send = std::function<void(std::string bytes)>;
  using Take = std::function<std::optional<std::string>(Clock::time_point deadline)>;
  LspClient(Send send, Take take) : send_(std::move(send)), take_(std::move(take)) {}

  void send_bytes(std::string bytes) { send_(std::move(bytes)); }
  void send(const Json& message) { send_(frame(message.dump())); }
  void notify(const std::string& method, const Json& params);
  int64_t start(const std::string& method, const Json& params);  // the request's id
  void respond(const Json& request, const Json& result);

  // The next message of the server, kept ones first.
  Json next();
  Json next_where(const std::function<bool(const Json&)>& wanted);
  Json reply_to(const Json& id);
  Json notification(const std::string& method);
  Json request_of_server(const std::string& method);
  Json call(const std::string& method, const Json& params) {
    return reply_to(start(method, params));
  }

  // Everything until the server's output ends.
  std::deque<Json> drain();

  // initialize and initialized; returns initialize's result.
  Json initialize(const Json& params);

 private:
  std::optional<Json> read_one(Clock::time_point deadline);

  Send send_;
  Take take_;
  lsp::MessageFramer framer_;
  std::deque<Json> kept_;
  int64_t next_id_ = 1;
};

}  // namespace incipit::test
