#include "engine/sampling/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/model/model.h"
#include "kernels/common/check.h"

namespace incipit::engine {

namespace {

// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every input bit reaches every output bit.
uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

}  // namespace

double uniform_draw(uint64_t seed, int64_t position) {
  const uint64_t bits = mix(mix(seed) ^ static_cast<uint64_t>(position));
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

std::optional<TokenId> sample_token(std::span<const kernels::Candidate> candidates,
                                    const SamplingParams& params, int64_t position) {
  CHECK(!candidates.empty());
  CHECK_LE(candidates.size(), static_cast<size_t>(kMaxCandidates));
  for (const kernels::Candidate& candidate : candidates)
    if (!std::isfinite(candidate.logit)) return std::nullopt;
  if (params.temperature <= 0) return candidates[0].token;

  // Weights relative to the largest, so that no temperature overflows.
  std::array<double, kMaxCandidates> weights;
  double total = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const double distance = double{candidates[i].logit} - double{candidates[0].logit};
    weights[i] = std::exp(distance / double{params.temperature});
    total += weights[i];
  }
  // The nucleus: the fewest candidates that together hold top_p of the probability.
  size_t n_kept = 0;
  double kept = 0;
  while (n_kept < candidates.size() && (n_kept == 0 || kept < double{params.top_p} * total))
    kept += weights[n_kept++];

  double left = uniform_draw(params.seed, position) * kept;
  for (size_t i = 0; i + 1 < n_kept; ++i) {
    left -= weights[i];
    if (left < 0) return candidates[i].token;
  }
  return candidates[n_kept - 1].token;
}

float log_probability(std::span<const kernels::Candidate> candidates, TokenId token) {
  CHECK(!candidates.empty());
  const double largest = candidates[0].logit;
  double total = 0;
  double chosen = candidates.back().logit;
  for (const kernels::Candidate& candidate : candidates) {
    total += std::exp(double{candidate.logit} - largest);
    if (candidate.token == token) chosen = candidate.logit;
  }
  return static_cast<float>(chosen - largest - std::log(total));
}

}  // namespace incipit::engine
