#include "lsp/document/position_mapper.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "lsp/document/utf8.h"

namespace incipit::lsp {
namespace {

constexpr size_t kWord = 8;

bool is_ascii_word(const char* bytes) {
  uint64_t word = 0;
  std::memcpy(&word, bytes, kWord);
  return (word & 0x8080808080808080ULL) == 0;
}

struct Character {
  size_t n_bytes = 1;
  size_t n_units = 1;
};

Character character_at(std::string_view line, size_t at, PositionEncoding encoding) {
  const size_t n_bytes = std::max<size_t>(utf8_sequence_length(line, at), 1);
  return {n_bytes, encoding == PositionEncoding::kUtf16 && n_bytes == 4 ? size_t{2} : size_t{1}};
}

// Lines of a megabyte are walked at every keystroke, so ASCII goes eight bytes a step.
size_t bytes_of_column(std::string_view line, size_t column, PositionEncoding encoding) {
  size_t at = 0;
  while (column > 0 && at < line.size()) {
    if (column >= kWord && at + kWord <= line.size() && is_ascii_word(line.data() + at)) {
      at += kWord;
      column -= kWord;
      continue;
    }
    const Character character = character_at(line, at, encoding);
    if (character.n_units > column) break;
    at += character.n_bytes;
    column -= character.n_units;
  }
  return at;
}

size_t column_of_bytes(std::string_view line, size_t n_bytes, PositionEncoding encoding) {
  size_t at = 0;
  size_t column = 0;
  while (at < n_bytes) {
    if (at + kWord <= n_bytes && is_ascii_word(line.data() + at)) {
      at += kWord;
      column += kWord;
      continue;
    }
    const Character character = character_at(line, at, encoding);
    if (at + character.n_bytes > n_bytes) break;
    at += character.n_bytes;
    column += character.n_units;
  }
  return column;
}

size_t start_of_character(std::string_view line, size_t at) {
  if (at >= line.size()) return line.size();
  size_t start = at;
  while (start > 0 && at - start < 3 && is_continuation_byte(line[start])) --start;
  return start + utf8_sequence_length(line, start) > at ? start : at;
}

}  // namespace

size_t PositionMapper::offset_of(Position position) const {
  if (position.line >= lines_->n_lines()) return text_.size();
  const size_t start = lines_->start(position.line);
  const auto line = text_.substr(start, lines_->end(text_, position.line) - start);
  if (encoding_ == PositionEncoding::kUtf8) {
    return start + start_of_character(line, position.character);
  }
  return start + bytes_of_column(line, position.character, encoding_);
}

Position PositionMapper::position_of(size_t offset) const {
  offset = std::min(offset, text_.size());
  const size_t line_idx = lines_->line_at(offset);
  const size_t start = lines_->start(line_idx);
  const auto line = text_.substr(start, lines_->end(text_, line_idx) - start);
  const size_t n_bytes = start_of_character(line, std::min(offset - start, line.size()));
  const size_t column =
      encoding_ == PositionEncoding::kUtf8 ? n_bytes : column_of_bytes(line, n_bytes, encoding_);
  return {static_cast<uint32_t>(line_idx), static_cast<uint32_t>(column)};
}

}  // namespace incipit::lsp
