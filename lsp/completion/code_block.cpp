#include "lsp/completion/code_block.h"

#include <algorithm>
#include <vector>

#include "lsp/context/cursor_site.h"

namespace incipit::lsp {

Span whole_lines(std::string_view text, Span span) {
  const size_t before = span.start == 0 ? std::string_view::npos : text.rfind('\n', span.start - 1);
  const size_t start = before == std::string_view::npos ? 0 : before + 1;
  const size_t last = span.end > span.start ? span.end - 1 : span.end;
  const size_t after = text.find('\n', last);
  return {start, after == std::string_view::npos ? text.size() : after + 1};
}

namespace {

// To a piece's size; of one piece the first. definitions_in() leaves out what comes after 5,000
// matches, and the shortest match that a query knows ("x=1") has three bytes: in a piece it finds
// all.
std::optional<Definition> nearest_definition(const SyntaxTree& tree, std::string_view name,
                                             size_t offset,
                                             DocumentParser::Clock::time_point deadline) {
  constexpr size_t kPiece = size_t{12} << 10;
  const size_t size = tree.text()->size();
  const size_t here = std::min(offset, size) / kPiece;
  const size_t n_pieces = size / kPiece + 1;
  // By turns before those that were searched, where definitions mostly are, and after them.
  for (size_t away = 0; away < n_pieces; ++away) {
    for (const bool before : {true, false}) {
      if (before ? away > here : away == 0 || here + away >= n_pieces) continue;
      if (DocumentParser::Clock::now() > deadline) return std::nullopt;
      const size_t start = (before ? here - away : here + away) * kPiece;
      for (Definition& found : definitions_in(tree, {start, std::min(start + kPiece, size)})) {
        if (found.name == name) return std::move(found);
      }
    }
  }
  return std::nullopt;
}

// The function or type around the cursor, innermost; a cursor in front of what its line begins with
// (an editor's "start of line") means the one that begins there.
std::optional<Definition> definition_around(std::string_view text, const SyntaxTree& tree,
                                            size_t cursor) {
  std::vector<Definition> around = enclosing_definitions(tree, cursor);
  const Span line = whole_lines(text, {cursor, cursor});
  const bool leads = is_blank(text.substr(line.start, cursor - line.start));
  for (Definition& one : definitions_in(tree, line)) {
    if (!leads || !one.has_body || one.span.start < cursor || one.span.start >= line.end) continue;
    // Not one in the middle of a statement of the function around.
    const bool begins = is_blank(text.substr(cursor, one.span.start - cursor));
    if (begins || around.empty()) return std::move(one);
  }
  if (around.empty()) return std::nullopt;
  return std::move(around.back());
}

}  // namespace

Result<CodeBlock> block_at(std::string_view text, const SyntaxTree* tree, Span selection) {
  CodeBlock block;
  if (!is_blank(text.substr(selection.start, selection.end - selection.start))) {
    block.span = whole_lines(text, selection);
  } else {
    const std::optional<Definition> around =
        tree == nullptr ? std::nullopt : definition_around(text, *tree, selection.start);
    if (!around) {
      return Error{ErrorCode::kInvalidArgument,
                   "no function or type stands around the cursor; select the lines in question"};
    }
    block.span = whole_lines(text, around->span);
  }
  if (tree == nullptr) return block;
  for (const Definition& definition : definitions_in(*tree, block.span)) {
    if (block.span.contains(definition.span.start)) {
      block.definition = definition;
      break;
    }
  }
  return block;
}

std::optional<Definition> definition_named_at(std::string_view text, const SyntaxTree& tree,
                                              size_t offset, std::chrono::milliseconds longest) {
  size_t start = std::min(offset, text.size());
  size_t end = start;
  while (start > 0 && is_identifier(text[start - 1])) --start;
  while (end < text.size() && is_identifier(text[end])) ++end;
  const std::string_view name = text.substr(start, end - start);
  if (name.empty() || in_comment(tree, start) || in_string(tree, start)) return std::nullopt;
  return nearest_definition(tree, name, start, DocumentParser::Clock::now() + longest);
}

}  // namespace incipit::lsp
