// How much a suggestion is like what stood there. Pure. All take texts with any line ends; white
// space at the ends of lines makes no difference anywhere.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace incipit::lsp::eval {

// Without white space at the ends of lines, with "\n" line ends, without empty lines at the end.
std::string normal_text(std::string_view text);

// Up to the first line end.
std::string_view first_line(std::string_view text);

bool is_same_text(std::string_view a, std::string_view b);

// Levenshtein's distance in characters (code points): insertions, removals and replacements.
size_t edit_distance(std::string_view a, std::string_view b);

// 1 - distance / characters of the longer one: 1 the same, 0 nothing in common; 1 for two empty
// ones.
double edit_similarity(std::string_view a, std::string_view b);

// Whether `piece`, put between `before` and `after`, repeats a line: its last line is the next one
// of `after`, or its first line the last one of `before`. Blank lines are passed over, indentation
// does not count; the pieces of lines right beside `piece` count as parts of its lines. Lines
// without a name in them ("}", ");") and words that end blocks ("end", "fi") may stand twice.
bool repeats_a_neighbour(std::string_view before, std::string_view piece, std::string_view after);

}  // namespace incipit::lsp::eval
