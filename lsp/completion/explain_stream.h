// ExplainStream: the tokens of an explanation become text, piece by piece, until the model starts
// to repeat itself. The text is the same however the tokens were batched. Context thread only.
#pragma once

#include <string>

#include "engine/tokenizer/tokenizer.h"

namespace incipit::lsp {

class ExplainStream {
 public:
  // Prose begins without blanks and is over when it repeats itself; code may do both.
  enum class Kind { kProse, kCode };
  explicit ExplainStream(const engine::Tokenizer& tokenizer, Kind kind = Kind::kProse)
      : decoder_(tokenizer), kind_(kind) {}

  // What the token adds to the text; nothing any more once it is done.
  std::string push(engine::TokenId token);
  std::string flush();

  bool done() const { return done_; }  // it repeats itself
  const std::string& text() const { return text_; }

 private:
  std::string take(std::string piece);

  engine::StreamingDecoder decoder_;
  Kind kind_;
  std::string text_;
  bool done_ = false;
};

// The length of what the text ends with three times in a row; 0: it does not.
size_t repeated_tail(std::string_view text);

}  // namespace incipit::lsp
