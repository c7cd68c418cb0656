#include "engine/tools/model_directory.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>
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
// Then the name of the model that this was until a new one came.
constexpr std::string_view kReplaced = ".being-replaced.";

Error directory_error(const fs::path& path, const char* doing, const std::string& why) {
  return Error{ErrorCode::kIo, fmt::format("{}: cannot {}: {}", path.string(), doing, why)};
}

fs::path replaced(const fs::path& directory, const std::string& name) {
  return directory / (std::string(kReplaced) + name);
}

// Removes what is neither a model nor becomes one. A model that was to be replaced, by one that
// never came, gets its name back; one that does not stays where it is.
void tidy(const fs::path& directory) {
  std::error_code ignored;
  for (const char* name : {kHidden, kGoing}) fs::remove_all(directory / name, ignored);
  std::vector<fs::path> old;
  std::error_code failure;
  for (fs::directory_iterator it(directory, failure), end; !failure && it != end;
       it.increment(failure)) {
    if (it->path().filename().string().starts_with(kReplaced)) old.push_back(it->path());
  }
  for (const fs::path& path : old) {
    const fs::path model = directory / path.filename().string().substr(kReplaced.size());
    const fs::file_type there = fs::symlink_status(model, failure).type();
    if (there == fs::file_type::not_found) {
      fs::rename(path, model, ignored);
    } else if (there != fs::file_type::none) {
      fs::remove_all(path, ignored);
    }
  }
}

// Both at once. False where the kernel or the file system knows no such thing.
Result<bool> exchange(const fs::path& hidden, const fs::path& model) {
  if (::renameat2(AT_FDCWD, hidden.c_str(), AT_FDCWD, model.c_str(), RENAME_EXCHANGE) == 0)
    return true;
  if (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP) return false;
  return directory_error(model, "replace", std::strerror(errno));
}

// A server that has the old files mapped keeps them until it ends.
Result<void> put_in_place(const fs::path& hidden, const fs::path& model, const fs::path& old) {
  std::error_code failure;
  if (fs::exists(model, failure)) {
    ASSIGN_OR_RETURN(const bool exchanged, exchange(hidden, model));
    if (exchanged) return {};
    fs::rename(model, old, failure);
    if (failure) return directory_error(model, "replace", failure.message());
  }
  fs::rename(hidden, model, failure);
  if (failure) return directory_error(model, "make", failure.message());
  return {};
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
  tidy(directory.path_);  // with the lock held, whoever made it is gone
  return directory;
}

ModelDirectory::ModelDirectory(ModelDirectory&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

ModelDirectory::~ModelDirectory() {
  if (fd_ < 0) return;
  tidy(path_);
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
  const Result<void> done = put_in_place(path_ / kHidden, model(name), replaced(path_, name));
  if (done.ok()) ::fsync(fd_);
  tidy(path_);  // the old model goes or, without a new one, gets its name back
  return done;
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
