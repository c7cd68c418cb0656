// A Llama in plain matrices of doubles and its forward pass as the architecture is written down, a
// token at a time: the oracle of what the quantiser computes over many tokens in float.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/result.h"
#include "engine/config/model_config.h"
#include "engine/weights/weights.h"

namespace incipit::test {

struct DenseLlama {
  using Matrix = std::vector<double>;  // [outputs, inputs]
  struct Layer {
    Matrix input_norm, post_norm;    // [hidden]
    Matrix qkv, out, gate_up, down;  // stacked by rows as in Weights
  };
  engine::ModelConfig config;
  std::vector<Layer> layers;
  Matrix embedding, head, final_norm;

  // Of every position, [n_tokens, vocab].
  std::vector<double> logits(std::span<const engine::TokenId> tokens) const;
};

// A checkpoint in full precision, as it is.
Result<DenseLlama> dense_checkpoint(const std::filesystem::path& dir);
// What packed weights stand for, INT8 head included.
DenseLlama dense_weights(const engine::Weights<kernels::CpuTile>& weights);

}  // namespace incipit::test
