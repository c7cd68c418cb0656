#include "engine/kv/kv_budget.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "engine/kv/page_table.h"

namespace incipit::engine {

namespace {

constexpr int64_t kContexts = 4;
constexpr int64_t kMemoryShare = 4;  // a quarter

}  // namespace

Result<int32_t> kv_pages_for(const ModelConfig& config, int64_t kv_bytes, int32_t context_tokens,
                             int64_t available_bytes) {
  const int64_t page_bytes = config.kv_bytes_per_token() * kPageTokens;
  int64_t budget = kv_bytes;
  if (budget < 0)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("kv_bytes: want 0 (automatic) or more, found {}", kv_bytes)};
  if (budget == 0) {
    budget = kContexts * pages_for(context_tokens) * page_bytes;
    if (available_bytes > 0) budget = std::min(budget, available_bytes / kMemoryShare);
  }
  if (budget < page_bytes)
    return Error{kv_bytes == 0 ? ErrorCode::kOutOfMemory : ErrorCode::kInvalidArgument,
                 fmt::format("kv_bytes: a budget of {} bytes holds no page; one page of {} tokens "
                             "takes {} bytes",
                             budget, kPageTokens, page_bytes)};
  return static_cast<int32_t>(
      std::min<int64_t>(budget / page_bytes, std::numeric_limits<int32_t>::max() / kPageTokens));
}

}  // namespace incipit::engine
