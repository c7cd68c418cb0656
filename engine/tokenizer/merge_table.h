// MergeTable: byte-pair encoding of one piece. Two tokens side by side become one as the merges
// say: the pair of the lowest rank first, the leftmost of equal ones first. Immutable after
// construction; any thread. Called by Tokenizer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/ids.h"

namespace incipit::engine {

struct Merge {
  TokenId left;
  TokenId right;
  TokenId result;
  uint32_t rank;  // below kNoRank; several merges may have the same
};

class MergeTable {
 public:
  // Of equal pairs the last one counts, as in Hugging Face's library.
  explicit MergeTable(const std::vector<Merge>& merges);

  // Replaces out[first..], the symbols of one piece, by its tokens.
  // O(n log n) for a long piece, and no allocation for one of up to kShortPiece symbols.
  void merge(std::vector<TokenId>& out, size_t first) const;

  static constexpr size_t kShortPiece = 48;

 private:
  static constexpr uint32_t kNoRank = UINT32_MAX;
  struct Found {
    uint32_t rank;
    TokenId result;
  };
  Found find(TokenId left, TokenId right) const;
  // Both return how many tokens are left, which are then the first ones.
  size_t merge_short(std::span<TokenId> tokens) const;
  size_t merge_long(std::span<TokenId> tokens) const;

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
