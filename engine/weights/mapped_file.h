// MappedFile: a whole file mapped read-only. Used by tensor_file and packed_file on the loading
// thread; the bytes may be read from any thread. A file must not be shortened while it is mapped:
// our own packed files are replaced by rename for that reason.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

#include "engine/base/result.h"

namespace incipit::engine {

class MappedFile {
 public:
  // An empty file is mapped as an empty span. Not a regular file: kInvalidArgument.
  static Result<std::shared_ptr<const MappedFile>> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::span<const std::byte> bytes_;
};

// Asks for the bytes, some of a mapping, to be read from the disk soon. Returns at once, or when
// the disk's queue has room; any thread.
void read_ahead(std::span<const std::byte> bytes);

}  // namespace incipit::engine
