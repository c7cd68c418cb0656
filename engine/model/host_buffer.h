// HostBuffer: zeroed memory of the host, page aligned, given back when it goes. The operating
// system provides the pages when they are first touched. Owned by the parts of a CPU model; any
// thread.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "engine/base/result.h"

namespace incipit::engine {

class HostBuffer {
 public:
  static Result<HostBuffer> allocate(int64_t size_bytes) {
    const auto size = static_cast<size_t>(size_bytes);
    void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (size_bytes <= 0 || memory == MAP_FAILED)
      return Error{ErrorCode::kOutOfMemory,
                   "memory: the system does not give " + std::to_string(size_bytes) + " bytes"};
    // Fewer page faults and TLB misses where there are large pages; without effect elsewhere.
    if (size >= kLargePageBytes) madvise(memory, size, MADV_HUGEPAGE);
    return HostBuffer(static_cast<std::byte*>(memory), size);
  }

  HostBuffer() = default;
  HostBuffer(HostBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  HostBuffer& operator=(HostBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~HostBuffer() {
    if (data_ != nullptr) munmap(data_, size_);
  }

  std::byte* data() const { return data_; }
  int64_t size_bytes() const { return static_cast<int64_t>(size_); }

 private:
  static constexpr size_t kLargePageBytes = size_t{2} << 20;

  HostBuffer(std::byte* data, size_t size) : data_(data), size_(size) {}
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace incipit::engine
