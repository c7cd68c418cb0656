// Reply<T>: the duty to answer one request, exactly once. Move-only. Dropped unanswered it answers
// InternalError and writes a log line, so that no editor waits for ever. Io thread only. When the
// request was answered meanwhile (cancelled, superseded), ok() and fail() do nothing.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "engine/base/log.h"
#include "lsp/protocol/json_fields.h"
#include "lsp/rpc/json.h"
#include "lsp/rpc/rpc_error.h"

namespace incipit::lsp {

// The untyped half, made by JsonRpcConnection.
class ReplyHandle {
 public:
  using Send = std::function<bool(RpcResult<Json>)>;  // false: it was answered meanwhile

  ReplyHandle() = default;
  ReplyHandle(std::string method, Send send) : method_(std::move(method)), send_(std::move(send)) {}
  ReplyHandle(ReplyHandle&& other) noexcept
      : method_(std::move(other.method_)), send_(std::exchange(other.send_, nullptr)) {}
  ReplyHandle& operator=(ReplyHandle&& other) noexcept {
    if (this != &other) {
      drop();
      method_ = std::move(other.method_);
      send_ = std::exchange(other.send_, nullptr);
    }
    return *this;
  }
  ~ReplyHandle() { drop(); }

  void finish(RpcResult<Json> result) {
    if (const Send send = std::exchange(send_, nullptr)) send(std::move(result));
  }

 private:
  void drop() {
    const Send send = std::exchange(send_, nullptr);
    if (send && send(RpcError{RpcCode::kInternalError, method_ + ": dropped by the server"})) {
      log::error("{}: dropped without an answer", method_);
    }
  }

  std::string method_;
  Send send_;
};

template <class T>
class Reply {
 public:
  explicit Reply(ReplyHandle handle) : handle_(std::move(handle)) {}

  void ok(const T& value) { handle_.finish(write_fields(value)); }
  void fail(RpcError error) { handle_.finish(std::move(error)); }
  void finish(RpcResult<T> result) {
    if (auto* error = std::get_if<RpcError>(&result)) {
      fail(std::move(*error));
    } else {
      ok(std::get<T>(result));
    }
  }

 private:
  ReplyHandle handle_;
};

}  // namespace incipit::lsp
