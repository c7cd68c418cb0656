#include "tests/support/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <stdexcept>

namespace incipit::test {
namespace {

using Clock = std::chrono::steady_clock;

// True when one of the events is there before the deadline.
bool wait_for(int fd, short events, Clock::time_point deadline) {
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    pollfd entry{fd, events, 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

std::array<lsp::UniqueFd, 2> make_pipe() {
  std::array<int, 2> fds{};
  if (::pipe2(fds.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe");
  return {lsp::UniqueFd(fds[0]), lsp::UniqueFd(fds[1])};
}

}  // namespace

Process::Process(const std::vector<std::string>& command,
                 const std::map<std::string, std::string>& env,
                 const std::filesystem::path& stderr_file) {
  ::signal(SIGPIPE, SIG_IGN);
  auto [child_in, to_child] = make_pipe();
  auto [from_child, child_out] = make_pipe();
  // Everything is laid out before fork(): the child of a threaded process may only call what is
  // async-signal-safe.
  std::vector<std::string> entries;
  for (char** entry = environ; *entry; ++entry) {
    const std::string text = *entry;
    if (!env.contains(text.substr(0, text.find('=')))) entries.push_back(text);
  }
  for (const auto& [name, value] : env) entries.push_back(name + "=" + value);
  std::vector<char*> argv;
  std::vector<char*> envp;
  for (const auto& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  for (auto& entry : entries) envp.push_back(entry.data());
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  const lsp::UniqueFd log(
      ::open(stderr_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));

  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("fork");
  if (pid_ == 0) {
    ::dup2(child_in.get(), STDIN_FILENO);
    ::dup2(child_out.get(), STDOUT_FILENO);
    ::dup2(log.get(), STDERR_FILENO);
    ::signal(SIGPIPE, SIG_DFL);
    ::execve(argv[0], argv.data(), envp.data());
    ::_exit(127);
  }
  input_ = std::move(to_child);
  output_ = std::move(from_child);
  pidfd_ = lsp::UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  ::fcntl(input_.get(), F_SETFL, O_NONBLOCK);
}

Process::~Process() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

bool Process::write(const std::string& bytes, Clock::time_point deadline) {
  size_t done = 0;
  while (done < bytes.size()) {
    if (!wait_for(input_.get(), POLLOUT, deadline)) return false;
    const ssize_t n = ::write(input_.get(), bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno != EAGAIN && errno != EINTR) return false;
    if (n > 0) done += static_cast<size_t>(n);
  }
  return true;
}

std::optional<std::string> Process::read(Clock::time_point deadline) {
  std::array<char, 65536> bytes;
  while (wait_for(output_.get(), POLLIN, deadline)) {
    const ssize_t n = ::read(output_.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return std::nullopt;
    return std::string(bytes.data(), static_cast<size_t>(n));
  }
  return std::nullopt;
}

std::optional<Process::Exit> Process::wait(Clock::time_point deadline) {
  if (!wait_for(pidfd_.get(), POLLIN, deadline)) return std::nullopt;
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  if (WIFEXITED(status)) return Exit{WEXITSTATUS(status), 0};
  return Exit{-1, WTERMSIG(status)};
}

}  // namespace incipit::test
