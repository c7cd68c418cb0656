// What a text at the cursor leaves open, and the text with that closed: brackets, strings, and in
// languages of keywords the blocks that `end`, `fi`, … close. Used by syntax_fit. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/completion/bracket_walk.h"
#include "lsp/context/cursor_site.h"
#include "lsp/syntax/language.h"

namespace incipit::lsp {

// A block that begins with a keyword and has no end yet.
struct KeywordBlock {
  size_t at = 0;            // of the keyword
  std::string_view closer;  // "end", "until", "fi", "done", "esac"
};

// Of Lua and the shell, outermost first; nothing in other languages. Words in strings and comments
// do not count.
std::vector<KeywordBlock> open_keyword_blocks(const Language* language, std::string_view text);

// How many of `unclosed`, from its front, belong to the statement at the cursor: to brackets that
// its line opened, and to argument lists and indices that go over several lines.
size_t n_of_statement(const CursorSite& site, const BracketInput& brackets);

// `text` with what it and the statement at the cursor left open closed: blocks that were opened at
// the end of a line on lines of their own, everything else right behind it. The text itself where
// that is impossible, as in a comment. `brackets` holds everything but the candidate.
std::string with_closers(const CursorSite& site, const BracketInput& brackets,
                         std::string_view text);

// `text` with the block comment closed that it begins and leaves open, if the document below does
// not close it; without the comment where that says nothing.
std::string with_comment_closed(const CursorSite& site, const BracketInput& brackets,
                                std::string_view text);

}  // namespace incipit::lsp
