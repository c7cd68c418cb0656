#include "engine/tools/model_directory.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>
#include <vector>

#include "engine/weights/model_registry.h"

namespace incipit::engine {
namespace {

namespace fs = std::filesystem;

// With a dot in front, so that no search takes them for models.
constexpr const char* kHidden = ".being-added";
constexpr const char* kGoing = ".being-removed";

Error directory_error(const fs::path& path, const char* doing, const std::string& why) {
  return Error{ErrorCode::kIo, fmt::format("{}: cannot {}: {}", path.string(), doing, why)};
}

}  // namespace

Result<ModelDirectory> ModelDirectory::open() {
  ModelDirectory directory;
  ASSIGN_OR_RETURN(directory.path_, user_models_dir());
  std::error_code failure;
  fs::create_directories(directory.path_, failure);
  if (failure) return directory_error(directory.path_, "make the directory", failure.message());
  directory.fd_ = ::open(directory.path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory.fd_ < 0) return directory_error(directory.path_, "open", std::strerror(errno));
  if (::flock(directory.fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    ::close(std::exchange(directory.fd_, -1));
    return directory_error(directory.path_, "lock", "another `incipit model` command works there");
  }
  // With the lock held, whoever made these is gone.
  for (const char* name : {kHidden, kGoing}) fs::remove_all(directory.path_ / name, failure);
  return directory;
}

ModelDirectory::ModelDirectory(ModelDirectory&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

ModelDirectory::~ModelDirectory() {
  if (fd_ < 0) return;
  std::error_code ignored;
  for (const char* name : {kHidden, kGoing}) fs::remove_all(path_ / name, ignored);
  ::close(fd_);
}

int64_t ModelDirectory::free_bytes() const {
  struct statvfs disk {};
  if (::fstatvfs(fd_, &disk) != 0 || disk.f_blocks == 0) return -1;
  return static_cast<int64_t>(disk.f_bavail) * static_cast<int64_t>(disk.f_frsize);
}

Result<fs::path> ModelDirectory::hidden() {
  const fs::path path = path_ / kHidden;
  std::error_code failure;
  fs::remove_all(path, failure);
  fs::create_directory(path, failure);
  if (failure) return directory_error(path, "make the directory", failure.message());
  return path;
}

Result<void> ModelDirectory::publish(const std::string& name) {
  std::error_code failure;
  if (fs::exists(model(name), failure)) {
    // A server that has the old files mapped keeps them until it ends.
    fs::rename(model(name), path_ / kGoing, failure);
    if (failure) return directory_error(model(name), "replace", failure.message());
  }
  fs::rename(path_ / kHidden, model(name), failure);
  if (failure) return directory_error(model(name), "make", failure.message());
  ::fsync(fd_);
  fs::remove_all(path_ / kGoing, failure);
  return {};
}

Result<void> ModelDirectory::remove(const std::string& name) {
  std::error_code failure;
  fs::rename(model(name), path_ / kGoing, failure);
  if (failure) return directory_error(model(name), "remove", failure.message());
  ::fsync(fd_);
  fs::remove_all(path_ / kGoing, failure);
  if (failure) return directory_error(path_ / kGoing, "remove", failure.message());
  return {};
}

int64_t bytes_in(const fs::path& directory) {
  int64_t bytes = 0;
  std::error_code failure;
  for (fs::directory_iterator it(directory, failure), end; !failure && it != end;
       it.increment(failure)) {
    std::error_code ignored;
    const uintmax_t size = it->file_size(ignored);
    if (!ignored) bytes += static_cast<int64_t>(size);
  }
  return bytes;
}

}  // namespace incipit::engine
