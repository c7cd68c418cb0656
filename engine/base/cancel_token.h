// CancelToken: a shared flag that says "the caller no longer wants this". Copies share the flag;
// any thread may set or read. It is looked at between pipeline stages, between prefill chunks and
// between decode steps, nowhere else: setting it does not interrupt a running step.
#pragma once

#include <atomic>
#include <memory>

namespace incipit {

class CancelToken {
 public:
  CancelToken() : flag_(std::make_shared<std::atomic<bool>>(false)) {}

  void cancel() const { flag_->store(true, std::memory_order_release); }
  bool cancelled() const { return flag_->load(std::memory_order_acquire); }

 private:
  std::shared_ptr<std::atomic<bool>> flag_;
};

}  // namespace incipit
