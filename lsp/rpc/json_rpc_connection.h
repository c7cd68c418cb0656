// JsonRpcConnection: messages, ids, errors and cancellation of JSON-RPC 2.0 as LSP uses it; knows
// no method but `$/cancelRequest`. Io thread only. Everything it sends goes through `write`, one
// whole frame a call.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/cancel_token.h"
#include "lsp/rpc/json.h"
#include "lsp/rpc/reply.h"
#include "lsp/rpc/request_tracker.h"
#include "lsp/rpc/rpc_error.h"

namespace incipit::lsp {

struct IncomingRequest {
  std::string method;
  Json params;  // null when absent
  RequestSerial serial{};
  CancelToken cancel;
  ReplyHandle reply;
};

struct IncomingNotification {
  std::string method;
  Json params;
};

class JsonRpcConnection {
 public:
  using Write = std::function<void(std::string_view frame)>;
  using OnRequest = std::function<void(IncomingRequest)>;
  using OnNotification = std::function<void(IncomingNotification)>;
  using OnResponse = RequestTracker::ResponseHandler;

  JsonRpcConnection(Write write, OnRequest on_request, OnNotification on_notification);

  void receive(std::string body);
  void receive_framing_error(const std::string& what);  // answered with ParseError, id null

  void notify(std::string_view method, Json params);
  template <class Method>
  void notify(const typename Method::Params& params) {
    notify(Method::kName, write_fields(params));
  }

  // `done` is dropped unrun when the connection ends first.
  void request(std::string_view method, Json params, OnResponse done);
  template <class Method>
  void request(const typename Method::Params& params, OnResponse done) {
    request(Method::kName, write_fields(params), std::move(done));
  }

  // Cancelling a request sets its CancelToken, runs what on_cancel() left here, and answers it with
  // `error`. Nothing happens when it is answered already.
  void on_cancel(RequestSerial serial, std::function<void()> before_answer);
  void cancel(RequestSerial serial, const RpcError& error);
  void cancel_all(const RpcError& error);
  size_t n_pending() const;

 private:
  struct State {
    Write write;
    RequestTracker tracker;
    void send(const Json& message) const;
    void send_error(const Json& id, const RpcError& error) const;
    bool answer(RequestSerial serial, RpcResult<Json> result);
    void cancel(const IncomingEntry& entry, const RpcError& error) const;
  };

  void receive_object(Json message);
  void receive_request(Json& id, std::string method, Json params);
  void receive_response(const Json& message);
  void receive_cancel(const Json& params);

  std::shared_ptr<State> state_;  // ReplyHandles hold it weakly: a late one finds nobody
  OnRequest on_request_;
  OnNotification on_notification_;
};

}  // namespace incipit::lsp
