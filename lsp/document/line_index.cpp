#include "lsp/document/line_index.h"

#include <algorithm>
#include <iterator>

namespace incipit::lsp {
namespace {

// Does a line start at `at` (> 0)? Looks at the two bytes around it.
bool starts_line(std::string_view text, size_t at) {
  const char before = text[at - 1];
  return before == '\n' || (before == '\r' && (at == text.size() || text[at] != '\n'));
}

void append_starts(std::string_view text, size_t first, size_t last, std::vector<size_t>& out) {
  for (size_t at = std::max<size_t>(first, 1); at <= last; ++at) {
    if (starts_line(text, at)) out.push_back(at);
  }
}

}  // namespace

LineIndex::LineIndex(std::string_view text) {
  append_starts(text, 1, text.size(), starts_);
}

void LineIndex::replaced(std::string_view text, size_t at, size_t n_removed, size_t n_inserted) {
  // Whether a line starts at p depends on the bytes p-1 and p, so starts from `at` to the end of
  // the removed bytes may change; those behind only move. Line 0 always starts at 0.
  const auto first = std::lower_bound(starts_.begin() + 1, starts_.end(), at);
  const auto last = std::upper_bound(first, starts_.end(), at + n_removed);
  for (auto start = last; start != starts_.end(); ++start) *start += n_inserted - n_removed;

  std::vector<size_t> found;
  append_starts(text, at, at + n_inserted, found);
  const auto n_kept = std::min(std::distance(first, last), std::ssize(found));
  std::copy_n(found.begin(), n_kept, first);
  if (n_kept < std::ssize(found)) {
    starts_.insert(first + n_kept, found.begin() + n_kept, found.end());
  } else {
    starts_.erase(first + n_kept, last);
  }
}

size_t LineIndex::line_at(size_t offset) const {
  return static_cast<size_t>(std::upper_bound(starts_.begin(), starts_.end(), offset) -
                             starts_.begin()) -
         1;
}

size_t LineIndex::end(std::string_view text, size_t line) const {
  const size_t begin = starts_[line];
  size_t end = line + 1 < starts_.size() ? starts_[line + 1] : text.size();
  if (end > begin && text[end - 1] == '\n') --end;
  if (end > begin && text[end - 1] == '\r') --end;
  return end;
}

}  // namespace incipit::lsp
