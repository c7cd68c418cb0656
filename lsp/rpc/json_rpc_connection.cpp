#include "lsp/rpc/json_rpc_connection.h"

#include <fmt/core.h>

#include <cmath>
#include <utility>

#include "engine/base/log.h"

namespace incipit::lsp {
namespace {

RpcError invalid_request(std::string message) {
  return {RpcCode::kInvalidRequest, "message: " + std::move(message)};
}

// Beyond it a double, which is what the parser makes of an integer of more than 64 bits, is not the
// number that was sent, and could not be sent back.
constexpr double kLargestExact = 9007199254740992;  // 2^53

bool is_usable_id(const Json& id) {
  if (id.is_number_float()) return std::abs(id.get<double>()) <= kLargestExact;
  return id.is_string() || id.is_number();
}

Json take_member(Json& message, const char* name) {
  const auto found = message.find(name);
  return found == message.end() ? Json() : std::move(*found);
}

std::string found_text(const Json& message, const char* name) {
  const auto found = message.find(name);
  if (found == message.end()) return "nothing";
  if (found->is_string()) return print_json(*found);
  return json_type_name(*found);
}

}  // namespace

JsonRpcConnection::JsonRpcConnection(Write write, OnRequest on_request,
                                     OnNotification on_notification)
    : state_(std::make_shared<State>(State{std::move(write), {}})),
      on_request_(std::move(on_request)),
      on_notification_(std::move(on_notification)) {}

void JsonRpcConnection::State::send(const Json& message) const {
  const std::string body = print_json(message);
  write(fmt::format("Content-Length: {}\r\n\r\n{}", body.size(), body));
}

void JsonRpcConnection::State::send_error(const Json& id, const RpcError& error) const {
  send({{"jsonrpc", "2.0"},
        {"id", id},
        {"error", {{"code", static_cast<int>(error.code)}, {"message", error.message}}}});
}

bool JsonRpcConnection::State::answer(RequestSerial serial, RpcResult<Json> result) {
  const auto entry = tracker.take(serial);
  if (!entry) return false;
  if (const auto* error = std::get_if<RpcError>(&result)) {
    send_error(entry->id, *error);
  } else {
    send({{"jsonrpc", "2.0"}, {"id", entry->id}, {"result", std::move(std::get<Json>(result))}});
  }
  return true;
}

void JsonRpcConnection::State::cancel(const IncomingEntry& entry, const RpcError& error) const {
  entry.cancel.cancel();
  if (entry.on_cancel) entry.on_cancel();
  send_error(entry.id, error);
}

void JsonRpcConnection::receive(std::string body) {
  Result<Json> message = parse_json(std::move(body));
  if (!message) {
    receive_framing_error(message.error().message);
  } else if (message->is_object()) {
    receive_object(std::move(*message));
  } else {
    // LSP has no batches; one answer for the whole array is what JSON-RPC asks of a bad one.
    state_->send_error(nullptr, invalid_request(fmt::format("want an object, found {}",
                                                            json_type_name(*message))));
  }
}

void JsonRpcConnection::receive_framing_error(const std::string& what) {
  // The details may quote the user's text, which no log above debug may hold.
  log::warn("input: something that cannot be read was answered with ParseError");
  log::debug("input: {}", what);
  state_->send_error(nullptr, {RpcCode::kParseError, what});
}

void JsonRpcConnection::receive_object(Json message) {
  const bool has_id = message.contains("id");
  const bool has_method = message.contains("method");
  if (!has_method && (message.contains("result") || message.contains("error"))) {
    return receive_response(message);
  }
  Json id = take_member(message, "id");
  const Json shown_id = is_usable_id(id) ? id : Json();
  std::string problem;
  if (has_id && !is_usable_id(id)) {
    problem = id.is_number()
                  ? "id: want an integer of at most 64 bits, found a larger number"
                  : fmt::format("id: want string or integer, found {}", json_type_name(id));
  } else if (const auto version = message.find("jsonrpc");
             version == message.end() || *version != "2.0") {
    problem = fmt::format("jsonrpc: want \"2.0\", found {}", found_text(message, "jsonrpc"));
  } else if (!has_method || !message["method"].is_string()) {
    problem = fmt::format("method: want string, found {}", found_text(message, "method"));
  }
  if (!problem.empty()) {
    log::warn("input: {}", problem);
    return state_->send_error(shown_id, invalid_request(std::move(problem)));
  }
  auto method = message["method"].get<std::string>();
  Json params = take_member(message, "params");
  if (has_id) return receive_request(id, std::move(method), std::move(params));
  if (method == "$/cancelRequest") return receive_cancel(params);
  on_notification_({std::move(method), std::move(params)});
}

void JsonRpcConnection::receive_request(Json& id, std::string method, Json params) {
  const auto entry = state_->tracker.begin(id, method);
  if (!entry) {
    return state_->send_error(
        id, invalid_request(fmt::format("id: {} is the id of a request that is not answered yet",
                                        print_json(id))));
  }
  const std::weak_ptr<State> weak = state_;
  const RequestSerial serial = entry->serial;
  ReplyHandle reply(method, [weak, serial](RpcResult<Json> result) {
    const auto state = weak.lock();
    return state && state->answer(serial, std::move(result));
  });
  on_request_({std::move(method), std::move(params), serial, entry->cancel, std::move(reply)});
}

void JsonRpcConnection::receive_response(const Json& message) {
  const auto id = message.find("id");
  const auto handler = state_->tracker.take_response(id == message.end() ? Json() : *id);
  if (!handler) {
    return log::warn("input: a response to nothing that was asked: id {}",
                     id == message.end() ? "none" : print_json(*id).substr(0, 40));
  }
  const auto error = message.find("error");
  if (error == message.end() || error->is_null()) {
    const auto result = message.find("result");
    return handler(result == message.end() ? Json() : *result);
  }
  const auto text = error->is_object() ? error->find("message") : error->end();
  handler(RpcError{RpcCode::kRequestFailed,
                   error->is_object() && text != error->end() && text->is_string()
                       ? text->get<std::string>()
                       : print_json(*error)});
}

void JsonRpcConnection::receive_cancel(const Json& params) {
  const auto id = params.is_object() ? params.find("id") : params.end();
  if (!params.is_object() || id == params.end() || !is_usable_id(*id)) {
    return log::warn("$/cancelRequest: params.id: want string or integer");
  }
  const auto entry = state_->tracker.take_id(*id);
  if (!entry) return;  // answered already: a race that the protocol allows
  state_->cancel(*entry, {RpcCode::kRequestCancelled, entry->method + ": cancelled"});
}

void JsonRpcConnection::notify(std::string_view method, Json params) {
  state_->send({{"jsonrpc", "2.0"}, {"method", method}, {"params", std::move(params)}});
}

void JsonRpcConnection::request(std::string_view method, Json params, OnResponse done) {
  const int64_t id = state_->tracker.expect_response(std::move(done));
  state_->send({{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", std::move(params)}});
}

void JsonRpcConnection::on_cancel(RequestSerial serial, std::function<void()> before_answer) {
  if (IncomingEntry* entry = state_->tracker.find(serial)) {
    entry->on_cancel = std::move(before_answer);
  }
}

void JsonRpcConnection::cancel(RequestSerial serial, const RpcError& error) {
  if (const auto entry = state_->tracker.take(serial)) state_->cancel(*entry, error);
}

void JsonRpcConnection::cancel_all(const RpcError& error) {
  for (const IncomingEntry& entry : state_->tracker.take_all()) state_->cancel(entry, error);
}

size_t JsonRpcConnection::n_pending() const {
  return state_->tracker.n_pending();
}

}  // namespace incipit::lsp
