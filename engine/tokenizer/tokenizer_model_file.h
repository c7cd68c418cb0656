// A file called tokenizer.model is one of two: tiktoken's ranks (Llama 3) or SentencePiece's
// message (Llama 2, CodeLlama), which begins with the byte 0x0a. Called by Tokenizer on the loading
// thread; pure.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/result.h"
#include "engine/tokenizer/tokenizer_file.h"

namespace incipit::engine {

// Errors name the file and line, byte, piece or field, wanted and found.
Result<TokenizerFile> parse_tokenizer_model_file(std::string_view bytes, const std::string& where);

}  // namespace incipit::engine
