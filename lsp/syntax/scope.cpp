#include "lsp/syntax/scope.h"

#include <tree_sitter/api.h>

#include <algorithm>
#include <array>
#include <memory>

#include "lsp/syntax/errors.h"

namespace incipit::lsp {
namespace {

using std::string_view;

// More matches than this in one range are of no use to a prompt.
constexpr size_t kMaxMatches = 5000;

// Finding a parent costs the depth of the node, and generated code nests without bound.
constexpr int kMaxClimb = 64;

string_view slice(const SyntaxTree& tree, Span span) {
  return string_view(*tree.text()).substr(span.start, span.end - span.start);
}

Span span_of(TSNode node) {
  return {ts_node_start_byte(node), ts_node_end_byte(node)};
}

TSNode root_of(const SyntaxTree& tree) {
  return ts_tree_root_node(tree.raw());
}

bool is_any(string_view type, std::initializer_list<string_view> types) {
  return std::find(types.begin(), types.end(), type) != types.end();
}

// A definition is shown with what is wrapped around it: `template <...>`, `@decorator`, `export`.
TSNode with_wrappers(TSNode node) {
  for (TSNode parent = ts_node_parent(node); !ts_node_is_null(parent);
       parent = ts_node_parent(node)) {
    if (!is_any(ts_node_type(parent),
                {"template_declaration", "decorated_definition", "export_statement"})) {
      break;
    }
    node = parent;
  }
  return node;
}

// One match of a language's query, by the capture names that queries/python.scm explains.
struct Match {
  TSNode whole{};
  TSNode name{};
  TSNode body{};
  string_view kind;  // "import", "function", "type", "declaration", "value"
};

string_view capture_name(const TSQuery* query, uint32_t id) {
  uint32_t size = 0;
  const char* name = ts_query_capture_name_for_id(query, id, &size);
  return {name, size};
}

string_view string_value(const TSQuery* query, uint32_t id) {
  uint32_t size = 0;
  const char* text = ts_query_string_value_for_id(query, id, &size);
  return {text, size};
}

// The C core leaves predicates to its caller. We write one form of two of them:
// (#eq? @capture "text") and (#any-of? @capture "text" …).
bool predicates_hold(const SyntaxTree& tree, const TSQuery* query, const TSQueryMatch& match) {
  uint32_t n_steps = 0;
  const TSQueryPredicateStep* steps =
      ts_query_predicates_for_pattern(query, match.pattern_index, &n_steps);
  if (n_steps < 3) return true;
  string_view text;
  for (uint16_t i = 0; i < match.capture_count; ++i) {
    if (match.captures[i].index == steps[1].value_id) {
      text = slice(tree, span_of(match.captures[i].node));
    }
  }
  for (uint32_t i = 2; i < n_steps; ++i) {
    if (steps[i].type == TSQueryPredicateStepTypeString &&
        string_value(query, steps[i].value_id) == text) {
      return true;
    }
  }
  return false;
}

template <class Visit>
void for_each_match(const SyntaxTree& tree, Span range, Visit visit) {
  const TSQuery* query = tree.language().query();
  if (query == nullptr || range.start >= range.end) return;
  const std::unique_ptr<TSQueryCursor, decltype(&ts_query_cursor_delete)> cursor(
      ts_query_cursor_new(), ts_query_cursor_delete);
  ts_query_cursor_set_match_limit(cursor.get(), 256);
  ts_query_cursor_set_byte_range(cursor.get(), static_cast<uint32_t>(range.start),
                                 static_cast<uint32_t>(range.end));
  ts_query_cursor_exec(cursor.get(), query, root_of(tree));
  TSQueryMatch found{};
  for (size_t n = 0; n < kMaxMatches && ts_query_cursor_next_match(cursor.get(), &found); ++n) {
    if (!predicates_hold(tree, query, found)) continue;
    Match match;
    for (uint16_t i = 0; i < found.capture_count; ++i) {
      const string_view name = capture_name(query, found.captures[i].index);
      if (name == "name") {
        match.name = found.captures[i].node;
      } else if (name == "body") {
        match.body = found.captures[i].node;
      } else if (!name.starts_with('_')) {
        match.kind = name;
        match.whole = found.captures[i].node;
      }
    }
    if (!match.kind.empty()) visit(match);
  }
}

// What has no body of its own is shown whole, unless it is long or holds one after all, as a
// typedef of a struct does: then its first line.
size_t end_without_body(string_view text, Span span) {
  constexpr size_t kMaxBytes = 512;
  const string_view whole = text.substr(span.start, span.end - span.start);
  if (whole.size() <= kMaxBytes && whole.find('{') == string_view::npos) return span.end;
  return std::min(span.end, text.find('\n', span.start));
}

Definition definition_of(const SyntaxTree& tree, const Match& match) {
  Definition result;
  result.kind = match.kind == "type"    ? DefinitionKind::kType
                : match.kind == "value" ? DefinitionKind::kValue
                                        : DefinitionKind::kFunction;
  result.name = std::string(slice(tree, span_of(match.name)));
  result.span = span_of(with_wrappers(match.whole));
  result.has_body = !ts_node_is_null(match.body);
  const string_view text = *tree.text();
  size_t end =
      result.has_body ? ts_node_start_byte(match.body) : end_without_body(text, result.span);
  // Lua's body starts at its first statement, Python's too, but a comment may come before it.
  if (result.has_body && tree.language().blocks != BlockStyle::kBraces) {
    const size_t name_end = ts_node_end_byte(match.name);
    const size_t line_end = text.find('\n', name_end);
    if (line_end < end &&
        text.substr(name_end, line_end - name_end).find('(') == string_view::npos) {
      end = line_end;
    }
  }
  while (end > result.span.start && (text[end - 1] == ' ' || text[end - 1] == '\t' ||
                                     text[end - 1] == '\n' || text[end - 1] == '\r')) {
    --end;
  }
  result.signature = {result.span.start, end};
  return result;
}

size_t indent_of_line(string_view text, size_t offset) {
  const size_t start = offset == 0 ? 0 : text.rfind('\n', offset - 1) + 1;
  size_t first = start;
  while (first < text.size() && (text[first] == ' ' || text[first] == '\t')) ++first;
  return std::min(first, std::max(offset, start)) - start;
}

// In a language of indentation, whether a cursor on a line of `indent` belongs to `definition`.
bool reaches(const SyntaxTree& tree, const Definition& definition, size_t offset) {
  const string_view text = *tree.text();
  if (offset < definition.span.end) return true;
  const string_view between = text.substr(definition.span.end, offset - definition.span.end);
  return between.find_first_not_of(" \t\r\n") == string_view::npos &&
         indent_of_line(text, offset) > indent_of_line(text, definition.span.start);
}

}  // namespace

namespace {

enum class Wanted { kDefinitions, kDeclarationsToo };

std::vector<Definition> matches_in(const SyntaxTree& tree, Span range, Wanted wanted) {
  std::vector<Definition> result;
  for_each_match(tree, range, [&](const Match& match) {
    const bool defines = match.kind == "function" || match.kind == "type";
    const bool declares = match.kind == "declaration" || match.kind == "value";
    if (defines || (declares && wanted == Wanted::kDeclarationsToo)) {
      result.push_back(definition_of(tree, match));
    }
  });
  // Where two patterns find the same thing, the one that knows its body is kept.
  std::stable_sort(result.begin(), result.end(), [](const Definition& a, const Definition& b) {
    if (a.span.start != b.span.start) return a.span.start < b.span.start;
    return a.span.end != b.span.end ? a.span.end > b.span.end : a.has_body && !b.has_body;
  });
  result.erase(
      std::unique(result.begin(), result.end(),
                  [](const Definition& a, const Definition& b) { return a.span == b.span; }),
      result.end());
  return result;
}

}  // namespace

std::vector<Definition> definitions_in(const SyntaxTree& tree, Span range) {
  return matches_in(tree, range, Wanted::kDefinitions);
}

std::vector<Definition> declarations_in(const SyntaxTree& tree, Span range) {
  return matches_in(tree, range, Wanted::kDeclarationsToo);
}

std::vector<Span> imports_in(const SyntaxTree& tree, Span range) {
  std::vector<Span> result;
  const string_view text = *tree.text();
  for_each_match(tree, range, [&](const Match& match) {
    if (match.kind != "import") return;
    Span span = span_of(match.whole);
    // #include's node ends after its newline.
    while (span.end > span.start && (text[span.end - 1] == '\n' || text[span.end - 1] == '\r')) {
      --span.end;
    }
    result.push_back(span);
  });
  std::sort(result.begin(), result.end(),
            [](const Span& a, const Span& b) { return a.start < b.start; });
  result.erase(std::unique(result.begin(), result.end()), result.end());
  return result;
}

std::vector<Definition> enclosing_definitions(const SyntaxTree& tree, size_t offset) {
  const string_view text = *tree.text();
  offset = std::min(offset, text.size());
  size_t anchor = offset;  // the last thing written before the cursor, which a node does hold
  while (anchor > 0 && string_view(" \t\r\n").find(text[anchor - 1]) != string_view::npos) --anchor;
  const Span range{anchor == 0 ? 0 : anchor - 1, std::min(offset + 1, text.size())};
  std::vector<Definition> result;
  for (Definition& definition : definitions_in(tree, range)) {
    if (!definition.has_body || definition.span.start >= offset) continue;
    const bool inside = tree.language().blocks == BlockStyle::kIndent
                            ? reaches(tree, definition, offset)
                            : offset < definition.span.end;
    if (inside) result.push_back(std::move(definition));
  }
  return result;
}

size_t top_level_start_in(const SyntaxTree& tree, Span range) {
  const TSNode root = root_of(tree);
  TSNode node = ts_node_first_child_for_byte(root, static_cast<uint32_t>(range.start));
  while (!ts_node_is_null(node) && ts_node_start_byte(node) < range.start) {
    node = ts_node_next_sibling(node);
  }
  return ts_node_is_null(node) || ts_node_start_byte(node) >= range.end ? range.end
                                                                        : ts_node_start_byte(node);
}

Span statement_at(const SyntaxTree& tree, size_t start) {
  const TSNode root = root_of(tree);
  TSNode node = ts_node_descendant_for_byte_range(root, static_cast<uint32_t>(start),
                                                  static_cast<uint32_t>(start) + 1);
  if (ts_node_is_null(node) || ts_node_start_byte(node) != start || ts_node_eq(node, root)) {
    return {start, start};
  }
  const auto lists = tree.language().statement_lists;
  TSNode parent = ts_node_parent(node);
  for (int i = 0; i < kMaxClimb && !ts_node_is_null(parent); ++i, parent = ts_node_parent(node)) {
    const bool is_list =
        std::find(lists.begin(), lists.end(), string_view(ts_node_type(parent))) != lists.end();
    if (ts_node_start_byte(parent) != start || is_list || ts_node_eq(parent, root)) break;
    node = parent;
  }
  return span_of(node);
}

namespace {

bool inside_type(const SyntaxTree& tree, size_t offset, string_view part) {
  if (offset == 0) return false;
  TSNode node = ts_node_descendant_for_byte_range(root_of(tree), static_cast<uint32_t>(offset - 1),
                                                  static_cast<uint32_t>(offset));
  for (int i = 0; i < kMaxClimb && !ts_node_is_null(node); ++i, node = ts_node_parent(node)) {
    const string_view type = ts_node_type(node);
    if (!ts_node_is_named(node) || type.find(part) == string_view::npos) continue;
    return ts_node_start_byte(node) < offset && offset <= ts_node_end_byte(node);
  }
  return false;
}

}  // namespace

bool in_comment(const SyntaxTree& tree, size_t offset) {
  return inside_type(tree, offset, "comment");
}

bool in_string(const SyntaxTree& tree, size_t offset) {
  if (!inside_type(tree, offset, "string")) return false;
  // Right after the closing quote is outside.
  TSNode leaf = ts_node_descendant_for_byte_range(root_of(tree), static_cast<uint32_t>(offset - 1),
                                                  static_cast<uint32_t>(offset));
  const string_view type = ts_node_type(leaf);
  return !(type == "string_end" || (!ts_node_is_named(leaf) && ts_node_end_byte(leaf) == offset &&
                                    ts_node_is_null(ts_node_next_sibling(leaf))));
}

int count_errors(const SyntaxTree& tree, Span range, int most) {
  return static_cast<int>(error_spans(tree, range, static_cast<size_t>(std::max(most, 0))).size());
}

}  // namespace incipit::lsp
