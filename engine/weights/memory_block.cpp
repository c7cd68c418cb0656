#include "engine/weights/memory_block.h"

#include <fmt/core.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <string>

namespace incipit::engine {
namespace {

// A field of /proc/meminfo in bytes; -1 when it is not there.
int64_t meminfo_bytes(const std::string& field) {
  std::ifstream in("/proc/meminfo");
  std::string name;
  int64_t kib = 0;
  std::string rest;
  while (in >> name >> kib) {
    std::getline(in, rest);
    if (name == field + ":") return kib * 1024;
  }
  return -1;
}

// What the control group still allows; a very large number when there is no limit.
int64_t cgroup_free_bytes() {
  constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();
  int64_t limit = 0;
  int64_t used = 0;
  std::ifstream max("/sys/fs/cgroup/memory.max");
  std::ifstream current("/sys/fs/cgroup/memory.current");
  if (!(max >> limit) || !(current >> used)) return kUnlimited;  // "max" does not parse
  // Page cache counts as used but is given back under pressure.
  std::ifstream stat("/sys/fs/cgroup/memory.stat");
  std::string name;
  int64_t bytes = 0;
  while (stat >> name >> bytes) {
    if (name == "inactive_file") used -= bytes;
  }
  return std::max<int64_t>(limit - used, 0);
}

}  // namespace

int64_t available_memory_bytes() {
  const int64_t available = meminfo_bytes("MemAvailable");
  return available < 0 ? available : std::min(available, cgroup_free_bytes());
}

int64_t total_memory_bytes() {
  return meminfo_bytes("MemTotal");
}

Result<std::shared_ptr<const MemoryBlock>> MemoryBlock::allocate(int64_t size) {
  const int64_t available = available_memory_bytes();
  if (available >= 0 && size > available) {
    return Error{ErrorCode::kOutOfMemory,
                 fmt::format("weights: want {:.2f} GiB of memory, found {:.2f} GiB available",
                             static_cast<double>(size) / (1 << 30),
                             static_cast<double>(available) / (1 << 30))};
  }
  if (size <= 0) return std::shared_ptr<const MemoryBlock>(new MemoryBlock({}));
  const auto length = static_cast<size_t>(size);
  void* address =
      ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) {
    return Error{ErrorCode::kOutOfMemory,
                 fmt::format("weights: cannot allocate {} bytes: {}", size, std::strerror(errno))};
  }
  // A decode step walks gigabytes once: 2 MiB pages spare it most address translations. Only a
  // wish; a system without them says no.
  ::madvise(address, length, MADV_HUGEPAGE);
  return std::shared_ptr<const MemoryBlock>(
      new MemoryBlock({static_cast<std::byte*>(address), length}));
}

MemoryBlock::~MemoryBlock() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

}  // namespace incipit::engine
