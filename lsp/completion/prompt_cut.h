// Cuts of a document that fit in a number of tokens: the text after a cursor, and where the text
// before it has to begin. The work is bounded by the tokens, not by the document. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer/tokenizer.h"
#include "lsp/syntax/parser.h"

namespace incipit::lsp {

// Code has three to four bytes a token. No more bytes than this a token are ever tokenised.
inline constexpr size_t kMaxBytesPerToken = 8;

// Whether text[at] continues a character that began before it.
bool continues_utf8(std::string_view text, size_t at);

struct CutText {
  std::string text;  // as it stands in the document
  bool to_end = false;
  std::vector<engine::TokenId> tokens;  // with "\n" at the ends of lines
};
// The beginning of `after`: whole lines where possible, so that the last one is not half a line.
CutText cut_after(const engine::Tokenizer& tokenizer, std::string_view after, size_t max_tokens);

// The first byte to show so that what follows, up to `end`, takes at most `max_tokens`: a top-level
// definition's start if one is near, else a line's, else (one endless line) any character's. `tree`
// may be null.
size_t window_start(const engine::Tokenizer& tokenizer, std::string_view text, size_t end,
                    const SyntaxTree* tree, size_t max_tokens);

}  // namespace incipit::lsp
