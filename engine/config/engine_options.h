// What a user may choose about the engine. Plain data with defaults, and how the texts in it are
// read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/result.h"
#include "kernels/common/kv_type.h"

namespace incipit::engine {

enum class HeadFormat { kInt8, kF16 };
enum class PrefixCaching { kOn, kOff };

inline constexpr int32_t kMaxDraftTokens = 31;

struct EngineOptions {
  // A name known to the model registry, or a directory in Hugging Face layout; empty: the user's
  // default model (`incipit model default`), else pocket.
  std::string model;
  // Benches: random weights of this shape ("llama-3-8b") under the tokenizer of `model`.
  std::string synthetic;
  int32_t n_threads = 0;        // 0: one per physical core this process may use
  std::string device = "auto";  // "auto", "cpu", "cuda" or "cuda:N" (see parse_device())
  std::string gpu_memory;       // "11GiB" or "0.9" of what is free; empty: 0.9
  std::string kv_type = "f16";  // keys and values in pages: "f16", or "int8" (CUDA alone)
  // Budget for KV pages; 0: room for four full contexts, on the CPU at most a quarter of the free
  // memory, on a GPU what gpu_memory leaves (all of that when gpu_memory is given).
  int64_t kv_bytes = 0;
  // How much of the prefix cache is kept on disk from one run to the next: "2GiB"; empty or "0":
  // nothing.
  std::string kv_disk;
  std::string prompt_layout;   // of completions, see choose_prompt_layout(); empty: auto
  int32_t context_tokens = 0;  // longest sequence; 0: what the model was trained for, at most 8192;
                               // more than that: by YaRN (extend_context)
  int32_t max_batch = 8;       // sequences in one step
  int32_t prefill_chunk = 0;   // prompt rows in one step; 0: what is best for the device
  HeadFormat head_format = HeadFormat::kInt8;
  PrefixCaching prefix_caching = PrefixCaching::kOn;
  // Tokens guessed ahead in a decode step, 0..kMaxDraftTokens; -1: what is best for the device. The
  // same tokens come out, in fewer steps where the text repeats itself.
  int32_t draft_tokens = -1;
  std::string isa;  // "", "scalar", "avx2", "avx512": force an instruction set (tests, benches)
  std::string cache_dir;  // packed weights; empty: $XDG_CACHE_HOME/incipit or ~/.cache/incipit
};

// "f16" or "int8".
Result<kernels::KvType> parse_kv_type(std::string_view text);
const char* name_of(kernels::KvType type);

// Bytes of "2GiB" or "500MB" (units as in parse_memory_budget()); 0 for "" and "0".
Result<int64_t> parse_kv_disk(std::string_view text);

struct DeviceWish {
  enum class Kind {
    kAuto,  // CUDA where it can be used and the model fits, else the CPU
    kCpu,
    kCuda
  };
  Kind kind = Kind::kAuto;
  int32_t cuda_index = 0;
};

// "auto", "cpu", "cuda" (the first device) or "cuda:N".
Result<DeviceWish> parse_device(std::string_view text);

// The options' kv_type: what a CUDA device gets. "int8" with the device "cpu" is an error; where
// the CPU only stands in for a device, it has fp16.
Result<kernels::KvType> choose_kv_type(const EngineOptions& options);

// Memory of the device for weights, workspace and KV pages together.
struct MemoryBudget {
  int64_t bytes = 0;      // 0: the fraction counts
  double fraction = 0.9;  // of what is free
  bool is_given = false;  // by the user: then KV pages take all that is left

  int64_t of(int64_t free_bytes) const {
    return bytes > 0 ? bytes : static_cast<int64_t>(fraction * static_cast<double>(free_bytes));
  }
};

// "11GiB", "900MB", "0.9" (a fraction, at most 1); empty: the default. Units: B, kB, MB, GB of
// thousands; KiB, MiB, GiB of 1024.
Result<MemoryBudget> parse_memory_budget(std::string_view text);

}  // namespace incipit::engine
