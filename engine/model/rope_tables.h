// Cosines and sines of rotary position embedding (Su et al. 2021) for the positions of a context,
// with the frequency scaling of the model (RopeScaling), and what YaRN multiplies queries and keys
// by. Computed once, in double.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/config/model_config.h"

namespace incipit::engine {

// The angle that pair i turns by per position; [head_dim / 2].
std::vector<double> rope_frequencies(const ModelConfig& config);

struct RopeTables {
  std::vector<float> cos;  // [n_positions, head_dim / 2]
  std::vector<float> sin;  // [n_positions, head_dim / 2]
};
RopeTables make_rope_tables(const ModelConfig& config, int32_t n_positions);

}  // namespace incipit::engine
