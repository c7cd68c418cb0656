// The vocabulary of a GGUF file as the tokenizer file of the directory it was made from: a
// tokenizer.json for "gpt2" (Llama 3), a SentencePiece tokenizer.model for "llama" (Llama 2,
// CodeLlama). Called by `incipit model add`. Loading thread.
#pragma once

#include <string>

#include "engine/base/result.h"
#include "engine/weights/gguf_file.h"

namespace incipit::engine {

struct GgufTokenizer {
  std::string name;  // of the file
  std::string bytes;
};

// Errors name file, key, wanted and found; another kind of vocabulary is kUnsupported by its name.
Result<GgufTokenizer> gguf_tokenizer(const GgufFile& file);

}  // namespace incipit::engine
