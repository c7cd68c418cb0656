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

// Llama 3.1's frequency scaling ("rope_type": "llama3").
struct Llama3RopeScaling {
  double factor = 1;
  double low_freq_factor = 1;
  double high_freq_factor = 4;
  int32_t original_max_positions = 8192;
};

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
  std::optional<Llama3RopeScaling> rope_scaling;
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

// Shapes for `bench --synthetic`: llama-3-8b, llama-3.1-8b, llama-3.2-1b, llama-3.2-3b,
// codellama-7b, pocket.
Result<ModelConfig> synthetic_model_config(std::string_view name);

}  // namespace incipit::engine
