#include "lsp/rpc/parent_watch.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <future>

namespace incipit::lsp {
namespace {

constexpr std::chrono::seconds kPatience{60};

pid_t spawn_sleeper() {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::pause();
    ::_exit(0);
  }
  return pid;
}

TEST(ParentWatch, TellsWhenTheProcessEnds) {
  const pid_t pid = spawn_sleeper();
  std::promise<void> gone;
  ParentWatch watch(pid, [&gone] { gone.set_value(); });
  auto told = gone.get_future();
  EXPECT_EQ(told.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
  ::kill(pid, SIGKILL);
  EXPECT_EQ(told.wait_for(kPatience), std::future_status::ready);
  ::waitpid(pid, nullptr, 0);
}

TEST(ParentWatch, TellsAtOnceOfAProcessThatIsGoneAlready) {
  const pid_t pid = spawn_sleeper();
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  std::promise<void> gone;
  ParentWatch watch(pid, [&gone] { gone.set_value(); });
  EXPECT_EQ(gone.get_future().wait_for(kPatience), std::future_status::ready);
}

TEST(ParentWatch, StopsWaitingWhenDestroyed) {
  bool told = false;
  {
    ParentWatch watch(::getpid(), [&told] { told = true; });
  }
  EXPECT_FALSE(told);
}

}  // namespace
}  // namespace incipit::lsp
