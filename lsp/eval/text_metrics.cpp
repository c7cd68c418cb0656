#include "lsp/eval/text_metrics.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "lsp/context/cursor_site.h"
#include "lsp/document/utf8.h"

namespace incipit::lsp::eval {
namespace {

std::vector<char32_t> characters(std::string_view text) {
  std::vector<char32_t> result;
  for (size_t at = 0; at < text.size();) {
    const size_t length = std::max<size_t>(1, utf8_sequence_length(text, at));
    char32_t packed = 0;  // the bytes themselves: only equality matters
    for (size_t i = 0; i < length; ++i) {
      packed = packed << 8 | static_cast<unsigned char>(text[at + i]);
    }
    result.push_back(packed);
    at += length;
  }
  return result;
}

size_t distance_of(const std::vector<char32_t>& a, const std::vector<char32_t>& b) {
  std::vector<size_t> row(b.size() + 1);  // distances of a's first i characters to b's first j
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

// Whether a line says enough that standing twice is a mistake.
bool is_telling(std::string_view line) {
  constexpr std::string_view kEnds[] = {"end", "fi", "done", "esac", "else", "then", "do"};
  const auto is_name = [](char c) { return is_identifier(c); };
  if (std::none_of(line.begin(), line.end(), is_name)) return false;
  while (!line.empty() && !is_identifier(line.back())) line.remove_suffix(1);
  while (!line.empty() && !is_identifier(line.front())) line.remove_prefix(1);
  return std::find(std::begin(kEnds), std::end(kEnds), line) == std::end(kEnds);
}

std::string_view last_line(std::string_view text) {
  return text.substr(text.rfind('\n') + 1);  // npos + 1 == 0: all of it
}

// The last line of `text` that is not blank; the first one.
std::string_view last_text_line(std::string_view text) {
  while (!text.empty() && is_blank(last_line(text))) {
    text.remove_suffix(std::min(text.size(), last_line(text).size() + 1));
  }
  return trim(last_line(text));
}

std::string_view first_text_line(std::string_view text) {
  while (!text.empty() && is_blank(first_line(text))) {
    text.remove_prefix(std::min(text.size(), first_line(text).size() + 1));
  }
  return trim(first_line(text));
}

}  // namespace

std::string normal_text(std::string_view text) {
  const std::string lines = with_lf(text);
  std::string result;
  for (size_t at = 0; at < lines.size();) {
    const std::string_view line = first_line(std::string_view(lines).substr(at));
    result += trim_right(line);
    result += '\n';
    at += line.size() + 1;
  }
  while (!result.empty() && result.back() == '\n') result.pop_back();
  return result;
}

std::string_view first_line(std::string_view text) {
  return text.substr(0, text.find('\n'));
}

bool is_same_text(std::string_view a, std::string_view b) {
  return normal_text(a) == normal_text(b);
}

size_t edit_distance(std::string_view a, std::string_view b) {
  return distance_of(characters(normal_text(a)), characters(normal_text(b)));
}

double edit_similarity(std::string_view a, std::string_view b) {
  const std::vector<char32_t> left = characters(normal_text(a));
  const std::vector<char32_t> right = characters(normal_text(b));
  const size_t longer = std::max(left.size(), right.size());
  if (longer == 0) return 1;
  return 1 - static_cast<double>(distance_of(left, right)) / static_cast<double>(longer);
}

bool repeats_a_neighbour(std::string_view before, std::string_view piece, std::string_view after) {
  if (is_blank(piece)) return false;
  const std::string whole =
      with_lf(std::string(last_line(before)) + std::string(piece) + std::string(first_line(after)));
  const std::string_view lines_before = before.substr(0, before.size() - last_line(before).size());
  const std::string_view lines_after = after.substr(first_line(after).size());
  const std::string_view first = first_text_line(whole);
  const std::string_view last = last_text_line(whole);
  return (is_telling(first) && first == last_text_line(lines_before)) ||
         (is_telling(last) && last == first_text_line(lines_after));
}

}  // namespace incipit::lsp::eval
