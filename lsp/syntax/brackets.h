// Which brackets are open at a place and have no partner after it. By the tree where there is one,
// by a scan that knows strings and comments where there is none.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "lsp/syntax/parser.h"

namespace incipit::lsp {

// The closing brackets that the text still lacks at `offset`, innermost first: "})" says that a '}'
// and then a ')' may be added. `tree` may be null and is then not used; `language` may be null.
// A closer at the start of a line is taken for the partner of an opener on a line of its own
// indentation, so that the '}' of an outer block does not close an inner one that was just begun.
// With a tree, what another statement further up left open, as the indentation tells, counts no
// more.
std::string unclosed_brackets(const SyntaxTree* tree, const Language* language,
                              std::string_view text, size_t offset);

char closer_of(char opener);  // 0: not an opener
bool is_closer(char c);       // ) ] }

}  // namespace incipit::lsp
