// A Llama in a GGUF file as the Hugging Face directory it was made from: the same tensor names, a
// config.json (gguf_tokenizer: the tokenizer). Once `incipit model add` has written those, nothing
// else knows of GGUF. Loading thread.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/result.h"
#include "engine/weights/gguf_file.h"
#include "engine/weights/tensor_file.h"

namespace incipit::engine {

// Tensors under Hugging Face's names, borrowing from the same mapping. A tensor of another name is
// left out (rope_freqs.weight), one that stands twice is kCorrupt.
Result<TensorFile> gguf_tensors(const GgufFile& file);

// Errors name file, key, wanted and found; another architecture or a scaling of RoPE that this
// program does not have is kUnsupported by its name.
Result<std::string> gguf_config_json(const GgufFile& file);

// Within each head of q and k, GGUF has row i of Hugging Face's first half at 2i and of its second
// half at 2i + 1 (the converter prepares for rotating neighbours). Where row n of a head of
// head_dim rows lies.
constexpr int32_t gguf_row(int32_t n, int32_t head_dim) {
  const int32_t in_head = n % head_dim, half = head_dim / 2;
  return n - in_head + (in_head < half ? 2 * in_head : 2 * (in_head - half) + 1);
}

}  // namespace incipit::engine
