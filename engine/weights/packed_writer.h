// PackedWriter: a file that appears whole under its name or not at all. It is written under a
// unique temporary name in the same directory, locked while its writer lives, and removed by the
// destructor unless published. Loading thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "engine/base/result.h"

namespace incipit::engine {

class PackedWriter {
 public:
  // Makes the directory, removes what killed writers left in it, and reserves `size` bytes of disk,
  // so that a full disk is known before the work begins.
  static Result<PackedWriter> create(const std::filesystem::path& path, int64_t size);
  PackedWriter(PackedWriter&& other) noexcept;
  PackedWriter& operator=(PackedWriter&&) = delete;
  ~PackedWriter();

  // The disk begins with it at once, so that publish() has little left to wait for.
  Result<void> write(int64_t offset, std::span<const std::byte> bytes);
  // Syncs the file and gives it its name.
  Result<void> publish();

 private:
  PackedWriter() = default;

  std::filesystem::path path_;
  std::string temporary_;  // empty: nothing to remove
  int fd_ = -1;
};

// Removes temporary files of `path` that a killed writer left behind: old, and locked by nobody.
void remove_stale_temporaries(const std::filesystem::path& path);

}  // namespace incipit::engine
