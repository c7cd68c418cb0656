// What a user may choose about the engine. Plain data with defaults.
#pragma once

#include <cstdint>
#include <string>

namespace incipit::engine {

enum class HeadFormat { kInt8, kF16 };
enum class PrefixCaching { kOn, kOff };

struct EngineOptions {
  std::string model =
      "pocket";  // a name known to the model registry, or a directory in Hugging Face layout
  int32_t n_threads = 0;  // 0: one per physical core this process may use
  int64_t kv_bytes =
      0;  // budget for KV pages; 0: room for four full contexts, at most a quarter of free memory
  int32_t context_tokens = 0;  // longest sequence; 0: what the model was trained for, at most 8192
  int32_t max_batch = 8;       // sequences in one step
  int32_t prefill_chunk = 64;  // prompt rows in one step
  HeadFormat head_format = HeadFormat::kInt8;
  PrefixCaching prefix_caching = PrefixCaching::kOn;
  std::string isa;  // "", "scalar", "avx2", "avx512": force an instruction set (tests, benches)
  std::string cache_dir;  // packed weights; empty: $XDG_CACHE_HOME/incipit or ~/.cache/incipit
};

}  // namespace incipit::engine
