// PageTable: the KV pages of one sequence, in order: entry i holds positions 16 i .. 16 i + 15. The
// sequence holds one reference to each.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/base/ids.h"
#include "kernels/common/math.h"
#include "kernels/step_params.h"

namespace incipit::engine {

using kernels::kPageTokens;
using PageTable = std::vector<PageId>;

constexpr int32_t pages_for(int64_t n_tokens) {
  return static_cast<int32_t>(kernels::ceil_div(n_tokens, kPageTokens));
}

}  // namespace incipit::engine
