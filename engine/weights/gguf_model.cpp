#include "engine/weights/gguf_model.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>
#include <optional>
#include <string>
#include <utility>

#include "engine/weights/float_tensor.h"
#include "engine/weights/gguf_metadata.h"

namespace incipit::engine {
namespace {

using Json = nlohmann::json;
using Metadata = GgufMetadata;

struct NameRow {
  const char* gguf;
  const char* hugging_face;
};

constexpr std::array<NameRow, 3> kModelNames = {{{"token_embd.weight", "model.embed_tokens.weight"},
                                                 {"output_norm.weight", "model.norm.weight"},
                                                 {"output.weight", "lm_head.weight"}}};
constexpr std::array<NameRow, 16> kLayerNames = {
    {{"attn_norm.weight", "input_layernorm.weight"},
     {"attn_q.weight", "self_attn.q_proj.weight"},
     {"attn_k.weight", "self_attn.k_proj.weight"},
     {"attn_v.weight", "self_attn.v_proj.weight"},
     {"attn_output.weight", "self_attn.o_proj.weight"},
     {"ffn_norm.weight", "post_attention_layernorm.weight"},
     {"ffn_gate.weight", "mlp.gate_proj.weight"},
     {"ffn_up.weight", "mlp.up_proj.weight"},
     {"ffn_down.weight", "mlp.down_proj.weight"},
     {"attn_q.bias", "self_attn.q_proj.bias"},
     {"attn_k.bias", "self_attn.k_proj.bias"},
     {"attn_v.bias", "self_attn.v_proj.bias"},
     {"attn_output.bias", "self_attn.o_proj.bias"},
     {"ffn_gate.bias", "mlp.gate_proj.bias"},
     {"ffn_up.bias", "mlp.up_proj.bias"},
     {"ffn_down.bias", "mlp.down_proj.bias"}}};

// Empty for a tensor that Hugging Face's layout does not have.
std::string hugging_face_name(std::string_view name) {
  for (const NameRow& row : kModelNames) {
    if (name == row.gguf) return row.hugging_face;
  }
  constexpr std::string_view kBlock = "blk.";
  if (!name.starts_with(kBlock)) return "";
  name.remove_prefix(kBlock.size());
  const size_t dot = name.find('.');
  if (dot == 0 || dot == std::string_view::npos) return "";
  const std::string_view layer = name.substr(0, dot);
  if (layer.find_first_not_of("0123456789") != std::string_view::npos) return "";
  for (const NameRow& row : kLayerNames) {
    if (name.substr(dot + 1) == row.gguf) {
      return fmt::format("model.layers.{}.{}", layer, row.hugging_face);
    }
  }
  return "";
}

// Rotary tables, which follow from the metadata: older converters store them in every layer.
bool is_rotary_table(std::string_view name) {
  return name == "rope_freqs.weight" || name.ends_with(".attn_rot_embd.weight");
}

// What Llama 3.1's scaling (transformers' "llama3") divides frequency i of n by.
double llama3_divisor(int32_t i, int32_t n, double theta, double factor) {
  constexpr double kOriginal = 8192, kLow = 1, kHigh = 4;  // as published for 3.1 and 3.2
  const double frequency = std::pow(theta, -static_cast<double>(i) / n);
  const double wavelength = 2 * std::numbers::pi / frequency;
  if (wavelength < kOriginal / kHigh) return 1;
  if (wavelength > kOriginal / kLow) return factor;
  const double smooth = (kOriginal / wavelength - kLow) / (kHigh - kLow);
  return 1 / ((1 - smooth) / factor + smooth);
}

// YaRN's numbers, where the file has them. What makes queries and keys larger or smaller in another
// way than YaRN does is refused.
Result<void> add_yarn(const Metadata& metadata, Json& scaling) {
  const std::string prefix = "llama.rope.scaling.";
  const std::string original = prefix + "original_context_length";
  if (metadata.has(original)) {
    ASSIGN_OR_RETURN(scaling["original_max_position_embeddings"], metadata.integer(original));
  }
  for (const char* beta : {"beta_fast", "beta_slow"}) {
    const std::string key = prefix + "yarn_" + beta;
    if (!metadata.has(key)) continue;
    ASSIGN_OR_RETURN(scaling[beta], metadata.number_or(key, 0));
  }
  constexpr std::pair<const char*, double> kPlain[] = {
      {"attn_factor", 1}, {"yarn_attn_factor", 1}, {"yarn_log_multiplier", 0}};
  for (const auto& [name, plain] : kPlain) {
    ASSIGN_OR_RETURN(const double found, metadata.number_or(prefix + name, plain));
    if (found == plain) continue;
    return metadata.wanted(prefix + name, fmt::format("{}", plain), fmt::format("{}", found),
                           ErrorCode::kUnsupported);
  }
  return {};
}

// Linear scaling and YaRN are in the metadata, whose type check_architecture() has looked at.
Result<Json> rope_scaling_by_name(const Metadata& metadata) {
  constexpr const char* kType = "llama.rope.scaling.type";
  constexpr const char* kFactor = "llama.rope.scaling.factor";
  constexpr const char* kOlderFactor = "llama.rope.scale_linear";
  const char* key = metadata.has(kFactor) ? kFactor : kOlderFactor;
  ASSIGN_OR_RETURN(const double factor, metadata.number_or(key, 0));
  // A factor without a type is linear, as llama.cpp reads it; 0 and 1 are none.
  std::string type = factor == 0 || factor == 1 ? "none" : "linear";
  if (metadata.has(kType)) {
    ASSIGN_OR_RETURN(type, metadata.text(kType));
  }
  if (type == "none") return Json();
  Json scaling = {{"rope_type", type}, {"factor", factor}};
  if (type == "yarn") TRY(add_yarn(metadata, scaling));
  return scaling;
}

// Of Llama 3.1's, GGUF has the divisors of the frequencies, config.json what they are computed
// from.
Result<Json> rope_scaling(const GgufFile& file, double theta) {
  const Metadata metadata(file);
  const Tensor* divisors = file.find("rope_freqs.weight");
  if (divisors == nullptr) return rope_scaling_by_name(metadata);
  if (divisors->type != TensorType::kF32) {
    return metadata.wanted("rope_freqs.weight", "F32", name_of(divisors->type),
                           ErrorCode::kUnsupported);
  }
  const auto n = static_cast<int32_t>(divisors->n_elements());
  for (const double factor : {8.0, 32.0}) {  // Llama 3.1; 3.2
    bool same = true;
    for (int32_t i = 0; i < n; ++i) {
      const double want = llama3_divisor(i, n, theta, factor);
      same = same && std::fabs(float_at(*divisors, i) - want) <= 1e-3 * want;
    }
    if (same) {
      return Json{{"rope_type", "llama3"},
                  {"factor", factor},
                  {"low_freq_factor", 1.0},
                  {"high_freq_factor", 4.0},
                  {"original_max_position_embeddings", 8192}};
    }
  }
  return metadata.wanted("rope_freqs.weight", "the divisors of Llama 3.1 or 3.2", "others",
                         ErrorCode::kUnsupported);
}

// gguf-split cuts a model into files that are none by themselves.
Result<void> check_is_whole(const Metadata& metadata) {
  ASSIGN_OR_RETURN(const int64_t parts, metadata.integer_or("split.count", 1));
  if (parts <= 1) return {};
  return metadata.wanted("split.count", "one file",
                         fmt::format("one of {} (`llama-gguf-split --merge` joins them)", parts),
                         ErrorCode::kUnsupported);
}

// Queries, keys and values are of one size, and all of it is rotated.
Result<void> check_head(const Metadata& metadata, const Json& config) {
  const int64_t heads = config["num_attention_heads"], hidden = config["hidden_size"];
  const int64_t head_dim = config.contains("head_dim") ? config["head_dim"].get<int64_t>()
                                                       : hidden / std::max(heads, int64_t{1});
  for (const char* key : {"llama.attention.value_length", "llama.rope.dimension_count"}) {
    ASSIGN_OR_RETURN(const int64_t found, metadata.integer_or(key, head_dim));
    if (found == head_dim) continue;
    return metadata.wanted(key, fmt::format("{}, the size of a head", head_dim),
                           fmt::format("{}", found), ErrorCode::kUnsupported);
  }
  return {};
}

Result<void> check_architecture(const Metadata& metadata) {
  ASSIGN_OR_RETURN(const std::string name, metadata.text("general.architecture"));
  if (name != "llama") {
    return metadata.wanted("general.architecture", "llama", name, ErrorCode::kUnsupported);
  }
  ASSIGN_OR_RETURN(const int64_t experts, metadata.integer_or("llama.expert_count", 0));
  if (experts != 0) {
    return metadata.wanted("llama.expert_count", "0", fmt::format("{}", experts),
                           ErrorCode::kUnsupported);
  }
  if (metadata.has("llama.rope.scaling.type")) {
    ASSIGN_OR_RETURN(const std::string scaling, metadata.text("llama.rope.scaling.type"));
    if (scaling != "none" && scaling != "linear" && scaling != "yarn") {
      return metadata.wanted("llama.rope.scaling.type", "none, linear or yarn", scaling,
                             ErrorCode::kUnsupported);
    }
  }
  return {};
}

Result<int64_t> count_tokens(const Metadata& metadata) {
  ASSIGN_OR_RETURN(const auto* tokens, metadata.texts("tokenizer.ggml.tokens"));
  return static_cast<int64_t>(tokens->size());
}

Result<Json> end_tokens(const Metadata& metadata) {
  Json ends = Json::array();
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                          "tokenizer.ggml.eom_token_id"}) {
    if (!metadata.has(key)) continue;
    ASSIGN_OR_RETURN(const int64_t id, metadata.integer(key));
    ends.push_back(id);
  }
  return ends;
}

std::string print(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

Result<TensorFile> gguf_tensors(const GgufFile& file) {
  std::vector<Tensor> tensors;
  for (const Tensor& tensor : file.tensors()) {
    const std::string name = hugging_face_name(tensor.name);
    if (name.empty() && is_rotary_table(tensor.name)) continue;
    // Everything in a GGUF file takes part in what its program computes: a norm of queries, say.
    if (name.empty()) {
      return Error{ErrorCode::kUnsupported,
                   fmt::format("{}: {}: want the tensors of a plain Llama, found one more",
                               file.where(), tensor.name)};
    }
    tensors.push_back(tensor);
    tensors.back().name = name;
  }
  return TensorFile::from_tensors(file.where(), file.header(), file.size_bytes(),
                                  std::move(tensors), file.mapping());
}

Result<std::string> gguf_config_json(const GgufFile& file) {
  const Metadata metadata(file);
  TRY(check_architecture(metadata));
  TRY(check_is_whole(metadata));
  Json config = {{"architectures", {"LlamaForCausalLM"}},
                 {"model_type", "llama"},
                 {"hidden_act", "silu"},
                 {"tie_word_embeddings", file.find("output.weight") == nullptr}};
  constexpr std::array<NameRow, 5> kRequired = {
      {{"llama.embedding_length", "hidden_size"},
       {"llama.feed_forward_length", "intermediate_size"},
       {"llama.block_count", "num_hidden_layers"},
       {"llama.attention.head_count", "num_attention_heads"},
       {"llama.context_length", "max_position_embeddings"}}};
  for (const NameRow& row : kRequired) {
    ASSIGN_OR_RETURN(config[row.hugging_face], metadata.integer(row.gguf));
  }
  const int64_t heads = config["num_attention_heads"];
  ASSIGN_OR_RETURN(config["num_key_value_heads"],
                   metadata.integer_or("llama.attention.head_count_kv", heads));
  if (metadata.has("llama.attention.key_length")) {
    ASSIGN_OR_RETURN(config["head_dim"], metadata.integer("llama.attention.key_length"));
  }
  TRY(check_head(metadata, config));
  ASSIGN_OR_RETURN(const int64_t n_tokens, count_tokens(metadata));
  ASSIGN_OR_RETURN(config["vocab_size"], metadata.integer_or("llama.vocab_size", n_tokens));
  ASSIGN_OR_RETURN(config["rms_norm_eps"],
                   metadata.number_or("llama.attention.layer_norm_rms_epsilon", 1e-5));
  ASSIGN_OR_RETURN(const double theta, metadata.number_or("llama.rope.freq_base", 10000));
  config["rope_theta"] = theta;
  ASSIGN_OR_RETURN(config["rope_scaling"], rope_scaling(file, theta));
  if (metadata.has("tokenizer.ggml.bos_token_id")) {
    ASSIGN_OR_RETURN(config["bos_token_id"], metadata.integer("tokenizer.ggml.bos_token_id"));
  }
  ASSIGN_OR_RETURN(config["eos_token_id"], end_tokens(metadata));
  return print(config);
}

}  // namespace incipit::engine
