#include "engine/base/temporary_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <random>
#include <string>
#include <string_view>
#include <system_error>

namespace incipit {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTemporaryInfix = ".tmp.";

// True when no living writer holds it.
bool lock_is_free(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return false;
  const bool free = ::flock(fd, LOCK_EX | LOCK_NB) == 0;
  ::close(fd);
  return free;
}

// The process that made the file is gone. Of a process on another machine that is a guess; its lock
// is asked, too.
bool writer_is_dead(std::string_view name) {
  const size_t infix = name.rfind(kTemporaryInfix);
  if (infix == std::string_view::npos) return false;
  const std::string_view digits = name.substr(infix + kTemporaryInfix.size());
  pid_t writer = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), writer);
  return error == std::errc() && writer > 0 && ::kill(writer, 0) != 0 && errno == ESRCH;
}

}  // namespace

fs::path temporary_name(const fs::path& path) {
  std::random_device random;
  return fmt::format("{}{}{}.{:08x}{:08x}", path.string(), kTemporaryInfix, ::getpid(), random(),
                     random());
}

bool is_stale_temporary(const fs::path& temporary) {
  // A living writer locks its file right after creating it; the age covers that moment.
  constexpr auto kOld = std::chrono::minutes(10);
  std::error_code failure;
  const auto written = fs::last_write_time(temporary, failure);
  const bool old = !failure && fs::file_time_type::clock::now() - written >= kOld;
  return (old || writer_is_dead(temporary.filename().string())) && lock_is_free(temporary);
}

void remove_stale_temporaries(const fs::path& path) {
  const std::string prefix = path.filename().string() + std::string(kTemporaryInfix);
  std::error_code failure;
  for (fs::directory_iterator it(path.parent_path(), failure), end; !failure && it != end;
       it.increment(failure)) {
    std::error_code ignored;
    if (it->path().filename().string().starts_with(prefix) && is_stale_temporary(it->path()))
      fs::remove(it->path(), ignored);
  }
}

}  // namespace incipit
