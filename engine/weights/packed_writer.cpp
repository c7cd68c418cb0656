#include "engine/weights/packed_writer.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "engine/base/temporary_file.h"

namespace incipit::engine {
namespace {

namespace fs = std::filesystem;

Error io_error(const std::string& path, const char* doing, int number) {
  return Error{ErrorCode::kIo,
               fmt::format("{}: cannot {}: {}", path, doing, std::strerror(number))};
}

void sync_directory(const fs::path& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;  // the file itself is synced; at worst a crash now costs a repack
  ::fsync(fd);
  ::close(fd);
}

// The bytes at the beginning of `bytes` that one call can write past the page cache.
size_t direct_bytes(int64_t offset, std::span<const std::byte> bytes) {
  const auto address = reinterpret_cast<uintptr_t>(bytes.data());
  if (offset % PackedWriter::kDirectBlock != 0 || address % PackedWriter::kDirectBlock != 0)
    return 0;
  return bytes.size() - bytes.size() % PackedWriter::kDirectBlock;
}

}  // namespace

Result<PackedWriter> PackedWriter::create(const fs::path& path, int64_t size, PageCache cache) {
  std::error_code failure;
  fs::create_directories(path.parent_path(), failure);
  if (failure) {
    return Error{ErrorCode::kIo, fmt::format("{}: cannot make the directory: {}",
                                             path.parent_path().string(), failure.message())};
  }
  remove_stale_temporaries(path);
  PackedWriter writer;
  writer.path_ = path;
  std::string temporary = temporary_name(path).string();
  writer.fd_ = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (writer.fd_ < 0) return io_error(temporary, "create", errno);
  writer.temporary_ = std::move(temporary);
  ::flock(writer.fd_, LOCK_EX | LOCK_NB);  // where it cannot be locked, age alone protects it
  const int refused = ::posix_fallocate(writer.fd_, 0, static_cast<off_t>(size));
  // A file system that cannot reserve says EINVAL or EOPNOTSUPP; the writes will tell.
  if (refused != 0 && refused != EINVAL && refused != EOPNOTSUPP) {
    return io_error(writer.temporary_, fmt::format("reserve {} bytes", size).c_str(), refused);
  }
  if (cache == PageCache::kPast)
    writer.direct_fd_ = ::open(writer.temporary_.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC);
  return writer;
}

PackedWriter::PackedWriter(PackedWriter&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      fd_(std::exchange(other.fd_, -1)),
      direct_fd_(std::exchange(other.direct_fd_, -1)) {}

PackedWriter::~PackedWriter() {
  stop_direct();
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void PackedWriter::stop_direct() {
  if (direct_fd_ >= 0) ::close(direct_fd_);
  direct_fd_ = -1;
}

Result<size_t> PackedWriter::write_some(int64_t offset, std::span<const std::byte> bytes) {
  const size_t n_direct = direct_fd_ >= 0 ? direct_bytes(offset, bytes) : 0;
  const int fd = n_direct > 0 ? direct_fd_ : fd_;
  const size_t n = n_direct > 0 ? n_direct : bytes.size();
  const ssize_t written = ::pwrite(fd, bytes.data(), n, static_cast<off_t>(offset));
  if (written < 0 && errno == EINTR) return size_t{0};
  if (written < 0 && errno == EINVAL && n_direct > 0) {  // larger blocks are wanted, or none
    stop_direct();
    return size_t{0};
  }
  if (written <= 0) return io_error(temporary_, "write", written < 0 ? errno : ENOSPC);
  if (n_direct == 0)
    (void)::sync_file_range(fd_, static_cast<off_t>(offset), written, SYNC_FILE_RANGE_WRITE);
  return static_cast<size_t>(written);
}

Result<void> PackedWriter::write(int64_t offset, std::span<const std::byte> bytes) {
  constexpr size_t kPiece = size_t{16} << 20;  // the disk works on one while the next is copied
  while (!bytes.empty()) {
    ASSIGN_OR_RETURN(const size_t written,
                     write_some(offset, bytes.first(std::min(kPiece, bytes.size()))));
    offset += static_cast<int64_t>(written);
    bytes = bytes.subspan(written);
  }
  return {};
}

Result<void> PackedWriter::publish() {
  if (::fsync(fd_) != 0) return io_error(temporary_, "sync", errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    return io_error(path_.string(), "rename the new file to it", errno);
  }
  temporary_.clear();
  sync_directory(path_.parent_path());
  return {};
}

}  // namespace incipit::engine
