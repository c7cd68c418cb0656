// How a checkpoint wants to be asked: fill-in-the-middle tokens, chat tokens, tokens that end an
// answer. Read from `pocket.json` beside the checkpoint when there is one, otherwise from
// well-known token names in the tokenizer.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/result.h"

namespace incipit::engine {

class Tokenizer;

enum class FimOrder { kSuffixFirst, kPrefixFirst };  // SPM keeps the KV cache while the user types

struct FimFormat {
  TokenId prefix = -1;
  TokenId suffix = -1;
  TokenId middle = -1;
  TokenId file_separator = -1;  // -1: prompts carry no path header
  FimOrder order = FimOrder::kSuffixFirst;
};

// Llama 3.1 and later were trained with a system turn in front of every conversation, that begins
// with two dates.
enum class SystemTurn { kWhenGiven, kAlwaysDated };

struct ChatFormat {
  TokenId start_header = -1;
  TokenId end_header = -1;
  TokenId end_of_turn = -1;
  std::string explain_template;  // user turn with {language} and {code}
  SystemTurn system = SystemTurn::kWhenGiven;
};

struct PromptFormat {
  TokenId bos = -1;
  std::optional<FimFormat> fim;
  std::optional<ChatFormat> chat;
  std::vector<TokenId> stop;  // any of these ends an answer
};

Result<PromptFormat> load_prompt_format(const std::filesystem::path& model_dir,
                                        const Tokenizer& tokenizer);

}  // namespace incipit::engine
