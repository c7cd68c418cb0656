// line_fit: a suggestion in the middle of a line has to fit what stands right of the cursor: it
// ends where that begins, leaves nothing open, and does not break what parsed. Used by postprocess.
// Pure.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/completion/bracket_walk.h"
#include "lsp/completion/spliced_errors.h"
#include "lsp/context/cursor_site.h"
#include "lsp/syntax/parser.h"

namespace incipit::lsp {

// Bytes of `text`, one line, up to the first place where it says what stands right of the cursor:
// its next token, a bracket or quote that is closed there, or a comment, which would swallow it.
size_t end_before_rest(const CursorSite& site, const BracketInput& brackets, std::string_view text);

// Bytes of `text` to keep so that its last word does not melt with one right of the cursor.
size_t end_before_word(const CursorSite& site, std::string_view text);

// Shorter and shorter beginnings of a text that leave no bracket and no string open. Where only
// closers lack at the end of a line, they are added.
class BalancedBeginnings {
 public:
  // `brackets` holds everything but the candidate.
  BalancedBeginnings(std::string text, const BracketInput& brackets);

  std::optional<std::string> next();

 private:
  std::optional<std::string> version(size_t end) const;

  std::string text_;
  BracketInput brackets_;
  std::vector<size_t> ends_;  // of the tokens of text_, last at the back
  std::string last_;          // what `next` gave
};

// Whether the document with a suggestion in it has more parse errors than without; or than with a
// plain word there, where that word would heal it ("if | == 3:").
class ParseCheck {
 public:
  static constexpr std::chrono::milliseconds kTime{250};
  static constexpr int kMaxParses = 32;

  // `tree` is that of the site's text, or null: then everything is allowed.
  ParseCheck(Tree tree, const CursorSite& site);

  // `text` replaces `n_replaced` bytes after the cursor.
  bool allows(std::string_view text, size_t n_replaced);

 private:
  SplicedErrors errors_;
  int n_errors_ = 0;
};

}  // namespace incipit::lsp
