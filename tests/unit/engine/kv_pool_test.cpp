// Where a pool has the pages of its layers, for both types of keys and values.
#include "engine/kv/kv_pool.h"

#include <gtest/gtest.h>

#include "engine/model/host_buffer.h"

namespace incipit::engine {
namespace {

using kernels::KvType;

ModelConfig three_layers() {
  ModelConfig config;
  config.n_layers = 3;
  config.n_kv_heads = 2;
  config.head_dim = 64;
  return config;
}

int64_t distance(const void* from, const void* to) {
  return static_cast<const std::byte*>(to) - static_cast<const std::byte*>(from);
}

TEST(KvPool, HasKeysAndValuesOfEachLayerAHalfLayerApart) {
  for (const KvType type : {KvType::kF16, KvType::kInt8}) {
    const ModelConfig config = three_layers();
    const auto pool = KvPool<HostBuffer>::create(config, type, 5).value();
    const int64_t page = type == KvType::kInt8 ? 16 * 2 * (64 + 4) : 16 * 2 * 64 * 2;
    EXPECT_EQ(pool.page_bytes(), page);
    EXPECT_EQ(pool.half_layer_bytes(), 5 * page);
    EXPECT_EQ(pool.size_bytes(), 2 * 3 * 5 * page);
    EXPECT_EQ(pool.size_bytes(), 5 * kPageTokens * config.kv_bytes_per_token(type));
    const void* const first = pool.layer(0).k_pages;
    for (int32_t i = 0; i < 3; ++i) {
      const kernels::KvLayerView layer = pool.layer(i);
      EXPECT_EQ(layer.type, type) << "a view says what its pages are";
      EXPECT_EQ(distance(first, layer.k_pages), 2 * i * 5 * page);
      EXPECT_EQ(distance(first, layer.v_pages), (2 * i + 1) * 5 * page);
    }
    EXPECT_EQ(distance(first, pool.first_keys(PageId{3})), 3 * page);
  }
}

}  // namespace
}  // namespace incipit::engine
