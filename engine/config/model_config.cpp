#include "engine/config/model_config.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <utility>

#include "engine/config/json_fields.h"

namespace incipit::engine {
namespace {

// Ten times what any Llama has, so that sizes computed from them stay far from overflow.
constexpr int64_t kMaxWidth = 1 << 18;
constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxHeads = 4096;
constexpr int64_t kMaxVocab = 1 << 22;
constexpr int64_t kMaxPositions = 1 << 26;

// GPTQ packs eight weights a word along both dimensions.
constexpr int64_t kWidthMultiple = 8;

Result<void> check_architecture(const JsonFields& fields) {
  ASSIGN_OR_RETURN(const auto architectures, fields.strings_or_empty("architectures"));
  if (!architectures.empty()) {
    if (std::find(architectures.begin(), architectures.end(), "LlamaForCausalLM") ==
        architectures.end()) {
      return fields.wanted("architectures", "[\"LlamaForCausalLM\"]", ErrorCode::kUnsupported);
    }
    return {};
  }
  ASSIGN_OR_RETURN(const auto model_type, fields.string_or("model_type", ""));
  if (model_type == "llama") return {};
  if (!model_type.empty()) {
    return fields.wanted("model_type", "\"llama\"", ErrorCode::kUnsupported);
  }
  return fields.wanted("architectures", "[\"LlamaForCausalLM\"]", ErrorCode::kUnsupported);
}

Result<void> check_variants(const JsonFields& fields) {
  ASSIGN_OR_RETURN(const auto activation, fields.string_or("hidden_act", "silu"));
  if (activation != "silu") {
    return fields.wanted("hidden_act", "\"silu\"", ErrorCode::kUnsupported);
  }
  for (const char* key : {"attention_bias", "mlp_bias"}) {
    ASSIGN_OR_RETURN(const bool biased, fields.boolean_or(key, false));
    if (biased) return fields.wanted(key, "false (no biases)", ErrorCode::kUnsupported);
  }
  ASSIGN_OR_RETURN(const double rotary, fields.number_or("partial_rotary_factor", 1, 0, 1));
  if (rotary != 1) return fields.wanted("partial_rotary_factor", "1", ErrorCode::kUnsupported);
  return {};
}

Result<void> read_llama3(const JsonFields& fields, RopeScaling& scaling) {
  ASSIGN_OR_RETURN(scaling.low_freq_factor, fields.number("low_freq_factor", 1e-6, 1e6));
  ASSIGN_OR_RETURN(scaling.high_freq_factor, fields.number("high_freq_factor", 1e-6, 1e6));
  if (scaling.high_freq_factor <= scaling.low_freq_factor) {
    return fields.wanted("high_freq_factor",
                         fmt::format("more than low_freq_factor ({})", scaling.low_freq_factor));
  }
  ASSIGN_OR_RETURN(const int64_t original,
                   fields.integer("original_max_position_embeddings", 1, kMaxPositions));
  scaling.original_max_positions = static_cast<int32_t>(original);
  return {};
}

// As transformers reads them; what other families add (DeepSeek's mscale) is not ignored.
Result<void> read_yarn(const JsonFields& fields, int32_t max_positions, RopeScaling& scaling) {
  for (const char* key : {"mscale", "mscale_all_dim"}) {
    if (fields.has(key)) return fields.wanted(key, "nothing", ErrorCode::kUnsupported);
  }
  ASSIGN_OR_RETURN(const int64_t original, fields.integer_or("original_max_position_embeddings",
                                                             max_positions, 1, kMaxPositions));
  scaling.original_max_positions = static_cast<int32_t>(original);
  ASSIGN_OR_RETURN(scaling.beta_fast, fields.number_or("beta_fast", 32, 1e-3, 1e6));
  ASSIGN_OR_RETURN(scaling.beta_slow, fields.number_or("beta_slow", 1, 1e-3, 1e6));
  if (scaling.beta_fast <= scaling.beta_slow) {
    return fields.wanted("beta_fast", fmt::format("more than beta_slow ({})", scaling.beta_slow));
  }
  ASSIGN_OR_RETURN(const bool truncates, fields.boolean_or("truncate", true));
  if (!truncates) return fields.wanted("truncate", "true", ErrorCode::kUnsupported);
  ASSIGN_OR_RETURN(
      scaling.attention_factor,
      fields.number_or("attention_factor", yarn_attention_factor(scaling.factor), 1e-3, 1e3));
  return {};
}

// Both spellings of the type; `object` is rope_scaling, or the newer rope_parameters.
Result<std::optional<RopeScaling>> parse_rope_scaling(const nlohmann::json& object,
                                                      const std::string& where,
                                                      const std::string& prefix,
                                                      int32_t max_positions) {
  const JsonFields fields(object, where, prefix);
  const char* key = fields.has("type") && !fields.has("rope_type") ? "type" : "rope_type";
  ASSIGN_OR_RETURN(const std::string type, fields.string_or(key, ""));
  if (type == "default") return std::optional<RopeScaling>();
  RopeScaling scaling;
  constexpr RopeScalingType kKnown[] = {RopeScalingType::kLlama3, RopeScalingType::kLinear,
                                        RopeScalingType::kYarn};
  const auto* const known =
      std::ranges::find_if(kKnown, [&](RopeScalingType t) { return type == name_of(t); });
  if (known == std::end(kKnown)) {
    return fields.wanted(key, "\"llama3\", \"linear\" or \"yarn\" (or no rope_scaling)",
                         ErrorCode::kUnsupported);
  }
  scaling.type = *known;
  ASSIGN_OR_RETURN(scaling.factor, fields.number("factor", 1, 1e6));
  if (scaling.type == RopeScalingType::kLlama3) TRY(read_llama3(fields, scaling));
  if (scaling.type == RopeScalingType::kYarn) TRY(read_yarn(fields, max_positions, scaling));
  return std::optional<RopeScaling>(scaling);
}

// Older files have rope_theta and rope_scaling at the top, newer ones both in rope_parameters.
Result<void> read_rope(const JsonFields& fields, const std::string& where, ModelConfig& config) {
  constexpr double kDefaultTheta = 10000;  // Hugging Face's default, what Llama 2 files leave out
  ASSIGN_OR_RETURN(const auto* parameters, fields.object_or_null("rope_parameters"));
  ASSIGN_OR_RETURN(const auto* scaling, fields.object_or_null("rope_scaling"));
  double fallback = kDefaultTheta;
  if (parameters != nullptr) {
    const JsonFields nested(*parameters, where, "rope_parameters.");
    ASSIGN_OR_RETURN(fallback, nested.number_or("rope_theta", kDefaultTheta, 1, 1e12));
  }
  ASSIGN_OR_RETURN(config.rope_theta, fields.number_or("rope_theta", fallback, 1, 1e12));
  if (scaling != nullptr) {
    ASSIGN_OR_RETURN(config.rope_scaling,
                     parse_rope_scaling(*scaling, where, "rope_scaling.", config.max_positions));
  } else if (parameters != nullptr && parameters->contains("rope_type")) {
    ASSIGN_OR_RETURN(config.rope_scaling, parse_rope_scaling(*parameters, where, "rope_parameters.",
                                                             config.max_positions));
  }
  return {};
}

Result<void> read_shape(const JsonFields& fields, ModelConfig& config) {
  const auto width = [&](const char* key) -> Result<int64_t> {
    ASSIGN_OR_RETURN(const int64_t value, fields.integer(key, kWidthMultiple, kMaxWidth));
    if (value % kWidthMultiple != 0) {
      return fields.wanted(key, fmt::format("a multiple of {}", kWidthMultiple));
    }
    return value;
  };
  ASSIGN_OR_RETURN(const int64_t hidden, width("hidden_size"));
  ASSIGN_OR_RETURN(const int64_t ffn, width("intermediate_size"));
  ASSIGN_OR_RETURN(const int64_t layers, fields.integer("num_hidden_layers", 1, kMaxLayers));
  ASSIGN_OR_RETURN(const int64_t heads, fields.integer("num_attention_heads", 1, kMaxHeads));
  ASSIGN_OR_RETURN(const int64_t kv_heads,
                   fields.integer_or("num_key_value_heads", heads, 1, heads));
  if (heads % kv_heads != 0) {
    return fields.wanted("num_key_value_heads",
                         fmt::format("a divisor of num_attention_heads ({})", heads));
  }
  if (!fields.has("head_dim") && hidden % heads != 0) {
    return fields.wanted(
        "hidden_size", fmt::format("a multiple of num_attention_heads ({}), or a head_dim", heads));
  }
  ASSIGN_OR_RETURN(const int64_t head_dim,
                   fields.integer_or("head_dim", hidden / heads, 1, kMaxWidth));
  if (head_dim != 64 && head_dim != 128) {
    if (fields.has("head_dim")) {
      return fields.wanted("head_dim", "64 or 128", ErrorCode::kUnsupported);
    }
    return fields.wanted("hidden_size",
                         fmt::format("{} or {} (a head_dim of 64 or 128 for num_attention_heads = "
                                     "{}; head_dim is not given, so it would be {})",
                                     64 * heads, 128 * heads, heads, head_dim),
                         ErrorCode::kUnsupported);
  }
  ASSIGN_OR_RETURN(const int64_t vocab, fields.integer("vocab_size", 1, kMaxVocab));
  ASSIGN_OR_RETURN(const int64_t positions,
                   fields.integer("max_position_embeddings", 1, kMaxPositions));
  config.hidden = static_cast<int32_t>(hidden);
  config.ffn = static_cast<int32_t>(ffn);
  config.n_layers = static_cast<int32_t>(layers);
  config.n_heads = static_cast<int32_t>(heads);
  config.n_kv_heads = static_cast<int32_t>(kv_heads);
  config.head_dim = static_cast<int32_t>(head_dim);
  config.vocab = static_cast<int32_t>(vocab);
  config.max_positions = static_cast<int32_t>(positions);
  return {};
}

Result<std::vector<TokenId>> read_eos(const JsonFields& fields, int32_t vocab) {
  ASSIGN_OR_RETURN(const auto ids, fields.integer_or_list("eos_token_id", 0, vocab - 1));
  return std::vector<TokenId>(ids.begin(), ids.end());
}

// generation_config.json may list end tokens that config.json does not have (Llama 3 Instruct).
Result<void> add_generation_eos(const std::filesystem::path& model_dir, ModelConfig& config) {
  const auto path = model_dir / "generation_config.json";
  auto text = read_text_file(path);
  if (!text.ok()) {
    if (text.error().code == ErrorCode::kNotFound) return {};
    return text.error();
  }
  ASSIGN_OR_RETURN(const auto parsed, parse_json_object(*text, path.string()));
  ASSIGN_OR_RETURN(const auto eos, read_eos(JsonFields(parsed, path.string()), config.vocab));
  for (const TokenId id : eos) {
    if (std::find(config.eos.begin(), config.eos.end(), id) == config.eos.end()) {
      config.eos.push_back(id);
    }
  }
  return {};
}

struct NamedConfig {
  const char* name;
  ModelConfig config;
};

// From the published config.json of each model.
std::array<NamedConfig, 6> known_configs() {
  ModelConfig llama3_8b;
  llama3_8b.hidden = 4096;
  llama3_8b.ffn = 14336;
  llama3_8b.n_layers = 32;
  llama3_8b.n_heads = 32;
  llama3_8b.n_kv_heads = 8;
  llama3_8b.head_dim = 128;
  llama3_8b.vocab = 128256;
  llama3_8b.max_positions = 8192;
  llama3_8b.norm_eps = 1e-5F;
  llama3_8b.rope_theta = 500000;
  llama3_8b.bos = 128000;
  llama3_8b.eos = {128001, 128009};

  ModelConfig llama31_8b = llama3_8b;
  llama31_8b.max_positions = 131072;
  llama31_8b.rope_scaling = RopeScaling{.factor = 8};
  llama31_8b.eos = {128001, 128008, 128009};

  ModelConfig llama32_1b = llama31_8b;
  llama32_1b.hidden = 2048;
  llama32_1b.ffn = 8192;
  llama32_1b.n_layers = 16;
  llama32_1b.head_dim = 64;
  llama32_1b.rope_scaling->factor = 32;
  llama32_1b.tied_head = true;

  ModelConfig llama32_3b = llama32_1b;
  llama32_3b.hidden = 3072;
  llama32_3b.n_layers = 28;
  llama32_3b.n_heads = 24;
  llama32_3b.head_dim = 128;

  ModelConfig codellama_7b = llama3_8b;
  codellama_7b.ffn = 11008;
  codellama_7b.n_kv_heads = 32;
  codellama_7b.vocab = 32016;
  codellama_7b.max_positions = 16384;
  codellama_7b.rope_theta = 1000000;
  codellama_7b.bos = 1;
  codellama_7b.eos = {2};

  ModelConfig pocket = llama3_8b;
  pocket.hidden = 512;
  pocket.ffn = 1408;
  pocket.n_layers = 12;
  pocket.n_heads = 8;
  pocket.n_kv_heads = 4;
  pocket.head_dim = 64;
  pocket.vocab = 16384;
  pocket.max_positions = 4096;
  pocket.rope_theta = 10000;
  pocket.tied_head = true;
  pocket.bos = 16373;
  pocket.eos = {16374, 16377};

  return {{{"llama-3-8b", llama3_8b},
           {"llama-3.1-8b", llama31_8b},
           {"llama-3.2-1b", llama32_1b},
           {"llama-3.2-3b", llama32_3b},
           {"codellama-7b", codellama_7b},
           {"pocket", pocket}}};
}

}  // namespace

const char* name_of(RopeScalingType type) {
  switch (type) {
    case RopeScalingType::kLlama3:
      return "llama3";
    case RopeScalingType::kLinear:
      return "linear";
    case RopeScalingType::kYarn:
      return "yarn";
  }
  return "";
}

double yarn_attention_factor(double factor) {
  return 0.1 * std::log(factor) + 1;
}

Result<void> extend_context(ModelConfig& config, int32_t context_tokens) {
  if (context_tokens <= config.max_positions) return {};
  const auto refused = [&](const std::string& why) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("context_tokens: the model knows {} positions, found {}; {}",
                             config.max_positions, context_tokens, why)};
  };
  if (config.rope_scaling) {
    return refused(fmt::format("its angles are scaled already ({}), and not again",
                               name_of(config.rope_scaling->type)));
  }
  const double factor = static_cast<double>(context_tokens) / config.max_positions;
  if (factor > kLongestYarnFactor) {
    return refused(fmt::format("want at most {}, {} times as many",
                               int64_t{config.max_positions} * kLongestYarnFactor,
                               kLongestYarnFactor));
  }
  config.rope_scaling = RopeScaling{.type = RopeScalingType::kYarn,
                                    .factor = factor,
                                    .original_max_positions = config.max_positions,
                                    .attention_factor = yarn_attention_factor(factor)};
  config.max_positions = context_tokens;
  return {};
}

Result<ModelConfig> parse_model_config(std::string_view json, const std::string& where) {
  ASSIGN_OR_RETURN(const auto parsed, parse_json_object(json, where));
  const JsonFields fields(parsed, where);
  TRY(check_architecture(fields));
  TRY(check_variants(fields));
  ModelConfig config;
  TRY(read_shape(fields, config));
  TRY(read_rope(fields, where, config));
  ASSIGN_OR_RETURN(const double eps, fields.number("rms_norm_eps", 1e-12, 0.1));
  config.norm_eps = static_cast<float>(eps);
  ASSIGN_OR_RETURN(config.tied_head, fields.boolean_or("tie_word_embeddings", false));
  ASSIGN_OR_RETURN(const int64_t bos, fields.integer_or("bos_token_id", -1, 0, config.vocab - 1));
  config.bos = static_cast<TokenId>(bos);
  ASSIGN_OR_RETURN(config.eos, read_eos(fields, config.vocab));
  return config;
}

Result<ModelConfig> load_model_config(const std::filesystem::path& model_dir) {
  const auto path = model_dir / "config.json";
  ASSIGN_OR_RETURN(const std::string text, read_text_file(path));
  ASSIGN_OR_RETURN(ModelConfig config, parse_model_config(text, path.string()));
  TRY(add_generation_eos(model_dir, config));
  return config;
}

Result<ModelConfig> synthetic_model_config(std::string_view name) {
  std::string names;
  for (const auto& known : known_configs()) {
    if (known.name == name) return known.config;
    names += names.empty() ? "" : ", ";
    names += known.name;
  }
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("synthetic model: want one of {}, found \"{}\"", names, name)};
}

}  // namespace incipit::engine
