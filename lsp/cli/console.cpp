#include "lsp/cli/console.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "lsp/cli/json_report.h"

namespace incipit::lsp::cli {
namespace {

constexpr std::chrono::seconds kQuietTime{1};

// A stderr that takes nothing must not cost the result; fmt::print would throw.
void tell(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
}

// Messages name what a file holds, and a file may hold what a terminal obeys. Bytes of UTF-8 stay.
std::string visible(std::string text) {
  for (char& c : text) {
    const bool is_control = static_cast<unsigned char>(c) < ' ' && c != '\n' && c != '\t';
    if (is_control || c == '\x7f') c = '?';
  }
  return text;
}

}  // namespace

void hold_standard_streams() {
  // open() takes the lowest free number. The wrong direction: what uses it fails, as on a closed
  // one.
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    const int direction = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;
    if (::open("/dev/null", direction) < 0) return;
  }
}

bool write_result(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) {
    return true;
  }
  note(fmt::format("incipit: cannot write the output: {}", std::strerror(errno)));
  return false;
}

void note(std::string_view line) {
  tell(std::string(line) + "\n");
}

ExitCode fail(Format format, ExitCode exit, const Error& error) {
  note("incipit: " + visible(error.message));
  if (format == Format::kJson) write_result(error_json(exit, error) + "\n");
  return exit;
}

ExitCode fail_on_stderr(Format format, ExitCode exit, const Error& error) {
  note(format == Format::kJson ? error_json(exit, error) : "incipit: " + visible(error.message));
  return exit;
}

Progress::Progress()
    : quiet_until_(std::chrono::steady_clock::now() + kQuietTime),
      terminal_(isatty(STDERR_FILENO)) {}

Progress::~Progress() {
  if (drawn_ && terminal_) tell("\r\033[K");
}

void Progress::update(double fraction, const std::string& what) {
  if (fraction >= 1) return;
  const char* format = terminal_ ? "{} {:.0f} %" : "{} ({:.0f} %)";
  show(fmt::format(fmt::runtime(format), what, fraction * 100));
}

void Progress::show(const std::string& line) {
  const auto now = std::chrono::steady_clock::now();
  if (now < quiet_until_) return;
  if (terminal_) {
    tell("\r\033[K" + line);
  } else {
    note(line);
    quiet_until_ = now + kQuietTime;
  }
  drawn_ = true;
}

}  // namespace incipit::lsp::cli
