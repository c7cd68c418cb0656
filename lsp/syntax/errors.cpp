#include "lsp/syntax/errors.h"

#include <tree_sitter/api.h>

namespace incipit::lsp {

std::vector<Span> error_spans(const SyntaxTree& tree) {
  std::vector<Span> result;
  TSTreeCursor cursor = ts_tree_cursor_new(ts_tree_root_node(tree.raw()));
  for (bool coming_down = true;;) {
    const TSNode node = ts_tree_cursor_current_node(&cursor);
    if (coming_down && ts_node_has_error(node)) {
      if (ts_node_is_error(node) || ts_node_is_missing(node)) {
        result.push_back({ts_node_start_byte(node), ts_node_end_byte(node)});
      }
      if (ts_tree_cursor_goto_first_child(&cursor)) continue;
    }
    coming_down = ts_tree_cursor_goto_next_sibling(&cursor);
    if (!coming_down && !ts_tree_cursor_goto_parent(&cursor)) break;
  }
  ts_tree_cursor_delete(&cursor);
  return result;
}

}  // namespace incipit::lsp
