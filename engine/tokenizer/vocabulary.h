// Vocabulary: the bytes of every ordinary token and the way back from bytes to id. Owns the bytes.
// Filled once while a tokenizer is loaded, then read by Tokenizer from any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/ids.h"

namespace incipit::engine {

class Vocabulary {
 public:
  // tokens[id] holds the bytes of an id; an empty entry (a special token) is never found by
  // `find`. Later duplicates of the same bytes are not found either, nor are the tokens of
  // byte_fallback ([256] by byte, or empty): each stands for a byte that is in no other token.
  explicit Vocabulary(const std::vector<std::string>& tokens,
                      std::span<const TokenId> byte_fallback = {});

  int32_t size() const { return static_cast<int32_t>(offsets_.size()) - 1; }

  // Empty for special tokens and for ids outside [0, size).
  std::string_view bytes(TokenId id) const;

  std::optional<TokenId> find(std::string_view bytes) const;

  // The token of a single byte, of byte_fallback where there is one; -1 when the vocabulary has
  // none.
  TokenId byte_token(uint8_t byte) const { return byte_tokens_[byte]; }

  // What merging begins with, appended: a token for each character, and for each byte of a
  // character that has none.
  void append_characters(std::string_view text, std::vector<TokenId>& out) const;

 private:
  std::string arena_;              // all tokens' bytes one after another
  std::vector<uint32_t> offsets_;  // [size + 1] into arena_
  std::array<TokenId, 256> byte_tokens_;
  std::array<TokenId, 128> ascii_tokens_;  // of the character, else of the byte

  // Open addressing with linear probing, at most half full; -1 is an empty slot.
  struct Slot {
    uint32_t hash;  // upper half of the 64-bit hash: spares most comparisons of bytes
    TokenId id;
  };
  std::vector<Slot> slots_;
  size_t mask_ = 0;
};

}  // namespace incipit::engine
