// The lines of another file that are most like the surroundings of a cursor, by the names that both
// use. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <unordered_set>

#include "lsp/syntax/scope.h"

namespace incipit::lsp {

// The names around a place; views into its text.
using NameSet = std::unordered_set<std::string_view>;
NameSet names_around(std::string_view text, size_t offset);

struct SimilarLines {
  Span span;              // whole lines, none at its ends blank
  double similarity = 0;  // Jaccard's: names of both, divided by names of either
  size_t n_shared = 0;    // names of both
};

// The best run of at most `max_lines` lines and `max_bytes` bytes, of equals the first; nothing
// when it shares no name.
std::optional<SimilarLines> most_similar_lines(std::string_view text, const NameSet& names,
                                               size_t max_lines, size_t max_bytes);

}  // namespace incipit::lsp
