// The question of an explanation, in the model's chat format. Pure.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/config/prompt_format.h"
#include "engine/tokenizer/tokenizer.h"

namespace incipit::lsp {

// The selection in the model's chat format. Long selections lose
// their end. Errors: the model has no chat format; the budget holds no code at all.
Result<std::vector<engine::TokenId>> explain_prompt(const engine::Tokenizer& tokenizer,
                                                    const engine::PromptFormat& format,
                                                    std::string_view language,
                                                    std::string_view code, int32_t budget_tokens);

}  // namespace incipit::lsp
