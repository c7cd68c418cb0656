// ThreadPool: fork-join over index ranges; the caller works too. Owned by whoever owns the kernels'
// caller (the engine's model); one thread at a time calls parallel_for. Workers spin for some
// tens of microseconds after a job, then sleep. A worker that the operating system has not
// scheduled is not waited for unless it has already taken work, so a core taken by another program
// costs its share and no more.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "kernels/common/function_ref.h"

namespace incipit::kernels {

// Physical cores among the CPUs that this thread may run on (affinity mask, /sys topology); >= 1.
int physical_cores_available();

class ThreadPool {
 public:
  // n_threads counts the caller: 1 starts no thread; 0 takes physical_cores_available().
  explicit ThreadPool(int n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int n_threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(begin, end) on disjoint ranges that cover [0, n_items) and returns when all have
  // returned. Ranges hold at least min_items items (the last may hold fewer) and are handed out in
  // ascending order, long ones first; runs inline when there is one range. No allocation. The body
  // must not throw and must not call parallel_for.
  void parallel_for(int64_t n_items, int64_t min_items,
                    FunctionRef<void(int64_t begin, int64_t end)> body);

 private:
  void work();
  void run_ranges();
  uint32_t wait_for_job(uint32_t seen_generation);

  // The job. Written by the caller while no worker is inside, read by workers that entered.
  const FunctionRef<void(int64_t, int64_t)>* body_ = nullptr;
  int64_t n_items_ = 0;
  int64_t min_items_ = 1;

  alignas(64) std::atomic<int64_t> next_item_{0};
  // Bits 0-9: workers inside the job; bit 10: open for entering; bit 11: stop; 12-31: generation.
  alignas(64) std::atomic<uint32_t> state_{0};
  std::vector<std::thread> workers_;
};

}  // namespace incipit::kernels
