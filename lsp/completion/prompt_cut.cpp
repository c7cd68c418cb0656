#include "lsp/completion/prompt_cut.h"

#include <algorithm>
#include <utility>

#include "lsp/context/cursor_site.h"
#include "lsp/syntax/scope.h"

namespace incipit::lsp {
namespace {

using engine::TokenId;
using std::string_view;

size_t line_start_at_or_after(string_view text, size_t at, size_t limit) {
  if (at == 0) return 0;
  const size_t line_end = text.find('\n', at - 1);
  return line_end < limit ? line_end + 1 : limit;
}

}  // namespace

bool continues_utf8(string_view text, size_t at) {
  return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80;
}

CutText cut_after(const engine::Tokenizer& tokenizer, string_view after, size_t max_tokens) {
  size_t size = std::min(after.size(), max_tokens * kMaxBytesPerToken);
  while (size > 0 && continues_utf8(after, size)) --size;
  std::vector<TokenId> tokens = tokenizer.encode(with_lf(after.substr(0, size)));
  const auto is_half_a_line = [&] {
    return size > 0 && size < after.size() && after[size - 1] != '\n';
  };
  while (tokens.size() > max_tokens || is_half_a_line()) {
    // Shrink by the surplus first, then to the last line end, unless that costs half of it.
    size_t smaller = size;
    if (tokens.size() > max_tokens) smaller = std::min(size - 1, size * max_tokens / tokens.size());
    while (smaller > 0 && continues_utf8(after, smaller)) --smaller;
    const size_t line_end = smaller == 0 ? string_view::npos : after.rfind('\n', smaller - 1);
    const bool at_line = line_end != string_view::npos && line_end + 1 >= smaller / 2;
    size = at_line ? line_end + 1 : smaller;
    tokens = tokenizer.encode(with_lf(after.substr(0, size)));
    if (!at_line && tokens.size() <= max_tokens) break;
    if (size == 0) break;
  }
  return {std::string(after.substr(0, size)), size == after.size(), std::move(tokens)};
}

size_t window_start(const engine::Tokenizer& tokenizer, string_view text, size_t end,
                    const SyntaxTree* tree, size_t max_tokens) {
  const size_t reach = max_tokens * kMaxBytesPerToken;
  size_t from = end - std::min(end, reach);
  while (continues_utf8(text, from)) ++from;
  const std::vector<TokenId> tokens = tokenizer.encode(text.substr(from, end - from));
  if (tokens.size() > max_tokens) {
    size_t surplus = 0;
    for (size_t i = 0; i < tokens.size() - max_tokens; ++i) {
      surplus += tokenizer.bytes(tokens[i]).size();
    }
    from += surplus;
    while (continues_utf8(text, from)) ++from;
  } else if (from == 0) {
    return 0;
  }
  const size_t half = from + (end - from) / 2;
  if (tree != nullptr) {
    const size_t node = top_level_start_in(*tree, {from, half});
    if (node < half) return node;
  }
  const size_t line = line_start_at_or_after(text, from, half);
  return line < half ? line : from;
}

}  // namespace incipit::lsp
