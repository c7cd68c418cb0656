// What a tokenizer.json does to a text before merging: its normalizer, pre-tokenizer, and whether
// its decoder undoes just that. Two kinds are known: byte-level vocabularies (Llama 3) and those of
// characters with byte fallback (Llama 2, CodeLlama). Called by tokenizer_file. Loading thread.
#pragma once

#include "engine/base/result.h"
#include "engine/tokenizer/tokenizer_file.h"
#include "engine/tokenizer/tokenizer_json.h"

namespace incipit::engine {

// Fills unit, split_pattern and leading_space.
Result<void> read_pipeline(const TokenizerJson& root, const TokenizerErrors& errors,
                           TokenizerFile& file);

}  // namespace incipit::engine
