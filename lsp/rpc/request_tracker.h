// RequestTracker: the one owner of request ids, both ways. Incoming requests have an entry from
// arrival to answer; whoever takes the entry sends the answer, so there is exactly one. Outgoing
// requests wait here for their response. Io thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/cancel_token.h"
#include "lsp/rpc/json.h"
#include "lsp/rpc/rpc_error.h"

namespace incipit::lsp {

// Names one incoming request for its whole life; never reused, unlike the client's ids.
enum class RequestSerial : int64_t {};

struct IncomingEntry {
  RequestSerial serial{};
  Json id;
  std::string method;
  CancelToken cancel;
  std::function<void()> on_cancel;  // optional
};

class RequestTracker {
 public:
  using ResponseHandler = std::function<void(RpcResult<Json>)>;

  // Nothing when a request with this id is still unanswered.
  std::optional<IncomingEntry> begin(const Json& id, const std::string& method);
  IncomingEntry* find(RequestSerial serial);
  std::optional<IncomingEntry> take(RequestSerial serial);
  std::optional<IncomingEntry> take_id(const Json& id);
  std::vector<IncomingEntry> take_all();
  size_t n_pending() const { return by_serial_.size(); }

  int64_t expect_response(ResponseHandler handler);  // the id to send
  ResponseHandler take_response(const Json& id);     // empty: nobody waits for it

 private:
  std::map<RequestSerial, IncomingEntry> by_serial_;
  std::map<std::string, RequestSerial> by_id_;
  std::map<int64_t, ResponseHandler> outgoing_;
  int64_t next_serial_ = 1;
  int64_t next_outgoing_ = 1;
};

}  // namespace incipit::lsp
