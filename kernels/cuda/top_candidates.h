// The largest logits of each row. Launches only; a plain C++ header.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/launch.h"
#include "kernels/step_params.h"

namespace incipit::kernels::cuda {

inline constexpr int32_t kMostCandidates = 64;

int64_t top_candidates_scratch_bytes(int32_t max_logit_rows, int32_t vocab);

// Descending; equal logits in ascending token order; NaN counts as the largest, so that it is seen.
// n_candidates <= kMostCandidates. `params.out` may be pinned host memory.
void top_candidates(const TopCandidatesParams& params, std::byte* scratch,
                    const LaunchContext& context);

}  // namespace incipit::kernels::cuda
