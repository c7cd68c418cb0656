#include "lsp/rpc/stdio_transport.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "engine/base/log.h"

namespace incipit::lsp {
namespace {

constexpr size_t kReadBytes = size_t{64} << 10;
// After the end of input or close(), how long output may make no progress.
constexpr int kCloseGraceMs = 1000;
// A pipe without a reader says POLLERR, a socket or terminal POLLHUP.
constexpr short kGone = POLLERR | POLLHUP | POLLNVAL;

int poll_retrying(pollfd* fds, nfds_t n, int timeout_ms) {
  int ready = -1;
  do {
    ready = ::poll(fds, n, timeout_ms);
  } while (ready < 0 && errno == EINTR);
  return ready;
}

}  // namespace

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = other.fd_;
    other.fd_ = -1;
  }
  return *this;
}

void UniqueFd::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

WakeFlag::WakeFlag() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void WakeFlag::set() const {
  const uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(fd_.get(), &one, sizeof one);
}

bool FdTransport::read(std::string& out) {
  if (input_fd_ >= 0 && read_some(out)) return true;
  close();  // nobody is there to wait for: output that is stuck gives up soon
  return false;
}

bool FdTransport::read_some(std::string& out) const {
  while (true) {
    // The output is watched for errors only: a reader that went away ends the server even when it
    // has nothing to say.
    std::array<pollfd, 3> fds = {
        {{closing_.fd(), POLLIN, 0}, {input_fd_, POLLIN, 0}, {output_fd_, 0, 0}}};
    if (poll_retrying(fds.data(), fds.size(), -1) < 0) return false;
    if (fds[0].revents) return false;
    if (fds[1].revents) {
      std::array<char, kReadBytes> bytes;
      const ssize_t n = ::read(input_fd_, bytes.data(), bytes.size());
      if (n > 0) {
        out.append(bytes.data(), static_cast<size_t>(n));
        return true;
      }
      if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (n < 0) log::warn("input: {}", std::strerror(errno));
      return false;
    }
    if (fds[2].revents & kGone) {
      log::warn("output: the reader went away");
      return false;
    }
  }
}

bool FdTransport::wait_writable() const {
  const int timeout_ms = closed_ ? kCloseGraceMs : -1;
  std::array<pollfd, 2> fds = {{{output_fd_, POLLOUT, 0}, {closing_.fd(), POLLIN, 0}}};
  // Once closed, the flag would wake every poll.
  const int ready = poll_retrying(fds.data(), closed_ ? 1 : 2, timeout_ms);
  if (ready < 0 || (ready == 0 && closed_)) return false;
  if (fds[0].revents & kGone) return false;
  return true;
}

bool FdTransport::write(std::string_view bytes) {
  if (output_fd_ < 0) return false;
  while (!bytes.empty()) {
    if (!wait_writable()) return false;
    std::array<pollfd, 1> now = {{{output_fd_, POLLOUT, 0}}};
    if (poll_retrying(now.data(), 1, 0) <= 0) continue;  // only the closing flag was seen
    // A writable pipe takes PIPE_BUF bytes without blocking (pipe(7)).
    const ssize_t n = ::write(output_fd_, bytes.data(), std::min<size_t>(bytes.size(), PIPE_BUF));
    if (n < 0 && errno != EINTR && errno != EAGAIN) {
      log::warn("output: {}", std::strerror(errno));
      return false;
    }
    if (n > 0) bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

void FdTransport::close() {
  closed_ = true;
  closing_.set();
}

StdioTransport::StdioTransport()
    : input_(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)),
      output_(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)),
      inner_(input_.get(), output_.get()) {
  ::dup2(STDERR_FILENO, STDOUT_FILENO);
  const UniqueFd null_input(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (null_input.get() >= 0) ::dup2(null_input.get(), STDIN_FILENO);
}

}  // namespace incipit::lsp
