// Dispatcher: the table method -> handler. A row names the message by its tag (protocol/methods.h);
// the dispatcher reads the params, so that a handler sees no JSON, and answers InvalidParams with
// the path of what is wrong. Io thread only.
//
//   on.quick<method::Status>(handle_status);             // RpcResult<R> f(S&, const P&)
//   on.started<method::InlineCompletion>(start_inline);  // void f(S&, const P&, Call, Reply<R>)
//   on.notification<method::DidOpen>(did_open);          // void f(S&, const P&)
#pragma once

#include <fmt/core.h>

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "engine/base/log.h"
#include "lsp/protocol/json_fields.h"
#include "lsp/rpc/json_rpc_connection.h"
#include "lsp/rpc/reply.h"

namespace incipit::lsp {

// What a long-running handler gets besides its params.
struct Call {
  RequestSerial serial{};
  CancelToken cancel;
};

template <class Session>
class Dispatcher {
 public:
  template <class Method, class Handler>
  void quick(Handler handler) {
    requests_[std::string(Method::kName)] = [handler](Session& session, IncomingRequest request) {
      Reply<typename Method::Result> reply(std::move(request.reply));
      auto params = read_fields<typename Method::Params>(request.params, "params");
      if (!params) return reply.fail({RpcCode::kInvalidParams, params.error().message});
      reply.finish(handler(session, *params));
    };
  }

  template <class Method, class Handler>
  void started(Handler handler) {
    requests_[std::string(Method::kName)] = [handler](Session& session, IncomingRequest request) {
      Reply<typename Method::Result> reply(std::move(request.reply));
      auto params = read_fields<typename Method::Params>(request.params, "params");
      if (!params) return reply.fail({RpcCode::kInvalidParams, params.error().message});
      handler(session, *params, Call{request.serial, request.cancel}, std::move(reply));
    };
  }

  template <class Method, class Handler>
  void notification(Handler handler) {
    notifications_[std::string(Method::kName)] = [handler](Session& session, const Json& given) {
      auto params = read_fields<typename Method::Params>(given, "params");
      if (!params) return log::error("{}: {}", Method::kName, params.error().message);
      handler(session, *params);
    };
  }

  void dispatch(Session& session, IncomingRequest request) const {
    const auto row = requests_.find(request.method);
    if (row != requests_.end()) return row->second(session, std::move(request));
    request.reply.finish(
        RpcError{RpcCode::kMethodNotFound,
                 fmt::format("{}: this server has no such request", request.method)});
  }

  void dispatch(Session& session, const IncomingNotification& notification) const {
    const auto row = notifications_.find(notification.method);
    if (row != notifications_.end()) return row->second(session, notification.params);
    log::debug("{}: not a notification of interest", notification.method);
  }

 private:
  std::map<std::string, std::function<void(Session&, IncomingRequest)>, std::less<>> requests_;
  std::map<std::string, std::function<void(Session&, const Json&)>, std::less<>> notifications_;
};

}  // namespace incipit::lsp
