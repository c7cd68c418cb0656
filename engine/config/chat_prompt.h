// A conversation as Llama 3's Instruct models were trained to read it, to the token. (Meta, "Llama
// 3: model cards and prompt formats"; the chat_template of the published tokenizer_config.json.)
// Pure; any thread. Called by the prompt builder.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/ids.h"
#include "engine/config/prompt_format.h"
#include "engine/tokenizer/tokenizer.h"

namespace incipit::engine {

struct ChatTurn {
  std::string_view role;  // "system" (only as the first), "user", "assistant"
  std::string_view text;  // white space at both ends is left out
};

// Beginning of text, the turns, and the header of the answer that the model is to give. Where the
// format is dated there is a system turn in any case, with dates that never change: the same
// question has the same first tokens on every day, as the prefix cache wants it. `answer` is how
// the model's answer begins: it goes on from there.
std::vector<TokenId> chat_prompt(const Tokenizer& tokenizer, TokenId bos, const ChatFormat& format,
                                 std::span<const ChatTurn> turns, std::string_view answer = {});

}  // namespace incipit::engine
