// The question of an explanation, in the model's chat format. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/config/prompt_format.h"
#include "engine/tokenizer/tokenizer.h"

namespace incipit::lsp {

struct ExplainPrompt {
  std::vector<engine::TokenId> tokens;
  std::string left_out;  // see left_out_note
};

// The selection in the model's chat format. Long selections lose
// their end. Errors: the model has no chat format; the budget holds no code at all.
Result<ExplainPrompt> explain_prompt(const engine::Tokenizer& tokenizer,
                                     const engine::PromptFormat& format, std::string_view language,
                                     std::string_view code, int32_t budget_tokens);

// For the user, at the end of an answer, in Markdown: how much of the code the model was shown, its
// first `n_shown` bytes. Empty: all of it.
std::string left_out_note(std::string_view code, size_t n_shown);

}  // namespace incipit::lsp
