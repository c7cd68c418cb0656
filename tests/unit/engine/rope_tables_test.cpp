#include "engine/model/rope_tables.h"

#include <gtest/gtest.h>

#include <cmath>

namespace incipit::engine {
namespace {

ModelConfig config_with(double theta, int32_t head_dim) {
  ModelConfig config;
  config.rope_theta = theta;
  config.head_dim = head_dim;
  return config;
}

TEST(RopeTables, TurnsPairsByPowersOfTheta) {
  const std::vector<double> f = rope_frequencies(config_with(10000, 64));
  ASSERT_EQ(f.size(), 32u);
  EXPECT_DOUBLE_EQ(f[0], 1);
  EXPECT_NEAR(f[16], 0.01, 1e-15);  // 10000^(-32/64)
  EXPECT_NEAR(f[31], 1.333521432163324e-4, 1e-16);
}

TEST(RopeTables, HoldsCosineAndSineOfPositionTimesFrequency) {
  const ModelConfig config = config_with(10000, 64);
  const RopeTables tables = make_rope_tables(config, 2048);
  ASSERT_EQ(tables.cos.size(), 2048u * 32);
  EXPECT_EQ(tables.cos[0], 1.0F);
  EXPECT_EQ(tables.sin[0], 0.0F);
  EXPECT_FLOAT_EQ(tables.cos[2047 * 32], static_cast<float>(std::cos(2047.0)));
  EXPECT_FLOAT_EQ(tables.sin[2047 * 32 + 16], static_cast<float>(std::sin(20.47)));
}

// Expected values: Llama 3.1's published parameters, computed by hand from its definition.
TEST(RopeTables, ScalesLongWavesAsLlama31Does) {
  ModelConfig config = config_with(500000, 128);
  const std::vector<double> plain = rope_frequencies(config);
  config.rope_scaling = Llama3RopeScaling{
      .factor = 8, .low_freq_factor = 1, .high_freq_factor = 4, .original_max_positions = 8192};
  const std::vector<double> f = rope_frequencies(config);
  const double pi = 3.14159265358979323846;
  int n_kept = 0;
  int n_blended = 0;
  int n_stretched = 0;
  for (size_t i = 0; i < f.size(); ++i) {
    const double wave = 2 * pi / plain[i];
    if (wave < 8192.0 / 4) {
      EXPECT_EQ(f[i], plain[i]) << i;
      ++n_kept;
    } else if (wave > 8192.0) {
      EXPECT_DOUBLE_EQ(f[i], plain[i] / 8) << i;
      ++n_stretched;
    } else {
      const double smooth = (8192.0 / wave - 1) / 3;
      EXPECT_NEAR(f[i], (1 - smooth) * plain[i] / 8 + smooth * plain[i], 1e-18) << i;
      ++n_blended;
    }
  }
  EXPECT_EQ(n_kept, 29);
  EXPECT_EQ(n_blended, 6);
  EXPECT_EQ(n_stretched, 29);
}

}  // namespace
}  // namespace incipit::engine
