// Hyper-parameters of a Llama-architecture model, read from Hugging Face's config.json and checked.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/result.h"
#include "kernels/common/kv_type.h"

namespace incipit::engine {

enum class RopeScalingType {
  kLlama3,  // Llama 3.1's
  kLinear,  // position interpolation (Chen et al. 2023): all frequencies / factor
  kYarn,    // Peng et al. 2023, arXiv 2309.00071
};
const char* name_of(RopeScalingType type);  // as in "rope_type"

// How RoPE's angles stretch from the context of the training to a longer one. Fixed for the life of
// a model: keys that the prefix cache holds were turned by it.
struct RopeScaling {
  RopeScalingType type = RopeScalingType::kLlama3;
  double factor = 1;
  int32_t original_max_positions = 8192;
  // Llama 3: of the waves in the original context, so many or fewer stretch wholly, so many or more
  // not at all.
  double low_freq_factor = 1;
  double high_freq_factor = 4;
  // YaRN: the same the other way round, but as a ramp over the pairs' numbers.
  double beta_fast = 32;
  double beta_slow = 1;
  double attention_factor = 1;  // of queries and keys, and so squared of the scores
};
// YaRN's own choice: 0.1 ln(factor) + 1.
double yarn_attention_factor(double factor);

struct ModelConfig {
  int32_t hidden = 0;
  int32_t ffn = 0;
  int32_t n_layers = 0;
  int32_t n_heads = 0;
  int32_t n_kv_heads = 0;
  int32_t head_dim = 0;
  int32_t vocab = 0;
  int32_t max_positions = 0;
  float norm_eps = 0;
  double rope_theta = 0;
  std::optional<RopeScaling> rope_scaling;
  bool tied_head = false;
  TokenId bos = -1;  // -1: none
  std::vector<TokenId> eos;

  int32_t qkv_rows() const { return (n_heads + 2 * n_kv_heads) * head_dim; }
  int32_t attention_dim() const { return n_heads * head_dim; }
  int64_t kv_bytes_per_token(kernels::KvType type = kernels::KvType::kF16) const {
    return int64_t{2} * n_layers * n_kv_heads * kernels::kv_bytes_of_token(type, head_dim);
  }
};

// Errors name the file, the key, what is wanted and what was found.
Result<ModelConfig> parse_model_config(std::string_view json, const std::string& where);
Result<ModelConfig> load_model_config(const std::filesystem::path& model_dir);

// The same model for a context that is longer than what it was trained for: by YaRN with a factor
// that follows from the context alone. Does nothing where the model knows so many positions.
// kInvalidArgument beyond kLongestYarnFactor times, or where angles are scaled already.
inline constexpr int32_t kLongestYarnFactor = 8;
Result<void> extend_context(ModelConfig& config, int32_t context_tokens);

// Shapes for `bench --synthetic`: llama-3-8b, llama-3.1-8b, llama-3.2-1b, llama-3.2-3b,
// codellama-7b, pocket.
Result<ModelConfig> synthetic_model_config(std::string_view name);

}  // namespace incipit::engine
