// The words that a model's licence wants to be shown with it. Pure; any thread.
#pragma once

#include <string>

#include "engine/config/model_config.h"

namespace incipit::engine {

// "Built with Meta Llama 3" for Llama 3, "Built with Llama" for 3.1 and later; empty for others. A
// checkpoint does not say whose it is, so what tells is the vocabulary, which is Meta's own: models
// made from Llama 3 have it, and the licence asks the same of them.
std::string licence_notice(const ModelConfig& config);

}  // namespace incipit::engine
