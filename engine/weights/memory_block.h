// MemoryBlock: page-aligned zeroed memory for weights that are not mapped from a file, on large
// pages where the system has them. Owned by whoever holds the pointer; any thread may read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "engine/base/result.h"

namespace incipit::engine {

// Bytes that could be allocated now without swapping (MemAvailable, and the control group's limit
// when there is one); -1 when the system does not say.
int64_t available_memory_bytes();
int64_t total_memory_bytes();  // -1 when the system does not say

class MemoryBlock {
 public:
  // More than what is available is kOutOfMemory: filling it would get the process killed.
  static Result<std::shared_ptr<const MemoryBlock>> allocate(int64_t size);
  ~MemoryBlock();
  MemoryBlock(const MemoryBlock&) = delete;
  MemoryBlock& operator=(const MemoryBlock&) = delete;

  std::span<std::byte> bytes() const { return bytes_; }

 private:
  explicit MemoryBlock(std::span<std::byte> bytes) : bytes_(bytes) {}
  std::span<std::byte> bytes_;
};

}  // namespace incipit::engine
