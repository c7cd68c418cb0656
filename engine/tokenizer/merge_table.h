// MergeTable: byte-pair encoding of one piece. Two tokens side by side become one as the merge list
// says: the pair that stands earliest in the list first, the leftmost of equal ones first.
// Immutable after construction; any thread. Called by Tokenizer.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/base/ids.h"
#include "engine/tokenizer/vocabulary.h"

namespace incipit::engine {

struct Merge {
  TokenId left;
  TokenId right;
  TokenId result;
};

class MergeTable {
 public:
  // merges[rank]; of equal pairs the last one counts, as in Hugging Face's library.
  explicit MergeTable(const std::vector<Merge>& merges);

  // Appends the tokens of `piece`, which is not empty. `vocabulary` has all 256 single bytes.
  // O(n log n) for a long piece, and no allocation for one of up to kShortPiece bytes.
  void encode(std::string_view piece, const Vocabulary& vocabulary,
              std::vector<TokenId>& out) const;

  static constexpr size_t kShortPiece = 48;

 private:
  static constexpr uint32_t kNoRank = UINT32_MAX;
  struct Found {
    uint32_t rank;
    TokenId result;
  };
  Found find(TokenId left, TokenId right) const;
  void encode_short(std::string_view piece, const Vocabulary& vocabulary,
                    std::vector<TokenId>& out) const;
  void encode_long(std::string_view piece, const Vocabulary& vocabulary,
                   std::vector<TokenId>& out) const;

  // Open addressing with linear probing, at most half full; rank kNoRank is an empty slot.
  struct Slot {
    uint64_t pair;
    uint32_t rank;
    TokenId result;
  };
  std::vector<Slot> slots_;
  size_t mask_ = 0;
};

}  // namespace incipit::engine
