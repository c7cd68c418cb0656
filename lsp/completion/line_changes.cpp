#include "lsp/completion/line_changes.h"

#include <algorithm>
#include <cstdint>

namespace incipit::lsp {
namespace {

// Lines with their ends.
std::vector<std::string_view> lines_with_ends(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t size = std::min(text.find('\n'), text.size() - 1) + 1;
    lines.push_back(text.substr(0, size));
    text.remove_prefix(size);
  }
  return lines;
}

// Collects neighbouring differences into one change.
class ChangeList {
 public:
  explicit ChangeList(size_t base) : offset_(base) {}
  void keep(std::string_view line) {
    flush();
    offset_ += line.size();
  }
  void remove(std::string_view line) {
    open();
    offset_ += line.size();
    change_.end = offset_;
  }
  void add(std::string_view line) {
    open();
    change_.text += line;
  }
  std::vector<TextChange> take() {
    flush();
    return std::move(changes_);
  }

 private:
  void open() {
    if (!open_) change_ = {offset_, offset_, ""};
    open_ = true;
  }
  void flush() {
    if (open_) changes_.push_back(std::move(change_));
    open_ = false;
  }

  size_t offset_;
  bool open_ = false;
  TextChange change_;
  std::vector<TextChange> changes_;
};

}  // namespace

std::vector<TextChange> line_changes(std::string_view before, std::string_view after, size_t base) {
  const std::vector<std::string_view> a = lines_with_ends(before);
  const std::vector<std::string_view> b = lines_with_ends(after);
  size_t head = 0;
  while (head < a.size() && head < b.size() && a[head] == b[head]) ++head;
  size_t tail = 0;
  while (tail < a.size() - head && tail < b.size() - head &&
         a[a.size() - 1 - tail] == b[b.size() - 1 - tail]) {
    ++tail;
  }
  const size_t n = a.size() - head - tail;
  const size_t m = b.size() - head - tail;
  // lengths[i][j]: lines in common from the i-th and the j-th on.
  const bool fits = n == 0 || m <= kMaxTable / n;
  const size_t width = m + 1;
  std::vector<uint32_t> lengths(fits ? (n + 1) * width : 0, 0);
  for (size_t i = n; fits && i-- > 0;) {
    for (size_t j = m; j-- > 0;) {
      lengths[i * width + j] = a[head + i] == b[head + j] ? lengths[(i + 1) * width + j + 1] + 1
                                                          : std::max(lengths[(i + 1) * width + j],
                                                                     lengths[i * width + j + 1]);
    }
  }
  ChangeList changes(base);
  for (size_t i = 0; i < head; ++i) changes.keep(a[i]);
  size_t i = 0;
  size_t j = 0;
  while (i < n || j < m) {
    if (fits && i < n && j < m && a[head + i] == b[head + j]) {
      changes.keep(a[head + i]);
      ++i;
      ++j;
    } else if (i < n &&
               (!fits || j == m || lengths[(i + 1) * width + j] >= lengths[i * width + j + 1])) {
      changes.remove(a[head + i++]);
    } else {
      changes.add(b[head + j++]);
    }
  }
  for (size_t k = a.size() - tail; k < a.size(); ++k) changes.keep(a[k]);
  return changes.take();
}

}  // namespace incipit::lsp
