#include "kernels/common/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <string>
#include <utility>

#include "kernels/common/check.h"
#include "kernels/common/math.h"

namespace incipit::kernels {

namespace {

constexpr uint32_t kInsideMask = (1u << 10) - 1;
constexpr uint32_t kOpen = 1u << 10;
constexpr uint32_t kStop = 1u << 11;
constexpr uint32_t kGenerationShift = 12;
constexpr uint32_t kGenerationMask = ~((1u << kGenerationShift) - 1);

constexpr int kMaxThreads = 512;
// A pause is 40-140 cycles on current cores: 15-40 microseconds of spinning, longer than what the
// caller does alone between two products of 8 rows (such a step of pocket on two threads: 300
// pauses 1.95 ms, 1000 1.65 ms, 3000 1.65 ms) and far shorter than a scheduler's slice.
constexpr int kSpins = 1000;
// Guided ranges: each takes this share of what is left, so that the last ones are small and the
// threads finish together, and the first ones are long streams.
constexpr int64_t kSharesPerThread = 2;

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

int read_int(const std::string& path, int fallback) {
  std::ifstream file(path);
  int value = 0;
  return file >> value ? value : fallback;
}

}  // namespace

int physical_cores_available() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) {
    return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  }
  std::set<std::pair<int, int>> cores;  // {package, core}
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    const std::string topology = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    // Without a topology every CPU counts as a core of its own.
    cores.emplace(read_int(topology + "physical_package_id", -1),
                  read_int(topology + "core_id", 1'000'000 + cpu));
  }
  return std::max(1, static_cast<int>(cores.size()));
}

ThreadPool::ThreadPool(int n_threads) {
  if (n_threads <= 0) n_threads = physical_cores_available();
  n_threads = std::min(n_threads, kMaxThreads);
  workers_.reserve(static_cast<size_t>(n_threads - 1));
  for (int i = 1; i < n_threads; ++i) workers_.emplace_back([this] { work(); });
}

ThreadPool::~ThreadPool() {
  state_.fetch_or(kStop, std::memory_order_release);
  state_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::parallel_for(int64_t n_items, int64_t min_items,
                              FunctionRef<void(int64_t begin, int64_t end)> body) {
  if (n_items <= 0) return;
  min_items = std::max(min_items, int64_t{1});
  if (workers_.empty() || n_items <= min_items) {
    body(0, n_items);
    return;
  }
  const uint32_t before = state_.load(std::memory_order_acquire);
  CHECK((before & (kOpen | kInsideMask)) == 0);  // one caller at a time, no nesting
  body_ = &body;
  n_items_ = n_items;
  min_items_ = min_items;
  next_item_.store(0, std::memory_order_relaxed);
  // Nobody else writes the state now: workers enter only while it is open.
  const uint32_t generation = (before + (1u << kGenerationShift)) & kGenerationMask;
  state_.store(generation | kOpen, std::memory_order_release);
  state_.notify_all();

  run_ranges();

  uint32_t state = state_.fetch_and(~kOpen, std::memory_order_acq_rel) & ~kOpen;
  for (int spin = 0; (state & kInsideMask) != 0; ++spin) {
    if (spin < kSpins) {
      pause_cpu();
    } else {
      state_.wait(state, std::memory_order_acquire);
    }
    state = state_.load(std::memory_order_acquire);
  }
}

void ThreadPool::run_ranges() {
  const int64_t n_shares = int64_t{n_threads()} * kSharesPerThread;
  int64_t begin = next_item_.load(std::memory_order_relaxed);
  while (begin < n_items_) {
    const int64_t share = std::max(min_items_, ceil_div(n_items_ - begin, n_shares));
    const int64_t end = std::min(begin + share, n_items_);
    if (!next_item_.compare_exchange_weak(begin, end, std::memory_order_relaxed)) continue;
    (*body_)(begin, end);
    begin = next_item_.load(std::memory_order_relaxed);
  }
}

// Returns the state seen when it belongs to another generation than the one given, or says stop.
uint32_t ThreadPool::wait_for_job(uint32_t seen_generation) {
  for (int spin = 0;; ++spin) {
    const uint32_t state = state_.load(std::memory_order_acquire);
    if ((state & kStop) != 0 || (state & kGenerationMask) != seen_generation) return state;
    if (spin < kSpins) {
      pause_cpu();
    } else {
      state_.wait(state, std::memory_order_acquire);
    }
  }
}

void ThreadPool::work() {
  uint32_t seen_generation = 0;
  for (;;) {
    uint32_t state = wait_for_job(seen_generation);
    if ((state & kStop) != 0) return;
    seen_generation = state & kGenerationMask;
    bool entered = false;
    while (!entered && (state & kOpen) != 0) {
      entered = state_.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel,
                                             std::memory_order_acquire);
    }
    if (!entered) continue;  // came too late: the others have done the work
    seen_generation = state & kGenerationMask;
    run_ranges();
    const uint32_t left = state_.fetch_sub(1, std::memory_order_acq_rel) - 1;
    if ((left & (kOpen | kInsideMask)) == 0) state_.notify_all();  // the caller may sleep on us
  }
}

}  // namespace incipit::kernels
