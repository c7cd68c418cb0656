// What the closing brackets and quotes of a candidate close: brackets of its own, what the editor
// had closed after the cursor, or what the document still lacks. In JSX the same for tags. Used by
// the stop checks and by postprocess. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/context/cursor_site.h"
#include "lsp/syntax/language.h"

namespace incipit::lsp {

struct BracketInput {
  std::string_view candidate;  // "\n" line ends
  std::string_view tail;       // closers between the cursor and the end of its line; may be empty
  std::string_view unclosed;   // closers the document lacks at the cursor, innermost first
  char open_quote = 0;         // the cursor is inside a string that began with this …
  bool in_hole = false;        // … in a hole of it, where code stands: f"{|}", `${|}`
  // The string that holds the cursor ends on the right of it.
  bool quote_closed = false;
  std::span<const std::string> unclosed_tags = {};  // see the function
  const Language* language = nullptr;
};

struct BracketWalk {
  size_t tail_used = 0;         // bytes of `tail` that the candidate brings itself
  size_t unclosed_used = 0;     // closers of `unclosed` that the candidate brings
  int depth = 0;                // brackets that the candidate opened and did not close
  std::string open;             // their closers, innermost last
  std::vector<size_t> open_at;  // where they were opened
  char own_quote = 0;           // a string that the candidate opened and did not close
  bool in_string = false;  // the end is inside a string, be it the candidate's or the document's
  std::optional<size_t> comment;  // where the candidate's first line comment begins
  bool ends_in_comment = false;   // in that
  // Where a block comment begins that the candidate leaves open.
  std::optional<size_t> open_comment;
  // Where the candidate closes something that nothing had opened: it must end before this.
  std::optional<size_t> surplus;
  // The last place after a closer of `unclosed`, i.e. the end of a node that held the cursor.
  std::optional<size_t> closed_outer;
};

BracketWalk walk_brackets(const BracketInput& input);

// What a walk has to know about the cursor's line. `candidate`, `tail`, `unclosed` and
// `unclosed_tags` are left to the caller.
BracketInput brackets_at(const CursorSite& site, const Language* language);

// Whether a line ends with the opening tag of a JSX element.
bool opens_element(const Language* language, std::string_view line);

// Names of JSX elements that are open at `offset` and not closed after it, innermost first. Empty
// in languages without JSX.
std::vector<std::string> unclosed_tags(const Language* language, std::string_view text,
                                       size_t offset);

}  // namespace incipit::lsp
