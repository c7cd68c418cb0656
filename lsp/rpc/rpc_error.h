// Errors as JSON-RPC and LSP number them.
#pragma once

#include <string>
#include <variant>

#include "engine/base/result.h"

namespace incipit::lsp {

enum class RpcCode : int {
  kParseError = -32700,
  kInvalidRequest = -32600,
  kMethodNotFound = -32601,
  kInvalidParams = -32602,
  kInternalError = -32603,
  kServerNotInitialized = -32002,
  kRequestFailed = -32803,
  kRequestCancelled = -32800,
};

struct RpcError {
  RpcCode code = RpcCode::kInternalError;
  std::string message;
};

// What a quick handler returns.
template <class T>
using RpcResult = std::variant<T, RpcError>;

}  // namespace incipit::lsp
