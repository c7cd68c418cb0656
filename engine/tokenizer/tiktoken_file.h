// Llama 3's tokenizer.model as Meta ships it: tiktoken's ranks, one line a token, base64 of its
// bytes, a space, its id. Split pattern and special tokens are not in the file (llama3_vocabulary).
// Merging is by rank: two tokens merge when their bytes together are a token, the lowest id first.
// Pure; called by tokenizer_model_file on the loading thread.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/result.h"
#include "engine/tokenizer/tokenizer_file.h"

namespace incipit::engine {

// `where` is the file's name in errors, which also name the line.
Result<TokenizerFile> parse_tiktoken_file(std::string_view text, const std::string& where);

}  // namespace incipit::engine
