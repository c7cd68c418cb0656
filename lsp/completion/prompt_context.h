// PromptContext: what a prompt says of other files, as the tokens or the text that say it. Made
// once for each anchor of the prompt window and kept while one types, so that the prompt begins
// with the same tokens; only what is said of open documents is renewed, rarely, when they changed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/config/prompt_format.h"
#include "engine/tokenizer/tokenizer.h"
#include "lsp/completion/context_pieces.h"

namespace incipit::lsp {

// For people: what a prompt was told.
struct ShownPiece {
  ContextSource source = ContextSource::kDefinitions;
  std::string path;
  int32_t n_tokens = 0;
};

struct ContextPart {
  std::vector<engine::TokenId> tokens;  // of pieces with their control tokens, before this file
  std::string text;                     // or at its top, commented out
  std::vector<ShownPiece> shown;
};

struct PromptContext {
  std::vector<engine::TokenId> repository;  // its name, in front of everything that is shown
  ContextPart definitions;
  ContextPart open;
  // OpenDocuments' when `open` was made.
  uint64_t seen = 0;
  bool similar = false;
  bool edited = false;
  int n_prompts = 0;  // since then

  std::vector<engine::TokenId> tokens() const;
  std::string text() const { return definitions.text + open.text; }
  std::vector<ShownPiece> shown() const;
};

class ContextMaker {
 public:
  // After a change of open documents what is said of them stays for as many prompts: whoever
  // changes two files in turns does not pay with a cold prompt for each.
  static constexpr int kPromptsBetween = 8;

  // `fim`: its control tokens; null, or without one for files: everything becomes comments.
  ContextMaker(const engine::Tokenizer& tokenizer, const engine::FimFormat* fim,
               const ContextChoice& choice)
      : tokenizer_(&tokenizer), fim_(fim), choice_(&choice) {}

  // Takes at most a good half of `prefix_tokens`, the room for the text before the cursor. `open`
  // may be null.
  PromptContext make(const ContextPlace& place, const OpenDocuments* open,
                     size_t prefix_tokens) const;
  // Makes what is said of `open` anew where it is time: see kPromptsBetween; at once when other
  // sources are wanted. True when it did.
  bool renew(const ContextPlace& place, const OpenDocuments* open, size_t prefix_tokens,
             PromptContext& context) const;

 private:
  bool as_files() const;
  ContextPart part_of(const std::vector<ContextPiece>& pieces, const ContextPlace& place,
                      size_t prefix_tokens) const;
  void take_open(const ContextPlace& place, const OpenDocuments* open, size_t prefix_tokens,
                 PromptContext& context) const;

  const engine::Tokenizer* tokenizer_;
  const engine::FimFormat* fim_;
  const ContextChoice* choice_;
};

}  // namespace incipit::lsp
