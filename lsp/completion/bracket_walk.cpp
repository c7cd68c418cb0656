#include "lsp/completion/bracket_walk.h"

#include <string>

#include "lsp/context/cursor_site.h"
#include "lsp/syntax/brackets.h"

namespace incipit::lsp {
namespace {

class Walker {
 public:
  explicit Walker(const BracketInput& input) : in_(input), quote_(input.open_quote) {}

  BracketWalk run() {
    for (size_t i = 0; i < in_.candidate.size() && !result_.surplus; ++i) i = step(i);
    result_.depth = static_cast<int>(open_.size());
    return result_;
  }

 private:
  // Looks at the character at `i`; returns the last one that was used up.
  size_t step(size_t i) {
    const char c = in_.candidate[i];
    if (quote_ != 0) return in_string(i, c);
    const size_t after_comment = end_of_comment(i);
    if (after_comment != i) return after_comment - 1;
    if (const char closer = closer_of(c); closer != 0) {
      open_.push_back(closer);
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
      if (!first_string_closed_ && in_.open_quote != 0) following_tail_ = take_tail(c);
      first_string_closed_ = true;
      quote_ = 0;
    } else if (c == '\n' && quote_ != '`') {
      quote_ = 0;  // an apostrophe or a mistake: strings end with their line
      first_string_closed_ = true;
    }
    return i;
  }

  void close(size_t i, char c) {
    if (!open_.empty()) {
      if (open_.back() == c) {
        open_.pop_back();
      } else {
        result_.surplus = i;
      }
      following_tail_ = false;
      return;
    }
    if (take_tail(c)) {
      following_tail_ = true;
    } else if (result_.unclosed_used < in_.unclosed.size() &&
               in_.unclosed[result_.unclosed_used] == c) {
      ++result_.unclosed_used;
      result_.closed_outer = i + 1;
    } else if (!is_shell() || c != ')') {  // "start)" is a pattern of the shell's case
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
    const std::string_view rest = in_.candidate.substr(i);
    return rest.size() > 2 && (rest[2] == '\'' || rest[1] == '\\');
  }

  size_t end_of_comment(size_t i) const {
    const std::string_view rest = in_.candidate.substr(i);
    const std::string_view mark = in_.language == nullptr ? "" : in_.language->line_comment;
    const bool in_word = is_shell() && i > 0 && !is_blank(in_.candidate.substr(i - 1, 1));
    if (!mark.empty() && rest.starts_with(mark) && !in_word) {  // "$#" begins no comment
      return std::min(in_.candidate.find('\n', i), in_.candidate.size());
    }
    if (mark == "//" && rest.starts_with("/*")) {
      const size_t end = in_.candidate.find("*/", i + 2);
      return end == std::string_view::npos ? in_.candidate.size() : end + 2;
    }
    return i;
  }

  BracketInput in_;
  char quote_;
  bool first_string_closed_ = false;
  bool following_tail_ = false;  // the last character was one of the tail's
  std::string open_;             // closers of what the candidate opened, innermost last
  BracketWalk result_;
};

}  // namespace

BracketWalk walk_brackets(const BracketInput& input) {
  return Walker(input).run();
}

}  // namespace incipit::lsp
