// The names in a piece of code: runs of identifier characters that are no number. Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "lsp/context/cursor_site.h"

namespace incipit::lsp {

// Calls f(name, where it begins) for every name of text[from, to) with at least `min_bytes`. A name
// that reaches over an end counts as far as it lies inside.
template <class F>
void for_each_name(std::string_view text, size_t from, size_t to, size_t min_bytes, F f) {
  to = std::min(to, text.size());
  for (size_t at = from; at < to;) {
    if (!is_identifier(text[at])) {
      ++at;
      continue;
    }
    size_t end = at;
    while (end < to && is_identifier(text[end])) ++end;
    const bool is_number = text[at] >= '0' && text[at] <= '9';
    if (end - at >= min_bytes && !is_number) f(text.substr(at, end - at), at);
    at = end;
  }
}

}  // namespace incipit::lsp
