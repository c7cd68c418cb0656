// The block types of GGUF as numbers. A block holds 32 or 256 neighbours of a row with their
// scales; sizes and bits are those of ggml's reference (github.com/ggml-org/ggml). Pure; any
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/weights/tensor_file.h"

namespace incipit::engine {

struct BlockShape {
  int32_t n_elements = 1;
  int32_t n_bytes = 0;
};

// Of every type, plain ones included: {1, size_of(type)}.
BlockShape block_shape(TensorType type);
// One of Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K.
bool is_block_type(TensorType type);

// Blocks of Q4_0 as what they are: 32 integers 0 .. 15 around 8 each, and an fp16 scale.
void split_q4_0(std::span<const std::byte> blocks, uint8_t* q, uint16_t* scales);

// Whole blocks: blocks.size() and out.size() are the same number of them.
void dequantise_blocks(TensorType type, std::span<const std::byte> blocks, std::span<float> out);

}  // namespace incipit::engine
