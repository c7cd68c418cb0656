// SplicedErrors: how many parse errors (ERROR and MISSING nodes) a document has with a text put in
// at the cursor, by a tree made from the old one. Within limits of size, time and number, so that a
// check is never felt. Used by line_fit and syntax_fit. One thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "lsp/context/cursor_site.h"
#include "lsp/syntax/parser.h"

namespace incipit::lsp {

// Places of errors: beginning and end of each. Before the cursor they are counted from the
// beginning of the document, behind it from its end, so that the same error has the same place
// whatever text is put in.
using ErrorPlaces = std::vector<std::pair<int64_t, int64_t>>;

class SplicedErrors {
 public:
  // Larger documents go without.
  static constexpr size_t kMaxParsedBytes = size_t{512} << 10;

  // `tree` is that of the site's text, or null: then there are no numbers. The time runs from here
  // on.
  SplicedErrors(Tree tree, const CursorSite& site, std::chrono::milliseconds time, int max_parses);

  // Whether there are numbers at all.
  bool usable() const { return tree_ != nullptr; }

  // Of the document as it is.
  int now() const;

  // `text` ("\n" line ends) replaces `n_replaced` bytes after the cursor. Nothing: beyond the
  // limits.
  std::optional<int> with(std::string_view text, size_t n_replaced = 0);

  // The same as places; counts as a parse.
  std::optional<ErrorPlaces> places_with(std::string_view text);

 private:
  Tree tree_with(std::string_view text, size_t n_replaced);

  Tree tree_;
  CursorSite site_;
  int n_left_;  // parses
  DocumentParser::Clock::time_point deadline_;
};

}  // namespace incipit::lsp
