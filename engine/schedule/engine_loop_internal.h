// What the parts of EngineLoop share. Nobody else's.
#pragma once

#include <exception>

#include "engine/base/log.h"
#include "engine/base/result.h"
#include "engine/schedule/scheduler.h"

namespace incipit::engine {

// A caller's callback must not take the engine down with it.
template <class Callback, class... Args>
void call_guarded(const char* name, const Callback& callback, const Args&... args) {
  if (!callback) return;
  try {
    callback(args...);
  } catch (const std::exception& e) {
    log::error("engine: {} threw: {}", name, e.what());
  } catch (...) {
    log::error("engine: {} threw something that is not a std::exception", name);
  }
}

inline SchedulerOptions with_pages(SchedulerOptions options, int32_t n_pages) {
  options.n_pages = n_pages;
  return options;
}

inline Error no_device() {
  return Error{ErrorCode::kDevice, "the device failed and the model could not be loaded again"};
}

}  // namespace incipit::engine
