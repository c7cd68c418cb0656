// TokenizerFile: what a model's tokenizer file says, checked and turned into bytes and ids. Three
// kinds are read: Hugging Face's tokenizer.json, Meta's tokenizer.model of Llama 3 (tiktoken_file)
// and SentencePiece's tokenizer.model (sentencepiece_file). Read once by Tokenizer::load; knows
// nothing of encoding. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/result.h"
#include "engine/tokenizer/merge_table.h"
#include "engine/tokenizer/vocabulary_merges.h"

namespace incipit::engine {

struct SpecialToken {
  TokenId id;
  std::string spelling;
};

enum class WholePieces { kMergeAlways, kTakeFromVocabulary };  // "ignore_merges"

// Whether a text that begins a prompt gets a space in front, as its vocabulary was trained.
enum class LeadingSpace { kNever, kAlways, kUnlessThere };

struct TokenizerFile {
  SymbolUnit unit = SymbolUnit::kByte;
  std::string split_pattern;          // of kByte; kCharacter merges over the whole text
  std::vector<std::string> tokens;    // [vocab_size] bytes by id; empty for special tokens
  std::vector<SpecialToken> special;  // every added token, whether the file calls it special or not
  std::vector<Merge> merges;
  WholePieces whole_pieces = WholePieces::kMergeAlways;
  std::vector<TokenId> byte_fallback;  // [256] by byte, of kCharacter; else empty
  LeadingSpace leading_space = LeadingSpace::kNever;
};

// Far above any real vocabulary; bounds what a hostile file can make us allocate.
inline constexpr size_t kMaxTokens = 1 << 24;

// `where` is the file's name in error messages.
Result<TokenizerFile> parse_tokenizer_file(std::string_view json, const std::string& where);

}  // namespace incipit::engine
