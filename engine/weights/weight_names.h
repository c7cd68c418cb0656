// The one table of a Llama's weights: role -> section of the packed file -> tensors of a Hugging
// Face checkpoint, with shapes from ModelConfig. Loading, packing, mapping and the random model are
// loops over it. Pure data; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/config/engine_options.h"
#include "engine/config/model_config.h"

namespace incipit::engine {

enum class WeightRole {
  kInputNorm,
  kQkv,
  kOut,
  kPostNorm,
  kGateUp,
  kDown,
  kFinalNorm,
  kHead,
  kEmbedding
};

enum class WeightKind : uint32_t {
  kFloat = 1,  // float [rows]
  kHalf = 2,   // fp16 [rows, cols]
  kInt4 = 3,   // packed INT4, from GPTQ linears
  kInt8 = 4,   // packed INT8, quantised from an fp16 table
};

struct WeightPart {
  std::string tensor;  // checkpoint name; of an INT4 linear without ".qweight"
  int32_t rows = 0;
};

struct WeightSection {
  WeightRole role = WeightRole::kEmbedding;
  WeightKind kind = WeightKind::kFloat;
  int32_t layer = -1;  // -1: not of a layer
  std::string name;    // "layers.3.qkv"
  int32_t rows = 0;
  int32_t cols = 1;
  std::vector<WeightPart> parts;  // stacked by rows
};

// In the order in which a step reads them, the embedding last. No head section when the head is the
// fp16 embedding itself (tied).
std::vector<WeightSection> weight_sections(const ModelConfig& config, HeadFormat head_format);

// 3 for "model.layers.3.input_layernorm.weight", known or not; nothing for what is of no layer.
std::optional<int64_t> layer_of(std::string_view tensor);

}  // namespace incipit::engine
