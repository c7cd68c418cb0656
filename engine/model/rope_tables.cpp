#include "engine/model/rope_tables.h"

#include <cmath>
#include <numbers>

namespace incipit::engine {

namespace {

// Llama 3.1 (Hugging Face's rope_type "llama3"): pairs whose wave is short against the original
// context keep their frequency, long waves are stretched by `factor`, and in between the two are
// blended.
double scaled(double frequency, const Llama3RopeScaling& scaling) {
  const double wave_tokens = 2 * std::numbers::pi / frequency;
  const double waves = scaling.original_max_positions / wave_tokens;  // in the original context
  if (waves < scaling.low_freq_factor) return frequency / scaling.factor;
  if (waves > scaling.high_freq_factor) return frequency;
  const double kept =
      (waves - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor);
  return (1 - kept) * frequency / scaling.factor + kept * frequency;
}

}  // namespace

std::vector<double> rope_frequencies(const ModelConfig& config) {
  std::vector<double> frequencies;
  for (int32_t i = 0; i < config.head_dim / 2; ++i) {
    const double frequency = std::pow(config.rope_theta, -2.0 * i / config.head_dim);
    frequencies.push_back(config.rope_scaling ? scaled(frequency, *config.rope_scaling)
                                              : frequency);
  }
  return frequencies;
}

RopeTables make_rope_tables(const ModelConfig& config, int32_t n_positions) {
  const std::vector<double> frequencies = rope_frequencies(config);
  RopeTables tables;
  const size_t n = static_cast<size_t>(n_positions) * frequencies.size();
  tables.cos.reserve(n);
  tables.sin.reserve(n);
  for (int32_t position = 0; position < n_positions; ++position)
    for (double frequency : frequencies) {
      tables.cos.push_back(static_cast<float>(std::cos(position * frequency)));
      tables.sin.push_back(static_cast<float>(std::sin(position * frequency)));
    }
  return tables;
}

}  // namespace incipit::engine
