// How a checkpoint wants to be asked: fill-in-the-middle tokens, chat tokens, tokens that end an
// answer, and the layout of a completion's prompt. Read from `pocket.json` beside the checkpoint
// when there is one, otherwise from well-known token names in the tokenizer.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/result.h"
#include "engine/config/prompt_layout.h"

namespace incipit::engine {

class Tokenizer;

enum class FimOrder { kSuffixFirst, kPrefixFirst };  // SPM keeps the KV cache while the user types

struct FimFormat {
  TokenId prefix = -1;
  TokenId suffix = -1;
  TokenId middle = -1;
  TokenId file_separator = -1;  // -1: prompts carry no path header
  FimOrder order = FimOrder::kSuffixFirst;
  TokenId repository = -1;  // -1: other files come without the name of what they belong to
  // Suffix first, two ways (Bavarian et al. 2022, arXiv 2207.14255, 4.3): with the middle token at
  // the cursor, <suffix> … <prefix> … <middle>, so that the model sees where its answer begins; or
  // with the text before the cursor behind it, <prefix> <suffix> … <middle> …
  bool middle_at_cursor = false;
};

// Llama 3.1 and later were trained with a system turn in front of every conversation, that begins
// with two dates.
enum class SystemTurn { kWhenGiven, kAlwaysDated };

// What a model was trained to be asked: whatever a person may ask, or only to explain code.
enum class ChatSkill { kAnything, kExplainsOnly };

struct ChatFormat {
  TokenId start_header = -1;
  TokenId end_header = -1;
  TokenId end_of_turn = -1;
  // User turn with {language} and {code}, where the model was trained on one; else empty.
  std::string explain_template;
  SystemTurn system = SystemTurn::kWhenGiven;
  ChatSkill skill = ChatSkill::kAnything;
};

struct PromptFormat {
  TokenId bos = -1;
  std::optional<FimFormat> fim;
  std::optional<ChatFormat> chat;              // none in a base model, whatever its tokenizer holds
  std::vector<TokenId> stop;                   // any of these ends an answer
  PromptLayout layout = PromptLayout::kPlain;  // of completions; load_prompt_format takes the best
};

Result<PromptFormat> load_prompt_format(const std::filesystem::path& model_dir,
                                        const Tokenizer& tokenizer);

}  // namespace incipit::engine
