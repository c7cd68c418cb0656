#include "engine/weights/weight_names.h"

#include <fmt/core.h>

#include <charconv>
#include <limits>
#include <system_error>
#include <utility>

namespace incipit::engine {
namespace {

constexpr std::string_view kLayerPrefix = "model.layers.";

struct LayerRow {
  WeightRole role;
  const char* name;
  WeightKind kind;
  int32_t cols;
  std::vector<WeightPart> parts;  // names without "model.layers.3."
};

std::vector<LayerRow> layer_rows(const ModelConfig& c) {
  const int32_t kv_rows = c.n_kv_heads * c.head_dim;
  return {
      {WeightRole::kInputNorm,
       "input_norm",
       WeightKind::kFloat,
       1,
       {{"input_layernorm.weight", c.hidden}}},
      {WeightRole::kQkv,
       "qkv",
       WeightKind::kInt4,
       c.hidden,
       {{"self_attn.q_proj", c.attention_dim()},
        {"self_attn.k_proj", kv_rows},
        {"self_attn.v_proj", kv_rows}}},
      {WeightRole::kOut,
       "out",
       WeightKind::kInt4,
       c.attention_dim(),
       {{"self_attn.o_proj", c.hidden}}},
      {WeightRole::kPostNorm,
       "post_norm",
       WeightKind::kFloat,
       1,
       {{"post_attention_layernorm.weight", c.hidden}}},
      {WeightRole::kGateUp,
       "gate_up",
       WeightKind::kInt4,
       c.hidden,
       {{"mlp.gate_proj", c.ffn}, {"mlp.up_proj", c.ffn}}},
      {WeightRole::kDown, "down", WeightKind::kInt4, c.ffn, {{"mlp.down_proj", c.hidden}}},
  };
}

WeightSection make_section(WeightRole role, WeightKind kind, int32_t layer, std::string name,
                           int32_t cols, std::vector<WeightPart> parts) {
  WeightSection section{role, kind, layer, std::move(name), 0, cols, std::move(parts)};
  for (const WeightPart& part : section.parts) section.rows += part.rows;
  return section;
}

}  // namespace

std::vector<WeightSection> weight_sections(const ModelConfig& config, HeadFormat head_format) {
  constexpr const char* kEmbeddingTensor = "model.embed_tokens.weight";
  std::vector<WeightSection> sections;
  const std::vector<LayerRow> rows = layer_rows(config);
  for (int32_t layer = 0; layer < config.n_layers; ++layer) {
    for (const LayerRow& row : rows) {
      std::vector<WeightPart> parts = row.parts;
      for (WeightPart& part : parts) {
        part.tensor = fmt::format("{}{}.{}", kLayerPrefix, layer, part.tensor);
      }
      sections.push_back(make_section(row.role, row.kind, layer,
                                      fmt::format("layers.{}.{}", layer, row.name), row.cols,
                                      std::move(parts)));
    }
  }
  sections.push_back(make_section(WeightRole::kFinalNorm, WeightKind::kFloat, -1, "final_norm", 1,
                                  {{"model.norm.weight", config.hidden}}));
  const bool int8 = head_format == HeadFormat::kInt8;
  if (int8 || !config.tied_head) {
    const char* source = config.tied_head ? kEmbeddingTensor : "lm_head.weight";
    sections.push_back(make_section(WeightRole::kHead, int8 ? WeightKind::kInt8 : WeightKind::kHalf,
                                    -1, "head", config.hidden, {{source, config.vocab}}));
  }
  sections.push_back(make_section(WeightRole::kEmbedding, WeightKind::kHalf, -1, "embedding",
                                  config.hidden, {{kEmbeddingTensor, config.vocab}}));
  return sections;
}

std::optional<int64_t> layer_of(std::string_view tensor) {
  if (!tensor.starts_with(kLayerPrefix)) return std::nullopt;
  tensor.remove_prefix(kLayerPrefix.size());
  int64_t layer = 0;
  const auto [end, error] = std::from_chars(tensor.data(), tensor.data() + tensor.size(), layer);
  const bool number = end != tensor.data() && end != tensor.data() + tensor.size() && *end == '.';
  if (!number) return std::nullopt;
  return error == std::errc() ? layer : std::numeric_limits<int64_t>::max();
}

}  // namespace incipit::engine
