#include "lsp/cli/interrupt.h"

#include <array>
#include <atomic>
#include <csignal>

namespace incipit::lsp::cli {
namespace {

// Read by the signal handler, which may do no more than store to a lock-free atomic.
std::atomic<const CancelToken*> current_token{nullptr};

// Ctrl-C, what `kill` and a shutdown send, a terminal that was closed.
constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP};

// A signal that the parent wants ignored (nohup) stays so.
void handle_signals(void (*handler)(int)) {
  for (const int number : kSignals)
    if (std::signal(number, handler) == SIG_IGN) std::signal(number, SIG_IGN);
}

extern "C" void on_interrupt(int) {
  if (const CancelToken* token = current_token.load()) token->cancel();
  handle_signals(SIG_DFL);
}

}  // namespace

InterruptScope::InterruptScope() {
  current_token.store(&token_);
  handle_signals(on_interrupt);
}

InterruptScope::~InterruptScope() {
  handle_signals(SIG_DFL);
  current_token.store(nullptr);
}

}  // namespace incipit::lsp::cli
