#include "engine/kv/page_allocator.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "engine/kv/eviction_queue.h"

namespace incipit::engine {
namespace {

TEST(PageAllocator, HandsOutEachPageOnceAndThenNone) {
  PageAllocator pages(3);
  std::set<PageId> taken;
  for (int i = 0; i < 3; ++i) taken.insert(pages.allocate().value());
  EXPECT_EQ(taken.size(), 3u);
  EXPECT_EQ(pages.n_free(), 0);
  EXPECT_EQ(pages.allocate(), std::nullopt);
}

TEST(PageAllocator, FreesAPageOnlyWithItsLastReference) {
  PageAllocator pages(1);
  const PageId page = pages.allocate().value();
  pages.retain(page);
  EXPECT_EQ(pages.release(page), 1);
  EXPECT_EQ(pages.n_free(), 0);
  EXPECT_EQ(pages.release(page), 0);
  EXPECT_EQ(pages.n_free(), 1);
  EXPECT_EQ(pages.allocate(), page);
}

TEST(PageAllocatorDeathTest, StopsAtAReleaseTooMany) {
  PageAllocator pages(1);
  EXPECT_DEATH(pages.release(PageId{0}), "CHECK failed");
}

TEST(EvictionQueue, PopsInTheOrderOfClassThenAgeUnderRandomChanges) {
  const uint32_t seed = 7;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  EvictionQueue queue(64);
  std::map<int32_t, EvictionQueue::Key> model;
  for (int64_t clock = 0; clock < 20000; ++clock) {
    const auto page = static_cast<int32_t>(random() % 64);
    ASSERT_EQ(queue.contains(page), model.contains(page));
    if (model.contains(page)) {
      queue.erase(page);
      model.erase(page);
    } else {
      const EvictionQueue::Key key{static_cast<int32_t>(random() % 2),
                                   clock - static_cast<int64_t>(random() % 30) * 100};
      queue.push(page, key);
      model[page] = key;
    }
    ASSERT_EQ(queue.empty(), model.empty());
    if (model.empty()) continue;
    const auto first = std::min_element(model.begin(), model.end(),
                                        [](auto& a, auto& b) { return a.second < b.second; });
    ASSERT_EQ(model.at(queue.top()), first->second);
  }
}

}  // namespace
}  // namespace incipit::engine
