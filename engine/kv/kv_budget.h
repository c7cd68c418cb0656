// How many KV pages an engine gets. Pure.
#pragma once

#include <cstdint>

#include "engine/base/result.h"
#include "engine/config/model_config.h"

namespace incipit::engine {

// kv_bytes 0: room for four full contexts, at most a quarter of the available memory.
// `available_bytes` below 1: unknown. Errors name the budget and what a page takes.
Result<int32_t> kv_pages_for(const ModelConfig& config, int64_t kv_bytes, int32_t context_tokens,
                             int64_t available_bytes);

}  // namespace incipit::engine
