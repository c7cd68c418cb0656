// PositionMapper: the only place where LSP positions become byte offsets and back. Borrows a valid
// UTF-8 text and its line index. Nothing is refused: a column past the end of its line is the end
// of the line, a line past the end of the text is the end of the text, a column inside a character
// (half a surrogate pair, the middle of a UTF-8 sequence) is the start of that character.
#pragma once

#include <cstddef>
#include <string_view>

#include "lsp/document/line_index.h"
#include "lsp/document/position_encoding.h"
#include "lsp/protocol/basic.h"

namespace incipit::lsp {

class PositionMapper {
 public:
  PositionMapper(std::string_view text, const LineIndex& lines, PositionEncoding encoding)
      : text_(text), lines_(&lines), encoding_(encoding) {}

  size_t offset_of(Position position) const;
  Position position_of(size_t offset) const;
  Range range_of(size_t start, size_t end) const { return {position_of(start), position_of(end)}; }

 private:
  std::string_view text_;
  const LineIndex* lines_;
  PositionEncoding encoding_;
};

}  // namespace incipit::lsp
