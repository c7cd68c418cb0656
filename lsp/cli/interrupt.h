// Ctrl-C, SIGTERM or SIGHUP while a command works: the first one asks it to stop at its next step,
// the second one ends the process as usual. Main thread; one at a time.
#pragma once

#include "engine/base/cancel_token.h"

namespace incipit::lsp::cli {

class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

  const CancelToken& token() const { return token_; }

 private:
  CancelToken token_;
};

}  // namespace incipit::lsp::cli
