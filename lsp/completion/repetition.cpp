#include "lsp/completion/repetition.h"

#include <algorithm>
#include <vector>

#include "lsp/context/cursor_site.h"
#include "lsp/syntax/brackets.h"
#include "lsp/syntax/language.h"

namespace incipit::lsp {
namespace {

using std::string_view;

// A line of fewer characters of words than this says too little to be called a repetition …
constexpr size_t kTelling = 4;
// … and one of so many enough to be one when it comes again.
constexpr size_t kStatement = 8;
// Of two or more lines that come again together.
constexpr size_t kTellingLines = 12;

// Every number the same.
std::string without_digits(string_view line) {
  std::string text;
  for (const char c : line) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit || text.empty() || text.back() != '0') text.push_back(digit ? '0' : c);
  }
  return text;
}

size_t word_chars(string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), is_identifier));
}

// The lines up to the newest, without blank ones, newest first.
class Lines {
 public:
  Lines(string_view generated, string_view before, std::span<const std::string> lines_before) {
    for (size_t end = generated.size();;) {
      const size_t start = end == 0 ? 0 : generated.rfind('\n', end - 1) + 1;  // npos + 1 == 0
      std::string line(generated.substr(start, end - start));
      if (start == 0) line.insert(0, before);
      if (!is_blank(line)) {
        lines_.emplace_back(trim(line));
        shapes_.push_back(without_digits(lines_.back()));
        starts_.push_back(start);
      }
      if (start == 0) break;
      end = start - 1;
    }
    lines_.insert(lines_.end(), lines_before.begin(), lines_before.end());
  }

  size_t size() const { return lines_.size(); }
  size_t n_generated() const { return starts_.size(); }
  const std::string& operator[](size_t i) const { return lines_[i]; }

  // Line `i` and what follows it goes.
  size_t end_before(size_t i) const { return starts_[i] == 0 ? 0 : starts_[i] - 1; }

  size_t n_generated_like_newest() const {
    const auto end = lines_.begin() + static_cast<std::ptrdiff_t>(n_generated());
    return static_cast<size_t>(std::count(lines_.begin(), end, lines_[0]));
  }
  // Whether the last `n_lines` have stood `n_copies` times in a row; or all of them generated, and
  // the same but for their numbers.
  bool come_again(size_t n_lines, size_t n_copies) const {
    return stand_again(lines_, n_lines, n_copies);
  }
  bool count_on(size_t n_lines, size_t n_copies) const {
    return stand_again(shapes_, n_lines, n_copies);
  }
  size_t word_chars_of(size_t n_lines) const {
    size_t sum = 0;
    for (size_t i = 0; i < n_lines; ++i) sum += word_chars(lines_[i]);
    return sum;
  }

 private:
  static bool stand_again(const std::vector<std::string>& lines, size_t n_lines, size_t n_copies) {
    return n_lines * n_copies <= lines.size() &&
           std::equal(lines.begin(),
                      lines.begin() + static_cast<std::ptrdiff_t>(n_lines * (n_copies - 1)),
                      lines.begin() + static_cast<std::ptrdiff_t>(n_lines));
  }

  std::vector<std::string> lines_;
  // Of the generated ones.
  std::vector<std::string> shapes_;  // without_digits()
  std::vector<size_t> starts_;
};

std::optional<size_t> one_line_again(const Lines& lines) {
  const std::string& newest = lines[0];
  const size_t telling = word_chars(newest);
  if (telling < kTelling) return std::nullopt;
  if (lines.come_again(1, 3)) {
    return lines.end_before(lines.n_generated() >= 3 ? 1 : 0);  // of three generated, one is kept
  }
  if (telling >= kStatement) {
    const bool twice = lines.n_generated() >= 2 && lines.come_again(1, 2);
    if (twice || lines.n_generated_like_newest() >= 3) return lines.end_before(0);
  }
  return lines.count_on(1, 3) ? std::optional(lines.end_before(1)) : std::nullopt;
}

// The same lines twice in a row, short ones three times; the first copy may be the document's, but
// where they count on.
std::optional<size_t> lines_again(const Lines& lines) {
  for (size_t n = 2; 2 * n <= lines.size() && n <= lines.n_generated(); ++n) {
    if (!lines.come_again(n, 2) && !lines.count_on(n, 2)) continue;
    const size_t telling = lines.word_chars_of(n);
    if (telling >= kTellingLines) return lines.end_before(n - 1);
    if (telling >= kTelling && lines.come_again(n, 3)) {
      return lines.end_before(std::min(2 * n, lines.n_generated()) - 1);
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<size_t> end_before_repetition(string_view generated, string_view before,
                                            std::span<const std::string> lines_before) {
  const Lines lines(generated, before, lines_before);
  const size_t last = generated.rfind('\n') + 1;  // npos + 1 == 0
  if (lines.n_generated() == 0 || is_blank(generated.substr(last))) return std::nullopt;
  if (const auto end = one_line_again(lines)) return end;
  return lines_again(lines);
}

}  // namespace incipit::lsp
