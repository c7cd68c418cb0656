// TokenizerFile: what a tokenizer.json says, checked and turned into bytes and ids. Read once by
// Tokenizer::load; knows nothing of encoding. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/result.h"
#include "engine/tokenizer/merge_table.h"

namespace incipit::engine {

struct SpecialToken {
  TokenId id;
  std::string spelling;
};

enum class WholePieces { kMergeAlways, kTakeFromVocabulary };  // "ignore_merges"

struct TokenizerFile {
  std::string split_pattern;
  std::vector<std::string> tokens;    // [vocab_size] bytes by id; empty for special tokens
  std::vector<SpecialToken> special;  // every added token, whether the file calls it special or not
  std::vector<Merge> merges;          // by rank
  WholePieces whole_pieces = WholePieces::kMergeAlways;
};

// `where` is the file's name in error messages.
Result<TokenizerFile> parse_tokenizer_file(std::string_view json, const std::string& where);

}  // namespace incipit::engine
