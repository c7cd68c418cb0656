#include "kernels/common/thread_pool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <mutex>
#include <numeric>

namespace incipit::kernels {
namespace {

TEST(ThreadPool, CallsEveryIndexOnceForAnySizeAndAnyThreads) {
  for (const int n_threads : {1, 2, 3, 7}) {
    ThreadPool pool(n_threads);
    EXPECT_EQ(pool.n_threads(), n_threads);
    for (const int64_t n : {0, 1, 2, 3, 15, 16, 100, 1001}) {
      for (const int64_t min_items : {1, 4, 1000}) {
        std::vector<std::atomic<int>> calls(static_cast<size_t>(n));
        pool.parallel_for(n, min_items, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) calls[static_cast<size_t>(i)].fetch_add(1);
        });
        for (const auto& count : calls) ASSERT_EQ(count.load(), 1);
      }
    }
  }
}

TEST(ThreadPool, KeepsRangesAtTheWantedLengthButForTheLast) {
  ThreadPool pool(4);
  std::mutex mutex;
  std::vector<std::pair<int64_t, int64_t>> ranges;
  pool.parallel_for(1003, 10, [&](int64_t begin, int64_t end) {
    const std::lock_guard lock(mutex);
    ranges.emplace_back(begin, end);
  });
  for (const auto& [begin, end] : ranges) {
    if (end != 1003) {
      EXPECT_GE(end - begin, 10);
    }
  }
}

TEST(ThreadPool, MakesWritesOfTheBodyVisibleToTheCallerAndTheNextJob) {
  ThreadPool pool(4);
  std::vector<int> values(257, 0);  // plain ints: ThreadSanitizer judges the hand-over
  for (int round = 1; round <= 2000; ++round) {
    pool.parallel_for(257, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        values[static_cast<size_t>(i)] += values[static_cast<size_t>(i)] == round - 1 ? 1 : 1000;
      }
    });
    if (round % 500 == 0) {
      ASSERT_EQ(std::accumulate(values.begin(), values.end(), 0), 257 * round);
    }
  }
}

TEST(ThreadPool, FinishesJobsThatComeAfterTheWorkersFellAsleep) {
  ThreadPool pool(3);
  for (int round = 0; round < 20; ++round) {
    // Longer than the workers spin: they are inside the kernel's wait.
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic<int64_t> sum{0};
    pool.parallel_for(64, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) sum.fetch_add(i);
    });
    ASSERT_EQ(sum.load(), 64 * 63 / 2);
  }
}

TEST(ThreadPool, LetsSeveralThreadsWorkAtTheSameTime) {
  ThreadPool pool(2);
  std::atomic<int> inside{0};
  // Each of two bodies waits until the other has begun: with one thread this would not end.
  pool.parallel_for(2, 1, [&](int64_t, int64_t) {
    inside.fetch_add(1);
    inside.notify_all();
    for (int seen = inside.load(); seen < 2; seen = inside.load()) inside.wait(seen);
  });
  EXPECT_EQ(inside.load(), 2);
}

TEST(ThreadPool, StopsWithoutEverHavingWorked) {
  for (int i = 0; i < 50; ++i) ThreadPool pool(4);
}

TEST(ThreadPool, FindsAtLeastOneCoreAndNoMoreThanTheCpus) {
  const int cores = physical_cores_available();
  EXPECT_GE(cores, 1);
  EXPECT_LE(cores, static_cast<int>(std::max(1u, std::thread::hardware_concurrency())));
}

}  // namespace
}  // namespace incipit::kernels
