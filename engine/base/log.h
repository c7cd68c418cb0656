// Logging for every folder, behind one small face so that spdlog is seen by log.cpp alone. Goes to
// stderr or to a file, never to stdout: in `incipit lsp` stdout carries frames only. Thread-safe.
// User text (code) is never logged above debug.
#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>
#include <utility>

#include "engine/base/result.h"

namespace incipit::log {

enum class Level { kTrace, kDebug, kInfo, kWarn, kError, kOff };

// Accepts trace, debug, info, warn, error, off; anything else is kInvalidArgument naming what is
// accepted.
Result<Level> parse_level(std::string_view name);

// An empty path logs to stderr. Called once, before threads start; may be called again by tests.
Result<void> configure(Level level, const std::string& file_path);

bool enabled(Level level);
void write(Level level, std::string_view message);

template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::kDebug))
    write(Level::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::kInfo)) write(Level::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::kWarn)) write(Level::kWarn, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::kError))
    write(Level::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace incipit::log
