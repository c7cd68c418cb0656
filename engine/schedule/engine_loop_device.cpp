// EngineLoop, the part for a device that fails.
#include <fmt/format.h>

#include <utility>

#include "engine/base/log.h"
#include "engine/schedule/engine_loop.h"
#include "engine/schedule/guarded_call.h"
#include "kernels/common/check.h"

namespace incipit::engine {

Error EngineLoop::no_device() {
  return Error{ErrorCode::kDevice, "the device failed and the model could not be loaded again"};
}

// Everything that runs has its keys and values on the device that failed.
void EngineLoop::replace_model(const DeviceFault& fault) {
  const std::string name = model_->device_name();
  log::error("engine: {} failed: {}", name, fault.what());
  while (!scheduler_->running().empty())
    finish(*scheduler_->running().front(), FinishReason::kError,
           Error{ErrorCode::kDevice, fmt::format("{} failed: {}", name, fault.what())},
           Scheduler::Keep::kNothing);
  keeper_.reset();
  // What does not answer is left alone: giving its memory back would wait for it.
  if (fault.kind() == DeviceFault::Kind::kDoesNotAnswer) {
    (void)model_.release();
  } else {
    model_.reset();
  }
  const std::string outcome =
      install(supply_ ? supply_(fault) : Error{ErrorCode::kDevice, "there is no other device"});
  report_fault(fmt::format("{} failed ({}); {}", name, fault.what(), outcome));
}

// Goes on with that model, under a scheduler with nothing in its cache; or without any. Returns
// what to tell the user of it.
std::string EngineLoop::install(Result<PlannedModel> next) {
  totals_.tokens_reused += scheduler_->tokens_reused();
  totals_.tokens_prefilled += scheduler_->tokens_prefilled();
  std::vector<std::unique_ptr<Sequence>> waiting = scheduler_->take_waiting();
  SchedulerOptions options = scheduler_->options();
  if (next) {
    model_ = std::move(next->model);
    options = next->scheduling.with_pages(model_->n_pages());
    CHECK_LE(options.max_batch + options.prefill_chunk, model_->max_rows());
  }
  scheduler_ = std::make_unique<Scheduler>(options);
  adopt_waiting(std::move(waiting));
  if (next) return fmt::format("the model was loaded again and runs on {}", model_->device_name());
  while (!scheduler_->waiting().empty())
    finish(*scheduler_->waiting().front(), FinishReason::kError, no_device());
  return fmt::format("the model cannot be loaded again: {}", next.error().message);
}

void EngineLoop::adopt_waiting(std::vector<std::unique_ptr<Sequence>> waiting) {
  for (std::unique_ptr<Sequence>& sequence : waiting) {
    const Result<void> fits = scheduler_->check_fits(sequence->n_tokens());
    Sequence& added = scheduler_->add(std::move(sequence));
    if (!fits) finish(added, FinishReason::kError, fits.error());
  }
}

void EngineLoop::report_fault(const std::string& what) {
  log::warn("engine: {}", what);
  publish_stats();
  const std::lock_guard lock(device_mutex_);
  device_.device = model_ ? model_->device_name() : kNoDevice;
  ++device_.n_faults;
  device_.last_fault = what;
  call_guarded("on_fault", on_fault_, device_);
}

DeviceStatus EngineLoop::device() const {
  const std::lock_guard lock(device_mutex_);
  return device_;
}

void EngineLoop::watch_device(std::function<void(const DeviceStatus&)> on_fault) {
  const std::lock_guard lock(device_mutex_);
  on_fault_ = std::move(on_fault);
}

}  // namespace incipit::engine
