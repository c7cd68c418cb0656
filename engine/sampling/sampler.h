// The choice of the next token from the largest logits of a row. A pure function: the draw depends
// on (seed, position) alone, so batching, caching and resuming do not change what comes out.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "engine/base/ids.h"
#include "engine/sampling/sampling_params.h"
#include "kernels/step_params.h"

namespace incipit::engine {

// `candidates` as Model::candidates() gives them: descending. `position` is that of the token to be
// chosen. Nothing when a candidate is not finite: the model has failed for this sequence.
std::optional<TokenId> sample_token(std::span<const kernels::Candidate> candidates,
                                    const SamplingParams& params, int64_t position);

// log P(token), of the probabilities that the candidates have among themselves: a little more than
// the model's, by what lies outside of the largest kMaxCandidates. A token that is none of them has
// the least. 0 for a single candidate.
float log_probability(std::span<const kernels::Candidate> candidates, TokenId token);

// The uniform draw in [0, 1) that belongs to (seed, position).
double uniform_draw(uint64_t seed, int64_t position);

}  // namespace incipit::engine
