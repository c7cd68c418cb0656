#include "engine/tools/licence_notice.h"

namespace incipit::engine {

std::string licence_notice(const ModelConfig& config) {
  // Sizes and ids from the published config.json of Llama 3, 3.1 and 3.2.
  constexpr int32_t kLlama3Vocab = 128256;
  constexpr TokenId kLlama3Bos = 128000;
  if (config.vocab != kLlama3Vocab || config.bos != kLlama3Bos) return "";
  const bool is_later =
      config.rope_scaling && config.rope_scaling->type == RopeScalingType::kLlama3;
  // Section 1.b.i of the Meta Llama 3 Community License, and of those of Llama 3.1 and 3.2.
  return is_later ? "Built with Llama" : "Built with Meta Llama 3";
}

}  // namespace incipit::engine
