#include "engine/model/rope_tables.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace incipit::engine {

namespace {

// Llama 3.1 (Hugging Face's rope_type "llama3"): pairs whose wave is short against the original
// context keep their frequency, long waves are stretched by `factor`, and in between the two are
// blended.
double llama3_scaled(double frequency, const RopeScaling& scaling) {
  const double wave_tokens = 2 * std::numbers::pi / frequency;
  const double waves = scaling.original_max_positions / wave_tokens;  // in the original context
  if (waves < scaling.low_freq_factor) return frequency / scaling.factor;
  if (waves > scaling.high_freq_factor) return frequency;
  const double kept =
      (waves - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor);
  return (1 - kept) * frequency / scaling.factor + kept * frequency;
}

// The (fractional) number of the pair that turns so many times in the original context.
double pair_with_turns(double n_turns, const ModelConfig& config) {
  const double wave_tokens = config.rope_scaling->original_max_positions / n_turns;
  return config.head_dim * std::log(wave_tokens / (2 * std::numbers::pi)) /
         (2 * std::log(config.rope_theta));
}

// YaRN, section 3.2: pairs up to the one of beta_fast turns keep their frequency, those from the
// one of beta_slow turns on are stretched, a ramp between them. Rounded outwards, as transformers
// does.
double yarn_scaled(double frequency, int32_t pair, const ModelConfig& config) {
  const RopeScaling& scaling = *config.rope_scaling;
  const double low = std::max(std::floor(pair_with_turns(scaling.beta_fast, config)), 0.0);
  const double high =
      std::min(std::ceil(pair_with_turns(scaling.beta_slow, config)), config.head_dim - 1.0);
  const double width = high == low ? 0.001 : high - low;
  const double stretched = std::clamp((pair - low) / width, 0.0, 1.0);
  return stretched * frequency / scaling.factor + (1 - stretched) * frequency;
}

double scaled(double frequency, int32_t pair, const ModelConfig& config) {
  if (!config.rope_scaling) return frequency;
  switch (config.rope_scaling->type) {
    case RopeScalingType::kLlama3:
      return llama3_scaled(frequency, *config.rope_scaling);
    case RopeScalingType::kLinear:
      return frequency / config.rope_scaling->factor;
    case RopeScalingType::kYarn:
      return yarn_scaled(frequency, pair, config);
  }
  return frequency;
}

}  // namespace

std::vector<double> rope_frequencies(const ModelConfig& config) {
  std::vector<double> frequencies;
  for (int32_t i = 0; i < config.head_dim / 2; ++i) {
    const double frequency = std::pow(config.rope_theta, -2.0 * i / config.head_dim);
    frequencies.push_back(scaled(frequency, i, config));
  }
  return frequencies;
}

RopeTables make_rope_tables(const ModelConfig& config, int32_t n_positions) {
  const std::vector<double> frequencies = rope_frequencies(config);
  const double size = config.rope_scaling ? config.rope_scaling->attention_factor : 1.0;
  RopeTables tables;
  const size_t n = static_cast<size_t>(n_positions) * frequencies.size();
  tables.cos.reserve(n);
  tables.sin.reserve(n);
  for (int32_t position = 0; position < n_positions; ++position)
    for (double frequency : frequencies) {
      tables.cos.push_back(static_cast<float>(size * std::cos(position * frequency)));
      tables.sin.push_back(static_cast<float>(size * std::sin(position * frequency)));
    }
  return tables;
}

}  // namespace incipit::engine
