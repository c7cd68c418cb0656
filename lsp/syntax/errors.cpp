#include "lsp/syntax/errors.h"

#include <tree_sitter/api.h>

#include <utility>

namespace incipit::lsp {
namespace {

Span place_of(TSNode node) {
  return {ts_node_start_byte(node), ts_node_end_byte(node)};
}

bool says_so_itself(TSNode node) {
  return ts_node_is_error(node) || ts_node_is_missing(node);
}

// One walk over the nodes that have errors, in the order of the text.
class ErrorWalk {
 public:
  ErrorWalk(const SyntaxTree& tree, Span range, size_t most) : range_(range), most_(most) {
    cursor_ = ts_tree_cursor_new(ts_tree_root_node(tree.raw()));
    walk();
    ts_tree_cursor_delete(&cursor_);
  }
  std::vector<Span> take() { return std::move(found_); }

 private:
  void walk() {
    while (found_.size() < most_) {
      if (down()) continue;
      while (!next()) {
        if (!up()) return;
      }
    }
  }

  TSNode node() const { return ts_tree_cursor_current_node(&cursor_); }

  // Into a node that has errors.
  bool down() {
    const TSNode here = node();
    if (!ts_node_has_error(here)) return false;
    if (!explained_.empty()) explained_.back() = true;
    const Span span = place_of(here);
    if (span.start > range_.end || span.end < range_.start) return false;
    if (says_so_itself(here)) found_.push_back(span);
    if (!ts_tree_cursor_goto_first_child(&cursor_)) {
      if (!says_so_itself(here)) found_.push_back(span);
      return false;
    }
    explained_.push_back(says_so_itself(here));
    return true;
  }

  bool next() {
    // What comes behind the range is not looked at, so it may be what explains the parent.
    if (ts_node_start_byte(node()) > range_.end) {
      if (!explained_.empty()) explained_.back() = true;
      return false;
    }
    return ts_tree_cursor_goto_next_sibling(&cursor_);
  }

  // A node has an error, and none of its children has: what is missing has no node of its own, such
  // as the end of a line between two statements of Python.
  bool up() {
    if (!ts_tree_cursor_goto_parent(&cursor_)) return false;
    if (!explained_.back()) found_.push_back(place_of(node()));
    explained_.pop_back();
    return true;
  }

  TSTreeCursor cursor_;
  Span range_;
  size_t most_;
  std::vector<Span> found_;
  std::vector<bool> explained_;  // for each node above the cursor, whether its error was seen
};

}  // namespace

std::vector<Span> error_spans(const SyntaxTree& tree, Span range, size_t most) {
  return ErrorWalk(tree, range, most).take();
}

}  // namespace incipit::lsp
