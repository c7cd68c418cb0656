// LineIndex: where each line of a text starts. `\n`, `\r\n` and a lone `\r` end a line. An edit
// costs the lines it touches plus one addition for each line behind it; it never reads text that it
// did not insert.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace incipit::lsp {

class LineIndex {
 public:
  LineIndex() = default;
  explicit LineIndex(std::string_view text);

  // `text` is the text after `n_removed` bytes at `at` became `n_inserted` others.
  void replaced(std::string_view text, size_t at, size_t n_removed, size_t n_inserted);

  size_t n_lines() const { return starts_.size(); }
  size_t start(size_t line) const { return starts_[line]; }
  size_t line_at(size_t offset) const;
  // Where the line's text ends: before its line break. `text` is what the index was made for.
  size_t end(std::string_view text, size_t line) const;

 private:
  std::vector<size_t> starts_{0};
};

}  // namespace incipit::lsp
