#include "lsp/completion/bracket_walk.h"

#include <algorithm>
#include <string>

#include "lsp/syntax/brackets.h"

namespace incipit::lsp {
namespace {

using std::string_view;

// Tags further away than this are not looked at.
constexpr size_t kTagReach = size_t{16} << 10;

bool has_tags(const Language* language) {
  return language != nullptr && (language->name == "tsx" || language->name == "javascript");
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

enum class TagPart { kNone, kOpen, kClose, kSelfClose };
struct Tag {
  TagPart part = TagPart::kNone;
  string_view name;
};

// What begins at `at`: "<name" or "<>" where no operand stands before it, "</name", "/>".
Tag tag_at(string_view text, size_t at) {
  const string_view rest = text.substr(at);
  if (rest.starts_with("/>")) return {TagPart::kSelfClose, {}};
  if (!rest.starts_with('<') || rest.size() < 2) return {};
  const bool close = rest[1] == '/';
  const size_t start = close ? 2 : 1;
  size_t end = start;
  while (end < rest.size() && (is_identifier(rest[end]) || rest[end] == '.' || rest[end] == '-'))
    ++end;
  const string_view name = rest.substr(start, end - start);
  if (close) return {TagPart::kClose, name};
  const bool operand_before = at > 0 && (is_identifier(text[at - 1]) || is_closer(text[at - 1]));
  const bool named = name.empty() ? rest[1] == '>' : is_letter(name.front());
  return operand_before || !named ? Tag{} : Tag{TagPart::kOpen, name};
}

class Walker {
 public:
  explicit Walker(const BracketInput& input)
      : in_(input),
        quote_(input.in_hole ? 0 : input.open_quote),
        in_outer_string_(quote_ != 0),
        in_hole_(input.in_hole) {}

  BracketWalk run() {
    for (size_t i = 0; i < in_.candidate.size() && !result_.surplus; ++i) i = step(i);
    take_separator();
    result_.depth = static_cast<int>(open_.size());
    result_.open = open_;
    result_.open_at = open_at_;
    result_.in_string = quote_ != 0;
    result_.own_quote = in_outer_string_ ? '\0' : quote_;
    return result_;
  }

 private:
  // Looks at the character at `i`; returns the last one that was used up.
  size_t step(size_t i) {
    const char c = in_.candidate[i];
    if (quote_ != 0) return in_string(i, c);
    const size_t after_comment = end_of_comment(i);
    if (after_comment != i) return after_comment - 1;
    if (has_tags(in_.language) && (c == '<' || c == '/')) take_tag(i);
    if (const char closer = closer_of(c); closer != 0) {
      open_.push_back(closer);
      open_at_.push_back(i);
    } else if (is_closer(c)) {
      close(i, c);
    } else if (c == '"' || c == '`' || (c == '\'' && quotes_with_apostrophe(i))) {
      quote_ = c;
    } else if (following_tail_ && take_tail(c)) {
      // A ';' or ',' right after a closer that the editor had put there as well.
    } else {
      following_tail_ = false;
    }
    return i;
  }

  size_t in_string(size_t i, char c) {
    if (c == '\\') return i + 1;
    if (c == quote_) {
      // The string that held the cursor: its end may already stand in the tail.
      if (in_outer_string_) {
        following_tail_ = take_tail(c);
        if (!following_tail_ && in_.quote_closed) result_.surplus = i;
      }
      in_outer_string_ = false;
      quote_ = 0;
    } else if (c == '\n' && quote_ != '`') {
      quote_ = 0;  // an apostrophe or a mistake: strings end with their line
      in_outer_string_ = false;
    }
    return i;
  }

  void close(size_t i, char c) {
    if (!open_.empty()) {
      if (open_.back() == c) {
        open_.pop_back();
        open_at_.pop_back();
      } else {
        result_.surplus = i;
      }
      following_tail_ = false;
      return;
    }
    const bool ends_hole = in_hole_ && c == '}';
    if (take_tail(c)) {
      following_tail_ = true;
    } else if (result_.unclosed_used < in_.unclosed.size() &&
               in_.unclosed[result_.unclosed_used] == c) {
      ++result_.unclosed_used;
      result_.closed_outer = i + 1;
    } else if (!ends_hole && is_shell() && c == ')') {
      return;  // "start)" is a pattern of the shell's case
    } else if (!ends_hole || in_.quote_closed) {
      result_.surplus = i;
      return;
    }
    if (!ends_hole) return;
    in_hole_ = false;  // back in the string around it
    quote_ = in_.open_quote;
    in_outer_string_ = true;
  }

  // A ';' or ',' at the end of the candidate that the editor's line goes on with.
  void take_separator() {
    const string_view written = trim_right(in_.candidate);
    const bool in_comment = result_.ends_in_comment || result_.open_comment;
    const bool in_code = quote_ == 0 && open_.empty() && !result_.surplus && !in_comment;
    if (!in_code || following_tail_ || written.empty()) return;
    if (written.back() == ';' || written.back() == ',') take_tail(written.back());
  }

  void take_tag(size_t i) {
    const Tag tag = tag_at(in_.candidate, i);
    if (tag.part == TagPart::kOpen) ++n_tags_;
    if (tag.part == TagPart::kSelfClose && n_tags_ > 0) --n_tags_;
    if (tag.part != TagPart::kClose) return;
    if (n_tags_ > 0) {
      --n_tags_;
    } else if (n_outer_tags_ < in_.unclosed_tags.size() &&
               in_.unclosed_tags[n_outer_tags_] == tag.name) {
      ++n_outer_tags_;
    } else {
      result_.surplus = i;
    }
  }

  bool is_shell() const { return in_.language != nullptr && in_.language->name == "bash"; }

  bool take_tail(char c) {
    size_t at = result_.tail_used;
    while (at < in_.tail.size() && is_blank(in_.tail.substr(at, 1))) ++at;
    if (at >= in_.tail.size() || in_.tail[at] != c) return false;
    result_.tail_used = at + 1;
    return true;
  }

  // Rust's lifetimes ('a) are no strings.
  bool quotes_with_apostrophe(size_t i) const {
    if (in_.language == nullptr || in_.language->name != "rust") return true;
    const string_view rest = in_.candidate.substr(i);
    return rest.size() > 2 && (rest[2] == '\'' || rest[1] == '\\');
  }

  size_t end_of_comment(size_t i) {
    const string_view rest = in_.candidate.substr(i);
    const string_view mark = in_.language == nullptr ? "" : in_.language->line_comment;
    const bool in_word = is_shell() && i > 0 && !is_blank(in_.candidate.substr(i - 1, 1));
    if (!mark.empty() && rest.starts_with(mark) && !in_word) {  // "$#" begins no comment
      if (!result_.comment) result_.comment = i;
      const size_t end = std::min(in_.candidate.find('\n', i), in_.candidate.size());
      result_.ends_in_comment = end == in_.candidate.size();
      return end;
    }
    if (mark == "//" && rest.starts_with("/*")) {
      const size_t end = in_.candidate.find("*/", i + 2);
      if (end != string_view::npos) return end + 2;
      result_.open_comment = i;
      return in_.candidate.size();
    }
    return i;
  }

  BracketInput in_;
  char quote_;
  bool in_outer_string_;         // the string that held the cursor
  bool in_hole_;                 // … or the hole of it
  bool following_tail_ = false;  // the last character was one of the tail's
  std::string open_;             // closers of what the candidate opened, innermost last
  std::vector<size_t> open_at_;  // and where
  size_t n_tags_ = 0;            // that the candidate opened
  size_t n_outer_tags_ = 0;      // of the document, that it closed
  BracketWalk result_;
};

// The cursor's line up to the cursor, from the quote on that is open there.
string_view begun_string(const CursorSite& site) {
  size_t start = 0;
  for (size_t i = 0; i < site.before.size(); ++i) {
    // As CursorSite::open_quote was found, so that both mean the same string.
    if (site.before[i] == '\\') {
      ++i;
    } else if (site.before[i] == site.open_quote) {
      start = i;
    }
  }
  return site.before.substr(start);
}

bool stands_in_hole(const CursorSite& site, const Language* language) {
  if (site.open_quote == 0 || language == nullptr) return false;
  const string_view string = begun_string(site);
  const char* opener = nullptr;
  if (language->name == "python") {
    const size_t start = site.before.size() - string.size();
    size_t word = start;
    while (word > 0 && (is_letter(site.before[word - 1]) || site.before[word - 1] == '"')) --word;
    const string_view kind = site.before.substr(word, start - word);
    if (kind.find_first_of("fF") == string_view::npos) return false;
    opener = "{";
  } else if (site.open_quote == '`') {
    opener = "${";
  } else if (language->name == "bash" && site.open_quote == '"') {
    opener = "${";
  }
  if (opener == nullptr) return false;
  const size_t open = string.rfind(opener);
  if (open == string_view::npos || string.find('}', open) != string_view::npos) return false;
  return language->name != "python" || open == 0 || string[open - 1] != '{';  // "{{" is a brace
}

// An even number of quotes belongs to strings of their own.
bool closed_on_the_right(const CursorSite& site) {
  size_t n = 0;
  for (size_t i = 0; i < site.after.size(); ++i) {
    if (site.after[i] == '\\') {
      ++i;
    } else if (site.after[i] == site.open_quote) {
      ++n;
    }
  }
  return n % 2 == 1;
}

}  // namespace

BracketWalk walk_brackets(const BracketInput& input) {
  return Walker(input).run();
}

BracketInput brackets_at(const CursorSite& site, const Language* language) {
  BracketInput input;
  input.open_quote = site.open_quote;
  input.in_hole = stands_in_hole(site, language);
  input.quote_closed = site.open_quote != 0 && closed_on_the_right(site);
  input.language = language;
  return input;
}

bool opens_element(const Language* language, string_view line) {
  const string_view written = trim_right(line);
  if (!has_tags(language) || !written.ends_with('>')) return false;
  if (written.ends_with("/>") || written.ends_with("=>")) return false;
  const size_t last = written.rfind('<');
  return last != string_view::npos && tag_at(written, last).part == TagPart::kOpen;
}

std::vector<std::string> unclosed_tags(const Language* language, string_view text, size_t offset) {
  if (!has_tags(language)) return {};
  const size_t from = offset - std::min(offset, kTagReach);
  const size_t to = std::min(text.size(), offset + kTagReach);
  std::vector<string_view> open;     // at the cursor, innermost last
  std::vector<string_view> inner;    // opened after it
  std::vector<string_view> closing;  // after the cursor, of elements that were open there
  for (size_t i = from; i < to; ++i) {
    if (text[i] != '<' && text[i] != '/') continue;
    const Tag tag = tag_at(text.substr(0, to), i);
    std::vector<string_view>& stack = i < offset ? open : inner;
    if (tag.part == TagPart::kOpen) {
      stack.push_back(tag.name);
    } else if (tag.part != TagPart::kNone && !stack.empty()) {
      stack.pop_back();
    } else if (tag.part == TagPart::kClose && i >= offset) {
      closing.push_back(tag.name);
    }
  }
  std::vector<std::string> result;
  size_t n_closed = 0;
  for (size_t i = open.size(); i-- > 0;) {
    if (n_closed < closing.size() && closing[n_closed] == open[i]) {
      ++n_closed;
    } else {
      result.emplace_back(open[i]);
    }
  }
  return result;
}

}  // namespace incipit::lsp
