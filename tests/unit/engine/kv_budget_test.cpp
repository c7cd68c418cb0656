#include "engine/kv/kv_budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/weights/memory_block.h"

namespace incipit::engine {
namespace {

using ::testing::HasSubstr;

ModelConfig pocket_shape() {
  ModelConfig config;
  config.n_layers = 12;
  config.n_kv_heads = 4;
  config.head_dim = 64;
  return config;
}
constexpr int64_t kPageBytes = 2 * 12 * 4 * 64 * 2 * 16;  // keys and values, fp16, 16 tokens

TEST(KvBudget, GivesRoomForFourContextsByDefault) {
  EXPECT_EQ(kv_pages_for(pocket_shape(), 0, 2048, int64_t{1} << 40).value(), 4 * 128);
  EXPECT_EQ(kv_pages_for(pocket_shape(), 0, 2041, 0).value(), 4 * 128) << "memory unknown";
}

TEST(KvBudget, TakesAtMostAQuarterOfTheAvailableMemory) {
  EXPECT_EQ(kv_pages_for(pocket_shape(), 0, 2048, 400 * kPageBytes).value(), 100);
}

TEST(KvBudget, TakesTheBytesThatWereAskedFor) {
  EXPECT_EQ(kv_pages_for(pocket_shape(), 10 * kPageBytes + 5, 2048, 1).value(), 10);
}

TEST(KvBudget, RefusesABudgetThatHoldsNoPage) {
  const Result<int32_t> small = kv_pages_for(pocket_shape(), kPageBytes - 1, 2048, 0);
  ASSERT_FALSE(small.ok());
  EXPECT_THAT(small.error().message, HasSubstr("196607 bytes holds no page"));
  EXPECT_THAT(small.error().message, HasSubstr("takes 196608 bytes"));
  EXPECT_FALSE(kv_pages_for(pocket_shape(), -1, 2048, 0).ok());
}

TEST(KvBudget, SeesThisMachinesMemory) {
  EXPECT_GT(available_memory_bytes(), 0);
}

}  // namespace
}  // namespace incipit::engine
