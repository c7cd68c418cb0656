#include "lsp/syntax/brackets.h"

#include <tree_sitter/api.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "lsp/syntax/scope.h"

namespace incipit::lsp {
namespace {

// Brackets further away than this are not looked at: partners are nearly always near, and a
// document may be large.
constexpr size_t kWindowBytes = size_t{32} << 10;
// A string that does not end within so many bytes is taken for none.
constexpr size_t kMaxString = 4096;
// Openers that are compared with a closer, and those that a partner is asked for.
constexpr size_t kMaxOpeners = 256;

struct Line {
  size_t indent = 0;  // columns, a tab counts as one
  bool starts_here = false;
};

struct Bracket {
  size_t at;
  char c;
  Line line = {};
};

bool is_opener(char c) {
  return closer_of(c) != 0;
}

// Leaves between `from` and `to` in order. A loop, because a tree may be deeper than the stack.
void collect_leaves(TSTreeCursor& cursor, std::string_view text, size_t from, size_t to,
                    std::vector<Bracket>& out) {
  for (bool coming_down = true;;) {
    const TSNode node = ts_tree_cursor_current_node(&cursor);
    const size_t start = ts_node_start_byte(node);
    const size_t end = ts_node_end_byte(node);
    if (coming_down && start < to && end > from) {
      if (ts_tree_cursor_goto_first_child_for_byte(&cursor, static_cast<uint32_t>(from)) >= 0) {
        continue;
      }
      if (!ts_node_is_named(node)) {
        for (size_t i = start; i < end; ++i) {  // "((" and "${" are leaves too
          if (is_opener(text[i]) || is_closer(text[i])) out.push_back({i, text[i]});
        }
      }
    }
    coming_down = start < to && ts_tree_cursor_goto_next_sibling(&cursor);
    if (!coming_down && !ts_tree_cursor_goto_parent(&cursor)) return;
  }
}

std::vector<Bracket> brackets_of_tree(const SyntaxTree& tree, size_t from, size_t to) {
  std::vector<Bracket> result;
  TSTreeCursor cursor = ts_tree_cursor_new(ts_tree_root_node(tree.raw()));
  collect_leaves(cursor, *tree.text(), from, to, result);
  ts_tree_cursor_delete(&cursor);
  return result;
}

// The end of a quoted string that begins at `at`, or `at` when it is not closed on its line (an
// apostrophe in prose, a lifetime in Rust).
size_t end_of_string(std::string_view text, size_t at) {
  const size_t limit = std::min(text.size(), at + kMaxString);
  for (size_t i = at + 1; i < limit && text[i] != '\n'; ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == text[at]) {
      return i;
    }
  }
  return at;
}

std::vector<Bracket> brackets_of_text(const Language* language, std::string_view text, size_t from,
                                      size_t to) {
  std::vector<Bracket> result;
  const std::string_view comment = language == nullptr ? "" : language->line_comment;
  for (size_t i = from; i < to; ++i) {
    if (!comment.empty() && text.substr(i, comment.size()) == comment) {
      i = std::min(text.find('\n', i), to);
    } else if (comment == "//" && text.substr(i, 2) == "/*") {
      const size_t end = text.find("*/", i + 2);
      i = end == std::string_view::npos ? to : end + 1;
    } else if (text[i] == '"' || text[i] == '\'' || text[i] == '`') {
      i = end_of_string(text, i);
    } else if (is_opener(text[i]) || is_closer(text[i])) {
      result.push_back({i, text[i]});
    }
  }
  return result;
}

// Start of the line that holds `at`, or `from` where that is later: lines may be long.
size_t line_start(std::string_view text, size_t at, size_t from) {
  while (at > from && text[at - 1] != '\n') --at;
  return at;
}

// The lines of all, which are in order and behind `from`.
void note_lines(std::string_view text, size_t from, std::vector<Bracket>& brackets) {
  size_t start = from;
  size_t seen = from;
  for (Bracket& b : brackets) {
    const size_t newline = text.substr(seen, b.at - seen).rfind('\n');
    if (newline != std::string_view::npos) start = seen + newline + 1;
    seen = b.at;
    const size_t first = text.find_first_not_of(" \t", start);
    b.line = {first - start, first == b.at};
  }
}

// Whether the statement that opened a list has ended without its partner: a line between the two
// and the cursor's stands further to the left than the statement began. Blocks end by braces.
bool is_abandoned(const SyntaxTree* tree, const Bracket& opener, size_t offset) {
  if (tree == nullptr || opener.c == '{') return false;
  const std::string_view text = std::string_view(*tree->text()).substr(0, offset);
  const size_t indent = opener.line.indent;
  for (size_t end = text.find('\n', opener.at); end != text.npos;) {
    const size_t start = end + 1;
    end = text.find('\n', start);
    if (end == text.npos) return false;  // the cursor's line
    const size_t first = text.find_first_not_of(" \t\r", start);
    if (first >= end || first - start >= indent) continue;
    const bool is_directive = text[first] == '#';  // or a comment
    if (!is_directive && !in_string(*tree, first) && !in_comment(*tree, first)) return true;
  }
  return false;
}

// The closers of what was opened and not closed.
class Missing {
 public:
  Missing(const SyntaxTree* tree, size_t offset) : tree_(tree), offset_(offset) {}

  void add(const Bracket& opener) {
    if (++n_asked_ > kMaxOpeners) return;
    if (!is_abandoned(tree_, opener, offset_)) closers_.push_back(closer_of(opener.c));
  }
  std::string take() { return std::move(closers_); }

 private:
  const SyntaxTree* tree_;
  size_t offset_;
  size_t n_asked_ = 0;
  std::string closers_;
};

// Takes the partner of closer `b` off the stack of openers, and those that are passed over because
// the indentation says so: they are noted in `missing`, where there is one.
void close(const Bracket& b, std::vector<Bracket>& open, Missing* missing) {
  const auto matches = [&](const Bracket& o) { return closer_of(o.c) == b.c; };
  size_t pick = open.size();
  if (b.line.starts_here) {
    const size_t last = open.size() - std::min(open.size(), kMaxOpeners);
    for (size_t i = open.size(); i-- > last;) {
      if (matches(open[i]) && open[i].line.indent == b.line.indent) {
        pick = i;
        break;
      }
    }
  }
  if (pick == open.size() && !open.empty() && matches(open.back())) pick = open.size() - 1;
  if (pick == open.size()) return;  // a stray closer: bash's "a)" in case, or a mistake
  for (size_t i = open.size(); missing != nullptr && i-- > pick + 1;) {
    missing->add(open[i]);
  }
  open.resize(pick);
}

}  // namespace

char closer_of(char opener) {
  switch (opener) {
    case '(':
      return ')';
    case '[':
      return ']';
    case '{':
      return '}';
    default:
      return 0;
  }
}

bool is_closer(char c) {
  return c == ')' || c == ']' || c == '}';
}

std::string unclosed_brackets(const SyntaxTree* tree, const Language* language,
                              std::string_view text, size_t offset) {
  const size_t from = offset - std::min(offset, kWindowBytes);
  const size_t to = std::min(text.size(), offset + kWindowBytes);
  if (tree != nullptr && *tree->text() != text) tree = nullptr;
  std::vector<Bracket> brackets = tree != nullptr ? brackets_of_tree(*tree, from, to)
                                                  : brackets_of_text(language, text, from, to);
  note_lines(text, line_start(text, from, from - std::min(from, kWindowBytes)), brackets);
  std::vector<Bracket> before;
  std::vector<Bracket> after;
  Missing missing(tree, offset);
  for (const Bracket& b : brackets) {
    std::vector<Bracket>& open = b.at < offset ? before : after;
    if (is_opener(b.c)) {
      open.push_back(b);
    } else if (b.at < offset) {
      close(b, before, nullptr);
    } else if (!after.empty()) {
      close(b, after, nullptr);
    } else {
      close(b, before, &missing);
    }
  }
  for (size_t i = before.size(); i-- > 0;) missing.add(before[i]);
  return missing.take();
}

}  // namespace incipit::lsp
