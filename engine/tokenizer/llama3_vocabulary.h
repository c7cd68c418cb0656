// What Llama 3's tokenizer has beside its ranks: the split pattern and the 256 special tokens that
// follow the ordinary ones. From Meta's published code (github.com/meta-llama/llama3,
// llama/tokenizer.py) and Hugging Face's conversion, which agree. Llama 3.1 and later call three of
// the reserved ones by other names, under the same ids. Read by tiktoken_file and gguf_model.
#pragma once

#include <cstddef>

namespace incipit::engine {

inline constexpr const char* kLlama3SplitPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

inline constexpr size_t kLlama3SpecialTokens = 256;

// By their place after the ordinary tokens; the null ones, and all after these, are
// <|reserved_special_token_N|>, N counting from 0 without gaps.
inline constexpr const char* kLlama3SpecialNames[] = {
    "<|begin_of_text|>",   "<|end_of_text|>",   nullptr, nullptr,     nullptr, nullptr,
    "<|start_header_id|>", "<|end_header_id|>", nullptr, "<|eot_id|>"};

}  // namespace incipit::engine
