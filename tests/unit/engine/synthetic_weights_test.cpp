#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "engine/weights/weights.h"
#include "kernels/common/half.h"
#include "kernels/quant/int4_codec.h"
#include "kernels/quant/int8_codec.h"
#include "tests/support/weight_bytes.h"

namespace incipit::engine {
namespace {

using kernels::CpuTile;
using test::bytes_of;

ModelConfig tiny_shape() {
  ModelConfig config = synthetic_model_config("llama-3-8b").value();
  config.hidden = 256;
  config.ffn = 456;  // ends inside a group of 128
  config.n_layers = 3;
  config.n_heads = 4;
  config.n_kv_heads = 2;
  config.head_dim = 64;
  config.vocab = 1003;
  return config;
}

TEST(SyntheticWeights, DependOnTheSeedAndNotOnTheThreads) {
  for (const auto head : {HeadFormat::kInt8, HeadFormat::kF16}) {
    const auto one = synthetic_weights(tiny_shape(), head, 7, 1);
    const auto three = synthetic_weights(tiny_shape(), head, 7, 3);
    const auto other = synthetic_weights(tiny_shape(), head, 8, 3);
    ASSERT_TRUE(one.ok() && three.ok() && other.ok());
    EXPECT_EQ(bytes_of(*one), bytes_of(*three));
    EXPECT_NE(bytes_of(*one), bytes_of(*other));
  }
}

// Deviation of W x over the rows for an x of deviation one, and the largest of them.
double output_size(const kernels::Int4View<CpuTile>& view) {
  double sum = 0;
  for (int32_t row = 0; row < view.shape.rows; ++row) {
    double y = 0;
    for (int32_t col = 0; col < view.shape.cols; ++col) {
      const double x = ((row * 31 + col * 17 + col * col * 7) % 257 - 128) / 74.2;
      y += x * kernels::weight_at(view, row, col);
    }
    sum += y * y;
  }
  return std::sqrt(sum / view.shape.rows);
}

TEST(SyntheticWeights, KeepActivationsOfOrderOne) {
  const ModelConfig config = tiny_shape();
  const auto weights = synthetic_weights(config, HeadFormat::kInt8, 3, 2);
  ASSERT_TRUE(weights.ok());
  const double added = 1 / std::sqrt(2.0 * config.n_layers);
  for (const auto& layer : weights->layers) {
    EXPECT_NEAR(output_size(layer.qkv), 1, 0.3);
    EXPECT_NEAR(output_size(layer.gate_up), 1, 0.3);
    EXPECT_NEAR(output_size(layer.out), added, 0.3 * added);
    EXPECT_NEAR(output_size(layer.down), added, 0.3 * added);
  }
  double sum = 0;
  for (int64_t i = 0; i < int64_t{config.vocab} * config.hidden; ++i) {
    const float value = kernels::half_to_float(weights->embedding[i]);
    sum += static_cast<double>(value) * value;
  }
  EXPECT_NEAR(sum / config.vocab / config.hidden, 1, 0.05);
}

TEST(SyntheticWeights, HoldNeutralValuesInThePadding) {
  const auto weights = synthetic_weights(tiny_shape(), HeadFormat::kInt8, 3, 2);
  ASSERT_TRUE(weights.ok());
  // What a codec makes of the same numbers is what lies in memory, padding included.
  for (const auto* view : {&weights->layers[2].gate_up, &weights->layers[2].down}) {
    std::vector<std::byte> packed(static_cast<size_t>(CpuTile::bytes(view->shape)));
    kernels::pack<CpuTile>(kernels::unpack<CpuTile>(*view), packed);
    EXPECT_EQ(std::memcmp(packed.data(), view->data, packed.size()), 0);
  }
  const auto& head = weights->head_int8;
  const kernels::Int8Matrix plain = kernels::unpack<CpuTile>(head);
  std::vector<std::byte> packed(static_cast<size_t>(kernels::packed_bytes<CpuTile>(head.shape)));
  kernels::pack<CpuTile>(plain, packed);
  EXPECT_EQ(std::memcmp(packed.data(), head.data, packed.size()), 0);
  for (const int8_t q : plain.q) ASSERT_NE(q, -128);
}

}  // namespace
}  // namespace incipit::engine
