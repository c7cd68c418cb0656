#include "lsp/context/cursor_site.h"

#include <algorithm>
#include <array>

namespace incipit::lsp {
namespace {

using std::string_view;

// Lines are looked for this far; a longer line counts as ended there.
constexpr size_t kReach = size_t{64} << 10;

// Loops, because find_first_of with two characters costs ten times as much.
size_t end_of_line(string_view text, size_t from) {
  const size_t limit = std::min(text.size(), from + kReach);
  while (from < limit && text[from] != '\n' && text[from] != '\r') ++from;
  return from;
}

size_t start_of_line(string_view text, size_t from) {
  const size_t limit = from - std::min(from, kReach);
  while (from > limit && text[from - 1] != '\n' && text[from - 1] != '\r') --from;
  return from;
}

size_t next_line_start(string_view text, size_t line_end) {
  if (line_end >= text.size()) return text.size();
  if (text.substr(line_end, 2) == "\r\n") return line_end + 2;
  const bool ended = text[line_end] == '\n' || text[line_end] == '\r';
  return line_end + (ended ? 1 : 0);  // a line longer than the reach goes on
}

LineTail tail_of(string_view after) {
  if (is_blank(after)) return LineTail::kNothing;
  return is_closers_only(after) ? LineTail::kClosers : LineTail::kCode;
}

char open_quote_of(string_view before, const Language* language) {
  const string_view comment = language == nullptr ? string_view{} : language->line_comment;
  const bool lifetimes = language != nullptr && language->name == "rust";
  char open = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    const char c = before[i];
    if (open == 0 && !comment.empty() && before.substr(i).starts_with(comment)) return 0;
    if (c == '\\') {
      ++i;
    } else if (open != 0) {
      if (c == open) open = 0;
    } else if (c == '"' || c == '`' || (c == '\'' && !lifetimes)) {
      open = c;
    }
  }
  // An apostrophe in prose is no string.
  return language == nullptr && open == '\'' ? 0 : open;
}

}  // namespace

bool CursorSite::blank_before() const {
  return is_blank(before);
}

CursorSite look_at(string_view text, size_t offset, const Language* language) {
  offset = std::min(offset, text.size());
  while (offset > 0 && offset < text.size() &&
         (static_cast<unsigned char>(text[offset]) & 0xC0) == 0x80) {
    --offset;
  }
  CursorSite site;
  site.text = text;
  site.offset = offset;
  site.line_start = start_of_line(text, offset);
  site.line_end = end_of_line(text, offset);
  site.before = text.substr(site.line_start, offset - site.line_start);
  site.after = text.substr(offset, site.line_end - offset);
  site.tail = tail_of(site.after);
  const auto next = lines_after(site, 1);
  if (!next.empty()) site.next_line = next.front();
  const auto previous = lines_before(site, 1);
  if (!previous.empty()) site.previous_line = previous.front();
  const size_t first_end = end_of_line(text, 0);
  if (text.substr(first_end, 2) == "\r\n") {
    site.eol = "\r\n";
  } else if (text.substr(first_end, 1) == "\r") {
    site.eol = "\r";
  }
  site.open_quote = open_quote_of(site.before, language);
  return site;
}

string_view trim_right(string_view text) {
  const size_t last = text.find_last_not_of(" \t\f\v\r\n");
  return last == string_view::npos ? string_view{} : text.substr(0, last + 1);
}

string_view trim(string_view text) {
  const size_t first = text.find_first_not_of(" \t\f\v\r\n");
  return first == string_view::npos ? string_view{} : trim_right(text.substr(first));
}

string_view indent_of(string_view line) {
  return line.substr(0, std::min(line.find_first_not_of(" \t"), line.size()));
}

bool is_blank(string_view text) {
  return text.find_first_not_of(" \t\f\v\r\n") == string_view::npos;
}

bool is_identifier(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '$' || static_cast<unsigned char>(c) >= 0x80;
}

bool is_closers_only(string_view text) {
  return !is_blank(text) && text.find_first_not_of(" \t\f\v\r\n)]}\"'`;,") == string_view::npos;
}

int indent_columns(string_view line, int tab) {
  int columns = 0;
  for (const char c : indent_of(line))
    columns = c == '\t' ? (columns / tab + 1) * tab : columns + 1;
  return columns;
}

std::string with_lf(string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') {
      result += text[i];
    } else if (text.substr(i, 2) != "\r\n") {
      result += '\n';
    }
  }
  return result;
}

IndentStyle indent_style(string_view text, size_t offset, const Language* language) {
  const size_t from = offset - std::min(offset, kReach / 2);
  const string_view part = text.substr(from, kReach);
  std::array<int, 9> steps{};  // how often a line is indented by n columns more than the one before
  int with_tabs = 0;
  int with_spaces = 0;
  int last = 0;
  for (size_t at = 0; at < part.size();) {
    const size_t end = end_of_line(part, at);
    const string_view line = part.substr(at, end - at);
    at = next_line_start(part, end);
    if (is_blank(line)) continue;
    const string_view indent = indent_of(line);
    with_tabs += indent.find('\t') != string_view::npos ? 1 : 0;
    with_spaces += indent.starts_with(' ') ? 1 : 0;
    const int columns = indent_columns(line);
    const int step = columns - last;
    if (step >= 2 && step <= 8) ++steps[static_cast<size_t>(step)];
    last = columns;
  }
  IndentStyle style;
  style.tabs = with_tabs > with_spaces;
  if (with_tabs + with_spaces == 0 && language != nullptr) style.tabs = language->name == "go";
  const auto most = std::max_element(steps.begin(), steps.end());
  if (*most > 0) style.unit = static_cast<int>(most - steps.begin());
  if (style.tabs) style.unit = 4;  // one tab, by indent_columns' default
  return style;
}

bool opens_block(string_view line, const Language* language) {
  const string_view text = trim_right(line);
  if (text.empty()) return false;
  const char last = text.back();
  if (last == '{' || last == '(' || last == '[') return true;
  if (last == ':') return language == nullptr || language->blocks == BlockStyle::kIndent;
  const string_view words[] = {"then", "do", "else", "function"};
  return language != nullptr && language->blocks == BlockStyle::kKeywords &&
         (text.back() == ')' ? trim(text).find("function") != string_view::npos
                             : std::any_of(std::begin(words), std::end(words),
                                           [&](string_view w) { return text.ends_with(w); }));
}

std::vector<string_view> lines_after(const CursorSite& site, size_t n) {
  std::vector<string_view> result;
  size_t at = next_line_start(site.text, site.line_end);
  const size_t limit = std::min(site.text.size(), site.line_end + kReach);
  while (at < limit && result.size() < n) {
    const size_t end = end_of_line(site.text, at);
    const string_view line = site.text.substr(at, end - at);
    if (!is_blank(line)) result.push_back(line);
    at = next_line_start(site.text, end);
  }
  return result;
}

std::vector<string_view> lines_before(const CursorSite& site, size_t n) {
  std::vector<string_view> result;
  size_t end = site.line_start;
  const size_t limit = site.line_start - std::min(site.line_start, kReach);
  while (end > limit && result.size() < n) {
    --end;  // the '\n' or '\r' that ends the line
    if (end > 0 && site.text[end] == '\n' && site.text[end - 1] == '\r') --end;
    const size_t start = start_of_line(site.text, end);
    const string_view line = site.text.substr(start, end - start);
    if (!is_blank(line)) result.push_back(line);
    end = start;
  }
  return result;
}

}  // namespace incipit::lsp
