#include "lsp/rpc/parent_watch.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace incipit::lsp {
namespace {

// Where the kernel has no pidfd (before 5.3) or a sandbox refuses it, the process is looked for
// this often.
constexpr int kFallbackMs = 2000;

bool exists(pid_t pid) {
  return ::kill(pid, 0) == 0 || errno != ESRCH;
}

}  // namespace

ParentWatch::ParentWatch(pid_t pid, std::function<void()> on_gone)
    : thread_([this, pid, gone = std::move(on_gone)] { wait(pid, gone); }) {}

ParentWatch::~ParentWatch() {
  stop_.set();
  thread_.join();
}

void ParentWatch::wait(pid_t pid, const std::function<void()>& on_gone) const {
  // A pidfd becomes readable when its process ends, and never names a later process of that id.
  const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (process.get() < 0 && errno == ESRCH) return on_gone();
  const bool has_pidfd = process.get() >= 0;
  while (true) {
    std::array<pollfd, 2> fds = {{{stop_.fd(), POLLIN, 0}, {process.get(), POLLIN, 0}}};
    const int ready = ::poll(fds.data(), has_pidfd ? 2 : 1, has_pidfd ? -1 : kFallbackMs);
    if (ready < 0 && errno != EINTR) return;
    if (ready > 0 && fds[0].revents) return;
    if (has_pidfd ? ready > 0 : !exists(pid)) return on_gone();
  }
}

}  // namespace incipit::lsp
