// LoadProgress: shows the loading of the model in the editor, through a progress token of our own.
// An editor that refuses the token gets no progress. Io thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "lsp/protocol/methods.h"
#include "lsp/rpc/json_rpc_connection.h"

namespace incipit::lsp {

class LoadProgress {
 public:
  explicit LoadProgress(JsonRpcConnection& connection) : connection_(connection) {}

  void allow() { allowed_ = true; }  // the client can, and is initialized
  void update(double fraction, const std::string& what);
  void finish(const std::string& what);

 private:
  enum class State { kNone, kAsked, kShown };

  void ask();
  void send(const WorkDoneProgress& progress);

  JsonRpcConnection& connection_;
  bool allowed_ = false;
  State state_ = State::kNone;
  int64_t n_asked_ = 0;
  std::string what_;
  uint32_t percentage_ = 0;
};

}  // namespace incipit::lsp
