// What this machine can do at best, measured: the figures that every speed is held against. Used by
// benches and `incipit bench`, by one thread that owns the pool; never by the engine.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/common/thread_pool.h"
#include "kernels/cpu/isa.h"

namespace incipit::kernels {

struct MachinePeaks {
  Isa isa = Isa::kScalar;
  int n_threads = 1;
  int64_t buffer_bytes = 0;     // what the reading streamed over
  int64_t cache_bytes = 0;      // of the last-level cache, 0 when the system does not say
  double read_bytes_per_s = 0;  // best pass of a sequential read
  double int8_ops_per_s = 0;    // 2 a multiply-add: vpdpbusd; vpmaddubsw + vpaddw; plain C
  double fma_flops_per_s = 0;   // 2 a fused multiply-add of floats
};

struct PeakOptions {
  // 0: twice the last-level cache and at least 1 GiB, but at most a quarter of the memory that is
  // available.
  int64_t buffer_bytes = 0;
  std::chrono::milliseconds time_each{400};  // spent on each figure by one measure()
};

// Holds the buffer, so that a bench can measure before and after its own runs: neighbours on a
// shared machine come and go.
class MachineProbe {
 public:
  // `isa` must be supported. Takes and touches the buffer (about a second for 1 GiB).
  MachineProbe(Isa isa, ThreadPool& pool, const PeakOptions& options = {});

  // Measures again and returns the best of all measurements so far.
  const MachinePeaks& measure();
  const MachinePeaks& peaks() const { return peaks_; }

 private:
  double measure_read();
  double measure_ops(void (*loop)(int64_t iterations), int64_t ops_per_iteration);

  struct Unmap {
    int64_t size_bytes;
    void operator()(std::byte* memory) const;
  };
  ThreadPool& pool_;
  PeakOptions options_;
  MachinePeaks peaks_;
  std::unique_ptr<std::byte, Unmap> buffer_;
};

}  // namespace incipit::kernels
