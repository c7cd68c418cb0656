#include "tests/support/lsp_client.h"

#include <fmt/core.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace incipit::test {

std::string frame(std::string_view body) {
  return fmt::format("Content-Length: {}\r\n\r\n{}", body.size(), body);
}

void LspClient::notify(const std::string& method, const Json& params) {
  send({{"jsonrpc", "2.0"}, {"method", method}, {"params", params}});
}

int64_t LspClient::start(const std::string& method, const Json& params) {
  const int64_t id = next_id_++;
  send({{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", params}});
  return id;
}

void LspClient::respond(const Json& request, const Json& result) {
  send({{"jsonrpc", "2.0"}, {"id", request.at("id")}, {"result", result}});
}

std::optional<Json> LspClient::read_one(Clock::time_point deadline) {
  while (true) {
    if (const auto found = framer_.next()) {
      if (found->kind == lsp::Frame::Kind::kError) {
        throw std::runtime_error("the server's output: " + found->text);
      }
      return Json::parse(found->text);
    }
    const auto bytes = take_(deadline);
    if (!bytes) return std::nullopt;
    framer_.feed(*bytes);
  }
}

Json LspClient::next() {
  return next_where([](const Json&) { return true; });
}

Json LspClient::next_where(const std::function<bool(const Json&)>& wanted) {
  const auto found = std::find_if(kept_.begin(), kept_.end(), wanted);
  if (found != kept_.end()) {
    Json message = std::move(*found);
    kept_.erase(found);
    return message;
  }
  const auto deadline = Clock::now() + kPatience;
  while (auto message = read_one(deadline)) {
    if (wanted(*message)) return std::move(*message);
    kept_.push_back(std::move(*message));
  }
  std::string came;
  for (const Json& message : kept_) came += "\n  " + message.dump();
  throw std::runtime_error("the message waited for did not come; others were:" + came);
}

Json LspClient::reply_to(const Json& id) {
  return next_where([&](const Json& message) {
    return !message.contains("method") && message.contains("id") && message["id"] == id;
  });
}

Json LspClient::notification(const std::string& method) {
  return next_where([&](const Json& message) {
    return !message.contains("id") && message.value("method", "") == method;
  });
}

Json LspClient::request_of_server(const std::string& method) {
  return next_where([&](const Json& message) {
    return message.contains("id") && message.value("method", "") == method;
  });
}

std::deque<Json> LspClient::drain() {
  std::deque<Json> messages = std::exchange(kept_, {});
  const auto deadline = Clock::now() + kPatience;
  while (auto message = read_one(deadline)) messages.push_back(std::move(*message));
  return messages;
}

Json LspClient::initialize(const Json& params) {
  Json reply = call("initialize", params);
  notify("initialized", Json::object());
  if (!reply.contains("result")) throw std::runtime_error("initialize: " + reply.dump());
  return reply["result"];
}

}  // namespace incipit::test
