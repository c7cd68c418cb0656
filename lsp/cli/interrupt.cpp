#include "lsp/cli/interrupt.h"

#include <atomic>
#include <csignal>

namespace incipit::lsp::cli {
namespace {

// Read by the signal handler, which may do no more than store to a lock-free atomic.
std::atomic<const CancelToken*> current_token{nullptr};

extern "C" void on_interrupt(int) {
  if (const CancelToken* token = current_token.load()) token->cancel();
  std::signal(SIGINT, SIG_DFL);
}

}  // namespace

InterruptScope::InterruptScope() {
  current_token.store(&token_);
  std::signal(SIGINT, on_interrupt);
}

InterruptScope::~InterruptScope() {
  std::signal(SIGINT, SIG_DFL);
  current_token.store(nullptr);
}

}  // namespace incipit::lsp::cli
