// The directory of the user's models while one command works in it: a lock, hidden names, renames.
// Used by engine/tools/model_store.cpp. Main thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "engine/base/result.h"

namespace incipit::engine {

class ModelDirectory {
 public:
  // Makes the directory, locks it, removes what killed commands left and puts back a model that one
  // of them was about to replace. Locked by another command: kIo.
  static Result<ModelDirectory> open();
  ModelDirectory(ModelDirectory&& other) noexcept;
  ModelDirectory& operator=(ModelDirectory&&) = delete;
  ~ModelDirectory();  // removes what hidden() made and nobody published

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path model(const std::string& name) const { return path_ / name; }
  int64_t free_bytes() const;  // -1 when the system does not say

  // The hidden directory to make the model in; empty at first.
  Result<std::filesystem::path> hidden();
  // Gives the hidden directory its name; a model of that name is replaced, at once where the file
  // system can exchange two names, and is still there when that fails.
  Result<void> publish(const std::string& name);
  Result<void> remove(const std::string& name);

 private:
  ModelDirectory() = default;

  std::filesystem::path path_;
  int fd_ = -1;  // holds the lock
};

// Bytes of the files in a directory.
int64_t bytes_in(const std::filesystem::path& directory);

}  // namespace incipit::engine
