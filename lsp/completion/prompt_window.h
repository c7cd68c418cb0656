// PromptWindow: which part of a document the prompt shows, chosen so that typing changes as little
// of the prompt as possible: a start that moves rarely and far, and a picture of the text after the
// cursor that is kept while it is still good enough. Owned by one document's state on the context
// thread. The decisions and their reasons: docs/decisions/001-prompt-layout.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/ids.h"
#include "lsp/completion/prompt_context.h"
#include "lsp/context/cursor_site.h"
#include "lsp/syntax/parser.h"

namespace incipit::lsp {

// One place of the document that was worked at.
struct PromptAnchor {
  size_t start = 0;            // first byte of the document that the prompt shows
  std::string header;          // what stands for the text before `start`; made once per anchor
  PromptContext context;       // what stands before this file, or at its top
  size_t suffix_start = 0;     // where the picture of the text after the cursor began
  std::string suffix;          // that text, as it was, with the document's own line ends
  bool suffix_to_end = false;  // … up to the end of the document
  size_t suffix_changes = 0;   // bytes changed inside it since
  std::vector<engine::TokenId> suffix_tokens;
  // Where the layout wants what is being typed behind the text after the cursor: the start of the
  // line from which on it stands there. It stays while the cursor moves on.
  size_t answer_start = 0;
  std::string fence;     // of the layouts in words; made once per anchor
  std::string language;  // its name in a fence
};

class PromptWindow {
 public:
  static constexpr size_t kMaxAnchors = 4;

  // The document is now `text`: moves the anchors along with the edit, drops those it went through.
  void follow(const Text& text);

  // The anchor that still serves a cursor here, newest first; null: make one. `suffix_start` is
  // where the text after the cursor begins (closers that the editor added are not counted as text).
  PromptAnchor* find(size_t cursor, size_t suffix_start);

  PromptAnchor& add(PromptAnchor anchor);  // becomes the newest
  void drop(const PromptAnchor* anchor);

 private:
  bool suffix_serves(const PromptAnchor& anchor, size_t suffix_start) const;

  Text text_;
  std::list<PromptAnchor> anchors_;  // newest first
};

}  // namespace incipit::lsp
