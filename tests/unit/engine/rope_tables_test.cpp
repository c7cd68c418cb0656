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
  config.rope_scaling = RopeScaling{
      .factor = 8, .original_max_positions = 8192, .low_freq_factor = 1, .high_freq_factor = 4};
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

// Expected values: transformers' formula (_compute_yarn_parameters) in a program of its own, for
// theta 500,000, heads of 128 and twice 8,192 positions: its ramp is from pair 18 to pair 35.
TEST(RopeTables, StretchesSlowPairsAsYarnDoes) {
  ModelConfig config = config_with(500000, 128);
  const std::vector<double> plain = rope_frequencies(config);
  config.max_positions = 8192;
  ASSERT_TRUE(extend_context(config, 16384).ok());
  const std::vector<double> f = rope_frequencies(config);
  for (size_t i = 0; i <= 18; ++i) EXPECT_EQ(f[i], plain[i]) << i;
  EXPECT_NEAR(f[18], 0.024955408670558694, 1e-16);
  EXPECT_NEAR(f[25], 0.004717638827741885, 1e-17);
  EXPECT_NEAR(f[30], 0.001378959700354801, 1e-17);
  EXPECT_NEAR(f[34], 0.0004968391078362601, 1e-18);
  for (size_t i = 35; i < 64; ++i) EXPECT_NEAR(f[i], plain[i] / 2, 1e-18) << i;

  constexpr double kSize = 1.0693147180559945;  // 0.1 ln 2 + 1
  const RopeTables tables = make_rope_tables(config, 3);
  EXPECT_FLOAT_EQ(tables.cos[0], static_cast<float>(kSize));
  EXPECT_FLOAT_EQ(tables.sin[2 * 64 + 30], static_cast<float>(kSize * std::sin(2 * f[30])));
}

TEST(RopeTables, DividesAllFrequenciesInLinearScaling) {
  ModelConfig config = config_with(10000, 64);
  const std::vector<double> plain = rope_frequencies(config);
  config.rope_scaling = RopeScaling{.type = RopeScalingType::kLinear, .factor = 4};
  const std::vector<double> f = rope_frequencies(config);
  for (size_t i = 0; i < f.size(); ++i) EXPECT_DOUBLE_EQ(f[i], plain[i] / 4) << i;
}

}  // namespace
}  // namespace incipit::engine
