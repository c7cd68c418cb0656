#include "lsp/cli/console.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>

#include "lsp/cli/json_report.h"

namespace incipit::lsp::cli {
namespace {

constexpr std::chrono::seconds kQuietTime{1};

}  // namespace

bool write_result(std::string_view text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
         std::fflush(stdout) == 0;
}

void note(std::string_view line) {
  fmt::print(stderr, "{}\n", line);
}

ExitCode fail(Format format, ExitCode exit, const Error& error) {
  note("incipit: " + error.message);
  if (format == Format::kJson) write_result(error_json(exit, error) + "\n");
  return exit;
}

Progress::Progress()
    : quiet_until_(std::chrono::steady_clock::now() + kQuietTime),
      terminal_(isatty(STDERR_FILENO)) {}

Progress::~Progress() {
  if (drawn_ && terminal_) fmt::print(stderr, "\r\033[K");
}

void Progress::update(double fraction, const std::string& what) {
  const auto now = std::chrono::steady_clock::now();
  if (now < quiet_until_ || fraction >= 1) return;
  if (terminal_) {
    fmt::print(stderr, "\r\033[K{} {:.0f} %", what, fraction * 100);
    std::fflush(stderr);
  } else {
    note(fmt::format("{} ({:.0f} %)", what, fraction * 100));
    quiet_until_ = now + kQuietTime;
  }
  drawn_ = true;
}

}  // namespace incipit::lsp::cli
