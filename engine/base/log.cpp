#include "engine/base/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <memory>

namespace incipit::log {
namespace {

constexpr std::array<std::pair<std::string_view, Level>, 6> kLevels = {{{"trace", Level::kTrace},
                                                                        {"debug", Level::kDebug},
                                                                        {"info", Level::kInfo},
                                                                        {"warn", Level::kWarn},
                                                                        {"error", Level::kError},
                                                                        {"off", Level::kOff}}};

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::kTrace:
      return spdlog::level::trace;
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarn:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
    case Level::kOff:
      return spdlog::level::off;
  }
  return spdlog::level::off;
}

// Until configure() is called only warnings and errors are heard.
std::shared_ptr<spdlog::logger>& logger() {
  static std::shared_ptr<spdlog::logger> instance = [] {
    auto made = std::make_shared<spdlog::logger>(
        "incipit", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    made->set_level(spdlog::level::warn);
    return made;
  }();
  return instance;
}

}  // namespace

Result<Level> parse_level(std::string_view name) {
  for (const auto& [known, level] : kLevels) {
    if (known == name) return level;
  }
  return Error{
      ErrorCode::kInvalidArgument,
      fmt::format("log level: want trace, debug, info, warn, error or off, found \"{}\"", name)};
}

Result<void> configure(Level level, const std::string& file_path) {
  try {
    std::shared_ptr<spdlog::sinks::sink> sink;
    if (file_path.empty()) {
      sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
    } else {
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file_path);
    }
    auto made = std::make_shared<spdlog::logger>("incipit", sink);
    made->set_level(to_spdlog(level));
    made->flush_on(spdlog::level::info);
    logger() = made;
  } catch (const spdlog::spdlog_ex& failure) {
    return Error{ErrorCode::kIo, fmt::format("log file {}: {}", file_path, failure.what())};
  }
  return {};
}

bool enabled(Level level) {
  return logger()->should_log(to_spdlog(level));
}

void write(Level level, std::string_view message) {
  logger()->log(to_spdlog(level), spdlog::string_view_t(message.data(), message.size()));
}

}  // namespace incipit::log
