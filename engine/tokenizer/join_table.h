// JoinTable: cuts text where no token of a vocabulary can reach across, so that pieces merge as the
// whole text would, only sooner. A vocabulary made by SentencePiece has no split pattern: its
// merges run over everything. Two bytes that stand side by side inside of no token are a cut.
// Immutable after construction; any thread. Called by Tokenizer.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace incipit::engine {

class JoinTable {
 public:
  explicit JoinTable(const std::vector<std::string>& tokens);

  // Bytes of the first piece of `text`, which is not empty. A piece may end inside of a character
  // that no token holds.
  size_t first_piece(std::string_view text) const {
    size_t size = 1;
    while (size < text.size() && joined_[index_of(text[size - 1], text[size])]) ++size;
    return size;
  }

 private:
  static size_t index_of(char left, char right) {
    return size_t{static_cast<uint8_t>(left)} << 8 | static_cast<uint8_t>(right);
  }
  std::bitset<65536> joined_;
};

}  // namespace incipit::engine
