// How the next token is chosen. Plain data.
#pragma once

#include <cstdint>

namespace incipit::engine {

struct SamplingParams {
  float temperature = 0;  // 0: greedy
  float top_p = 1;        // (0, 1]; over at most kMaxCandidates tokens
  uint64_t seed = 0;      // the draw depends on (seed, position) alone
};

}  // namespace incipit::engine
