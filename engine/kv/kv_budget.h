// How many KV pages an engine gets. Pure, but for available_memory_bytes().
#pragma once

#include <cstdint>

#include "engine/base/result.h"
#include "engine/config/model_config.h"

namespace incipit::engine {

// What this process could still take without swapping: /proc/meminfo's MemAvailable, or what its
// cgroup leaves if that is less. 0: unknown.
int64_t available_memory_bytes();

// kv_bytes 0: room for four full contexts, at most a quarter of the available memory. Errors name
// the budget and what a page takes.
Result<int32_t> kv_pages_for(const ModelConfig& config, int64_t kv_bytes, int32_t context_tokens,
                             int64_t available_bytes);

}  // namespace incipit::engine
