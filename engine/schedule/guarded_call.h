// A caller's callback must not take the engine down with it. Engine thread.
#pragma once

#include <exception>

#include "engine/base/log.h"

namespace incipit::engine {

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

}  // namespace incipit::engine
