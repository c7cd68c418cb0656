#include "kernels/cpu/machine_peaks.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <string>

#include "kernels/common/check.h"
#include "kernels/common/math.h"
#include "kernels/cpu/machine_peaks_kernels.h"

namespace incipit::kernels {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kBlockBytes = 1 << 20;
constexpr int64_t kMinBufferBytes = int64_t{1} << 30;
constexpr int64_t kSmallestBufferBytes = int64_t{64} << 20;

const PeakKernels& peak_kernels_for(Isa isa) {
  switch (isa) {
    case Isa::kAvx512:
      return avx512::kPeakKernels;
    case Isa::kAvx2:
      return avx2::kPeakKernels;
    case Isa::kScalar:
      break;
  }
  return scalar::kPeakKernels;
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

int64_t available_memory_bytes() {
  std::ifstream file("/proc/meminfo");
  std::string key;
  std::string unit;
  for (int64_t value = 0; file >> key >> value; std::getline(file, unit)) {
    if (key == "MemAvailable:") return value * 1024;
  }
  return int64_t{sysconf(_SC_AVPHYS_PAGES)} * sysconf(_SC_PAGESIZE);
}

int64_t last_level_cache_bytes() {
  return std::max<int64_t>(0, sysconf(_SC_LEVEL3_CACHE_SIZE));
}

int64_t default_buffer_bytes() {
  const int64_t wanted = std::max(kMinBufferBytes, 2 * last_level_cache_bytes());
  return std::max(kSmallestBufferBytes, std::min(wanted, available_memory_bytes() / 4));
}

}  // namespace

void MachineProbe::Unmap::operator()(std::byte* memory) const {
  munmap(memory, static_cast<size_t>(size_bytes));
}

MachineProbe::MachineProbe(Isa isa, ThreadPool& pool, const PeakOptions& options)
    : pool_(pool), options_(options) {
  CHECK(isa_supported(isa));
  peaks_.isa = isa;
  peaks_.n_threads = pool.n_threads();
  peaks_.cache_bytes = last_level_cache_bytes();
  const int64_t wanted = options.buffer_bytes > 0 ? options.buffer_bytes : default_buffer_bytes();
  // A block more than is read: the loops prefetch past their end.
  const int64_t size = round_up(wanted, kBlockBytes) + kBlockBytes;
  void* memory = mmap(nullptr, static_cast<size_t>(size), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;  // no figure for reading then: 0
  madvise(memory, static_cast<size_t>(size), MADV_HUGEPAGE);
  buffer_ = {static_cast<std::byte*>(memory), Unmap{size}};
  peaks_.buffer_bytes = size - kBlockBytes;
  // Every page of its own: untouched pages would all be the one page of zeros.
  pool_.parallel_for(size / kBlockBytes, 1, [&](int64_t begin, int64_t end) {
    std::memset(buffer_.get() + begin * kBlockBytes, 1,
                static_cast<size_t>((end - begin) * kBlockBytes));
  });
}

double MachineProbe::measure_read() {
  const auto read = peak_kernels_for(peaks_.isa).read;
  double best = 0;
  const Clock::time_point start = Clock::now();
  do {
    const Clock::time_point pass = Clock::now();
    pool_.parallel_for(peaks_.buffer_bytes / kBlockBytes, 1, [&](int64_t begin, int64_t end) {
      const uint64_t sum = read(buffer_.get() + begin * kBlockBytes, (end - begin) * kBlockBytes);
      asm volatile("" : : "r"(sum));
    });
    best = std::max(best, static_cast<double>(peaks_.buffer_bytes) / seconds_since(pass));
  } while (Clock::now() - start < options_.time_each);
  return best;
}

double MachineProbe::measure_ops(void (*loop)(int64_t iterations), int64_t ops_per_iteration) {
  constexpr int64_t kIterations = 20'000;  // about 50 microseconds: short enough to be undisturbed
  const int64_t n_items = int64_t{64} * pool_.n_threads();
  double best = 0;
  const Clock::time_point start = Clock::now();
  do {
    const Clock::time_point pass = Clock::now();
    pool_.parallel_for(n_items, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) loop(kIterations);
    });
    const double ops = static_cast<double>(n_items * kIterations * ops_per_iteration);
    best = std::max(best, ops / seconds_since(pass));
  } while (Clock::now() - start < options_.time_each);
  return best;
}

const MachinePeaks& MachineProbe::measure() {
  const PeakKernels& kernels = peak_kernels_for(peaks_.isa);
  if (buffer_ != nullptr) {
    peaks_.read_bytes_per_s = std::max(peaks_.read_bytes_per_s, measure_read());
  }
  peaks_.int8_ops_per_s = std::max(peaks_.int8_ops_per_s,
                                   measure_ops(kernels.int8_loop, kernels.int8_ops_per_iteration));
  peaks_.fma_flops_per_s = std::max(peaks_.fma_flops_per_s,
                                    measure_ops(kernels.fma_loop, kernels.fma_flops_per_iteration));
  return peaks_;
}

}  // namespace incipit::kernels
