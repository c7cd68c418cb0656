// What the closing brackets and quotes of a candidate close: brackets of its own, what the editor
// had closed after the cursor, or what the document still lacks. Used by the stop checks and by
// postprocess. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "lsp/syntax/language.h"

namespace incipit::lsp {

struct BracketInput {
  std::string_view candidate;  // "\n" line ends
  std::string_view tail;       // closers between the cursor and the end of its line; may be empty
  std::string_view unclosed;   // closers the document lacks at the cursor, innermost first
  char open_quote = 0;         // the cursor is inside a string that began with this
  const Language* language = nullptr;
};

struct BracketWalk {
  size_t tail_used = 0;      // bytes of `tail` that the candidate brings itself
  size_t unclosed_used = 0;  // closers of `unclosed` that the candidate brings
  int depth = 0;             // brackets that the candidate opened and did not close
  // Where the candidate closes something that nothing had opened: it must end before this.
  std::optional<size_t> surplus;
  // The last place after a closer of `unclosed`, i.e. the end of a node that held the cursor.
  std::optional<size_t> closed_outer;
};

BracketWalk walk_brackets(const BracketInput& input);

}  // namespace incipit::lsp
