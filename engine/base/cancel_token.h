// CancelToken: a shared flag that says "the caller no longer wants this". Copies share the flag;
// any thread may set or read. It is looked at between pipeline stages and between the model's
// steps; in steps that take long, which are mostly prompts, also between the layers.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

namespace incipit {

class CancelToken {
 public:
  CancelToken() : state_(std::make_shared<State>()) {}

  void cancel() const { state_->flag.store(true, std::memory_order_release); }

  bool cancelled() const {
    for (const State* state = state_.get(); state != nullptr; state = state->parent.get()) {
      if (state->flag.load(std::memory_order_acquire)) return true;
    }
    return false;
  }

  // A token that is cancelled when this one is, and can be cancelled without touching this one: for
  // a part of the work that may end before its caller loses interest.
  CancelToken child() const { return CancelToken(state_); }

 private:
  struct State {
    std::atomic<bool> flag{false};
    std::shared_ptr<const State> parent;
  };

  explicit CancelToken(std::shared_ptr<const State> parent) : CancelToken() {
    state_->parent = std::move(parent);
  }

  std::shared_ptr<State> state_;
};

}  // namespace incipit
