// PackedWriter: a file that appears whole under its name or not at all. It is written under a
// unique temporary name in the same directory, locked while its writer lives, and removed by the
// destructor unless published. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "engine/base/result.h"

namespace incipit::engine {

// Whether what is written stays in the page cache. Past it costs no copy, which on few cores is
// what a large import waits for; but the file's first reader then waits for the disk.
enum class PageCache { kThrough, kPast };

class PackedWriter {
 public:
  // Makes the directory, removes what killed writers left in it, and reserves `size` bytes of disk,
  // so that a full disk is known before the work begins. kPast is a wish: a file system without
  // direct writes gets ordinary ones.
  static Result<PackedWriter> create(const std::filesystem::path& path, int64_t size,
                                     PageCache cache = PageCache::kThrough);
  PackedWriter(PackedWriter&& other) noexcept;
  PackedWriter& operator=(PackedWriter&&) = delete;
  ~PackedWriter();

  // The disk begins with it at once, so that publish() has little left to wait for. What goes past
  // the page cache are the whole blocks of kDirectBlock bytes when `offset` and the bytes' address
  // are multiples of it; the rest goes through it.
  Result<void> write(int64_t offset, std::span<const std::byte> bytes);
  // Syncs the file and gives it its name.
  Result<void> publish();

  static constexpr int64_t kDirectBlock = 4096;

 private:
  PackedWriter() = default;
  Result<size_t> write_some(int64_t offset, std::span<const std::byte> bytes);
  void stop_direct();

  std::filesystem::path path_;
  std::string temporary_;  // empty: nothing to remove
  int fd_ = -1;
  int direct_fd_ = -1;  // the same file; -1: everything goes through the page cache
};

}  // namespace incipit::engine
