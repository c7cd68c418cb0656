// The prompts of models that are asked in words: where the parts of a file stand in them and what
// is said around them. A file's text always stands in front and in one form, so that a completion
// and a question about the same file begin with the same tokens
// (docs/decisions/001-prompt-layout.md). Pure; context thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "engine/config/prompt_format.h"
#include "engine/tokenizer/tokenizer.h"

namespace incipit::lsp {

// All texts with "\n" line ends.
struct PromptParts {
  std::string_view path;
  std::string_view language;  // the name in a code fence; may be empty
  std::string_view fence;     // fence_around() all the texts
  std::string_view before;    // lines of the file up to the one where the answer begins
  std::string_view begun;     // from there to the cursor: what the answer is made to begin with
  std::string_view after;     // what follows the cursor
};

// Backticks enough to enclose the text: at least three, and more than it holds in a row.
std::string fence_around(std::string_view text);

// "```python\ntext\n```\n"
std::string fenced(std::string_view fence, std::string_view language, std::string_view text);

// The lines before and after a place, each with a heading; what is blank is left out.
std::string file_blocks(const PromptParts& parts);

// A question in the chat format, and an answer that is begun with an open fence and `begun`.
std::vector<engine::TokenId> instruct_prompt(const engine::Tokenizer& tokenizer,
                                             const engine::PromptFormat& format,
                                             const PromptParts& parts);

// A text such as people write about code: what follows, then the file up to the cursor, in a fence
// that is left open. Nothing stands behind what is being typed.
std::vector<engine::TokenId> base_prompt(const engine::Tokenizer& tokenizer,
                                         const engine::PromptFormat& format,
                                         const PromptParts& parts);

}  // namespace incipit::lsp
