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

Result<CodeBlock> block_at(std::string_view text, const SyntaxTree* tree, Span selection) {
  CodeBlock block;
  if (!is_blank(text.substr(selection.start, selection.end - selection.start))) {
    block.span = whole_lines(text, selection);
  } else {
    const std::vector<Definition> around =
        tree == nullptr ? std::vector<Definition>() : enclosing_definitions(*tree, selection.start);
    if (around.empty()) {
      return Error{ErrorCode::kInvalidArgument,
                   "no function or type stands around the cursor; select the lines in question"};
    }
    block.span = whole_lines(text, around.back().span);
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
                                              size_t offset) {
  size_t start = std::min(offset, text.size());
  size_t end = start;
  while (start > 0 && is_identifier(text[start - 1])) --start;
  while (end < text.size() && is_identifier(text[end])) ++end;
  const std::string_view name = text.substr(start, end - start);
  if (name.empty() || in_comment(tree, start) || in_string(tree, start)) return std::nullopt;
  for (Definition& definition : definitions_in(tree, {0, text.size()})) {
    if (definition.name == name) return std::move(definition);
  }
  return std::nullopt;
}

}  // namespace incipit::lsp
