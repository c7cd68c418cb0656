// The prompt that asks the model for the next answer of a conversation. Pure; context thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/config/prompt_format.h"
#include "engine/tokenizer/tokenizer.h"
#include "lsp/completion/conversation.h"

namespace incipit::lsp {

struct ChatPrompt {
  std::vector<engine::TokenId> tokens;
  size_t n_left_out = 0;  // of the oldest messages
  std::string left_out;   // of the attached code: left_out_note()
};

// At most `budget_tokens`: the oldest questions go with their answers when they do not fit any
// more, half of the budget at once, so that the next prompts begin as this one does. A model that
// was trained to explain alone is asked about the code of the last message. Errors: no chat format;
// the model cannot talk and there is no code; what was attached looks like it holds secrets; the
// last message alone does not fit.
Result<ChatPrompt> chat_question(const engine::Tokenizer& tokenizer,
                                 const engine::PromptFormat& format, const Conversation& messages,
                                 int32_t budget_tokens);

}  // namespace incipit::lsp
