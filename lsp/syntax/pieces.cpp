#include "lsp/syntax/pieces.h"

#include <tree_sitter/api.h>

#include <algorithm>
#include <string_view>

namespace incipit::lsp {
namespace {

// The walks below recurse; code that nests deeper was not written by hand.
constexpr int kMaxNesting = 500;

Span bytes_of(TSNode node) {
  return {ts_node_start_byte(node), ts_node_end_byte(node)};
}

bool type_has(TSNode node, std::string_view part) {
  return std::string_view(ts_node_type(node)).find(part) != std::string_view::npos;
}

bool is_comment(TSNode node) {
  return ts_node_is_named(node) && type_has(node, "comment");
}

bool is_string(TSNode node) {
  return ts_node_is_named(node) && type_has(node, "string");
}

bool is_name_text(std::string_view text) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return is_letter(text.front()) && std::all_of(text.begin(), text.end(), [&](char c) {
           return is_letter(c) || (c >= '0' && c <= '9');
         });
}

// A cursor that cannot be forgotten to delete.
class TreeWalk {
 public:
  explicit TreeWalk(const SyntaxTree& tree)
      : cursor_(ts_tree_cursor_new(ts_tree_root_node(tree.raw()))) {}
  ~TreeWalk() { ts_tree_cursor_delete(&cursor_); }
  TreeWalk(const TreeWalk&) = delete;
  TreeWalk& operator=(const TreeWalk&) = delete;

  TSNode node() const { return ts_tree_cursor_current_node(&cursor_); }

  // Calls `visit` at each child, with the cursor there. False when there is none.
  template <class Visit>
  bool each_child(Visit visit) {
    if (!ts_tree_cursor_goto_first_child(&cursor_)) return false;
    do {
      visit();
    } while (ts_tree_cursor_goto_next_sibling(&cursor_));
    ts_tree_cursor_goto_parent(&cursor_);
    return true;
  }

 private:
  TSTreeCursor cursor_;
};

class TokenWalk {
 public:
  explicit TokenWalk(const SyntaxTree& tree) : text_(*tree.text()), walk_(tree) { visit(0); }
  std::vector<Token> take() { return std::move(tokens_); }

 private:
  void visit(int depth) {
    const TSNode node = walk_.node();
    if (is_comment(node) || ts_node_is_error(node) || depth > kMaxNesting) return;
    if (!is_string(node) && walk_.each_child([&] { visit(depth + 1); })) return;
    const Span span = bytes_of(node);
    if (span.start >= span.end || span.end > text_.size()) return;
    const std::string_view text = text_.substr(span.start, span.end - span.start);
    tokens_.push_back({span, ts_node_is_named(node) && !is_string(node) && is_name_text(text)});
  }

  std::string_view text_;
  TreeWalk walk_;
  std::vector<Token> tokens_;
};

class RunWalk {
 public:
  RunWalk(const SyntaxTree& tree, int min_lines, int max_lines)
      : tree_(tree),
        text_(*tree.text()),
        min_lines_(min_lines),
        max_lines_(max_lines),
        walk_(tree) {
    visit(0);
  }
  std::vector<Span> take() {
    const auto before = [](const Span& a, const Span& b) {
      return a.start != b.start ? a.start < b.start : a.end < b.end;
    };
    std::sort(runs_.begin(), runs_.end(), before);
    runs_.erase(std::unique(runs_.begin(), runs_.end()), runs_.end());
    return std::move(runs_);
  }

 private:
  void visit(int depth) {
    const TSNode node = walk_.node();
    if (is_comment(node) || is_string(node) || ts_node_is_error(node) || depth > kMaxNesting) {
      return;
    }
    std::vector<TSNode> children;
    walk_.each_child([&] {
      if (ts_node_is_named(walk_.node())) children.push_back(walk_.node());
      visit(depth + 1);
    });
    if (depth > 0 && !children.empty()) add_runs(node, children);
  }

  void add_runs(TSNode node, const std::vector<TSNode>& children) {
    // The node of an #include ends behind its line end.
    const size_t last =
        text_.substr(0, ts_node_end_byte(children.back())).find_last_not_of(" \t\r\n") + 1;
    const size_t end = std::min(text_.find('\n', last), text_.size());
    if (text_.substr(last, end - last).find_first_not_of(" \t\r;,") != std::string_view::npos) {
      return;
    }
    for (const TSNode child : children) {
      const size_t start = ts_node_start_byte(child);
      if (is_comment(child) || !is_first_on_line(start) || start >= last) continue;
      if (start == ts_node_start_byte(node) && !is_statement_list(node)) continue;
      const auto lines = 1 + std::count(text_.begin() + static_cast<ptrdiff_t>(start),
                                        text_.begin() + static_cast<ptrdiff_t>(last), '\n');
      if (lines < min_lines_ || lines > max_lines_) continue;
      // A line end is not part of the run, and "\r" is a part of the line end.
      runs_.push_back({start, end > last && text_[end - 1] == '\r' ? end - 1 : end});
    }
  }

  bool is_statement_list(TSNode node) const {
    const auto lists = tree_.language().statement_lists;
    return std::find(lists.begin(), lists.end(), std::string_view(ts_node_type(node))) !=
           lists.end();
  }

  bool is_first_on_line(size_t offset) const {
    const size_t before = text_.substr(0, offset).find_last_not_of(" \t");
    return before == std::string_view::npos || text_[before] == '\n';
  }

  const SyntaxTree& tree_;
  std::string_view text_;
  int min_lines_;
  int max_lines_;
  TreeWalk walk_;
  std::vector<Span> runs_;
};

}  // namespace

std::vector<Token> tokens_of(const SyntaxTree& tree) {
  return TokenWalk(tree).take();
}

std::vector<Span> line_runs(const SyntaxTree& tree, int min_lines, int max_lines) {
  return RunWalk(tree, min_lines, max_lines).take();
}

bool is_unparsed(const SyntaxTree& tree) {
  TreeWalk walk(tree);
  if (ts_node_is_error(walk.node())) return true;
  size_t n_bytes = 0;
  walk.each_child([&] {
    const Span span = bytes_of(walk.node());
    if (ts_node_is_error(walk.node())) n_bytes += span.end - span.start;
  });
  return n_bytes * 2 > tree.text()->size();
}

}  // namespace incipit::lsp
