// The merges of a vocabulary that comes without a list of them: two tokens merge when together they
// are a token, and that token's rank says how soon. tiktoken's files are meant so (ranks are ids),
// SentencePiece's BPE models too (ranks are the order of scores). Loading thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/tokenizer/merge_table.h"
#include "engine/tokenizer/vocabulary.h"

namespace incipit::engine {

// A token longer than this is refused by who reads a file: what follows is quadratic in it. Llama
// 3's longest is 128 bytes.
inline constexpr size_t kLongestMergedToken = 512;

enum class SymbolUnit {
  kByte,       // merging begins with one token a byte
  kCharacter,  // with one a character, and one for each byte of a character that has none
};

// tokens[id] as in `vocabulary`; rank_of(id) is asked for those of more than one symbol.
std::vector<Merge> merges_of_vocabulary(const std::vector<std::string>& tokens,
                                        const Vocabulary& vocabulary, SymbolUnit unit,
                                        const std::function<uint32_t(TokenId)>& rank_of);

}  // namespace incipit::engine
