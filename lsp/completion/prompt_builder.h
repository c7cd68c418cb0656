// PromptBuilder: from a cursor in a document to the tokens that a model is asked with. One per
// document, on the context thread: it remembers the last prompts' windows so that the next prompt
// begins with the same tokens (docs/decisions/001-prompt-layout.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/result.h"
#include "engine/config/prompt_format.h"
#include "engine/tokenizer/tokenizer.h"
#include "lsp/completion/completion_pipeline.h"
#include "lsp/completion/context_pieces.h"
#include "lsp/completion/prompt_window.h"
#include "lsp/context/cursor_site.h"
#include "lsp/syntax/parser.h"

namespace incipit::lsp {

struct Prompt {
  std::vector<engine::TokenId> tokens;
  size_t window_start = 0;  // first byte of the document that is shown
  std::string left_off;     // what stands before the cursor and is to be generated anew
  std::vector<std::string> stop_strings;  // beside the model's stop tokens: the end of a fence
  std::vector<ShownPiece> context;        // what it says of other files
};

class PromptBuilder {
 public:
  PromptBuilder(const engine::Tokenizer& tokenizer, const engine::PromptFormat& format)
      : tokenizer_(&tokenizer), format_(&format) {}

  // How anchors are told of other files. `file_path` is this document's, absolute; empty: it lies
  // nowhere.
  void use_context(ContextChoice choice, std::string file_path) {
    context_ = std::move(choice);
    file_path_ = std::move(file_path);
  }

  // `site` looks at *text; `tree` is the text's or null. At most `budget_tokens`; an error says why
  // that is not enough. `open`: what else is open, or null.
  Result<Prompt> build(const CursorSite& site, const Text& text, const SyntaxTree* tree,
                       std::string_view path, int32_t budget_tokens,
                       PromptEnd where = PromptEnd::kBeforeToken,
                       const OpenDocuments* open = nullptr);

 private:
  struct Budget {
    size_t fixed;   // tokens of everything that is neither of the two
    size_t prefix;  // tokens for the text before the cursor, header included
    size_t suffix;
  };
  struct Path {
    std::string_view text;
    std::vector<engine::TokenId> tokens;  // with a line end
  };
  struct Ask {
    const CursorSite& site;
    const SyntaxTree* tree;
    std::string_view path;
    const OpenDocuments* open;
  };
  // The text before the cursor. Where the layout has it in two places (places_answer), `begun`
  // stands behind the text after the cursor, else it is empty.
  struct Prefix {
    std::string before;
    std::string begun;
  };
  size_t n_left_off(const CursorSite& site, PromptEnd where) const;
  engine::PromptLayout layout() const;  // of those that the format has tokens for
  bool places_answer() const;
  Budget budget_for(const Path& path, int32_t budget_tokens) const;
  Path short_path(std::string_view path, size_t max_tokens) const;
  ContextMaker context_maker() const;
  ContextPlace context_place(const Ask& ask, const PromptAnchor& anchor, Budget budget) const;
  size_t size_of(const PromptContext& context) const;
  PromptAnchor new_anchor(const Ask& ask, size_t suffix_start, Budget budget) const;
  size_t new_answer_start(const CursorSite& site, size_t window_start) const;
  void place_answer(const CursorSite& site, PromptAnchor& anchor) const;
  // The text before the cursor that is shown ends at `end`.
  Prefix prefix_of(const PromptAnchor& anchor, std::string_view text, size_t end) const;
  std::vector<engine::TokenId> with_fim_tokens(const std::vector<engine::TokenId>& path,
                                               const PromptAnchor& anchor,
                                               const Prefix& prefix) const;
  std::vector<engine::TokenId> in_words(std::string_view path, const PromptAnchor& anchor,
                                        const Prefix& prefix, std::string_view after) const;
  Prompt assemble(const Path& path, const PromptAnchor& anchor, std::string_view text,
                  size_t end) const;
  size_t prefix_size(const Prompt& prompt, const PromptAnchor& anchor, Budget budget) const;
  std::optional<Prompt> build_again(const Ask& ask, const Path& path, Budget budget,
                                    size_t suffix_start, size_t end);
  Result<Prompt> build_shown(const Ask& ask, int32_t budget_tokens, size_t end);

  const engine::Tokenizer* tokenizer_;
  const engine::PromptFormat* format_;
  ContextChoice context_;
  std::string file_path_;
  PromptWindow window_;
};

}  // namespace incipit::lsp
