#include "lsp/completion/chat_question.h"

#include <fmt/core.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "engine/config/chat_prompt.h"
#include "lsp/completion/code_task.h"
#include "lsp/completion/explain_prompt.h"
#include "lsp/completion/prompt_text.h"
#include "lsp/context/cursor_site.h"
#include "lsp/context/secret_files.h"
#include "lsp/syntax/language.h"

namespace incipit::lsp {
namespace {

// Texts longer than this a token of the budget are refused before they are tokenised.
constexpr size_t kChatBytesPerToken = 16;

std::string_view fence_name(const ChatContext& context) {
  const Language* language = find_language(context.language_id, context.path);
  return language == nullptr ? std::string_view(context.language_id) : language->fence;
}

// The attached code, then what is said about it.
std::string shown(const ChatMessage& message) {
  std::string text;
  for (const ChatContext& context : message.context) {
    const std::string code = with_lf(context.text);
    text += "`" + context.path + "`:\n\n" + fenced(fence_around(code), fence_name(context), code) +
            "\n";
  }
  return text + with_lf(message.content);
}

std::optional<Error> why_hidden(const Conversation& messages) {
  for (const ChatMessage& message : messages) {
    // One in an answer is of the model's invention, and must not end the conversation.
    if (message.role != "assistant" &&
        holds_private_key(message.content, 0, message.content.size())) {
      return Error{ErrorCode::kInvalidArgument,
                   "a message holds a private key; such text is never shown to the model"};
    }
    for (const ChatContext& context : message.context) {
      if (looks_secret(context.path)) {
        return Error{ErrorCode::kInvalidArgument,
                     fmt::format("{} looks like it holds secrets; such files are never shown to "
                                 "the model",
                                 context.path)};
      }
      if (holds_private_key(context.text, 0, context.text.size())) {
        return Error{ErrorCode::kInvalidArgument,
                     fmt::format("{} holds a private key; such text is never shown to the model",
                                 context.path)};
      }
    }
  }
  return std::nullopt;
}

Result<ChatPrompt> explained(const engine::Tokenizer& tokenizer, const engine::PromptFormat& format,
                             const ChatMessage& question, int32_t budget_tokens) {
  if (question.context.empty()) {
    return Error{ErrorCode::kUnsupported,
                 "this model was trained to complete and to explain code alone: attach the code "
                 "that you want explained, or add a model that can talk, such as "
                 "Llama-3-8B-Instruct (incipit model add DIR, then the setting incipit.model)"};
  }
  std::string code;
  for (const ChatContext& context : question.context) {
    if (!code.empty() && code.back() != '\n') code += '\n';
    code += with_lf(context.text);
  }
  if (is_blank(code)) return Error{ErrorCode::kInvalidArgument, "the attached text holds no code"};
  ASSIGN_OR_RETURN(
      ExplainPrompt prompt,
      explain_prompt(tokenizer, format, fence_name(question.context.front()), code, budget_tokens));
  return ChatPrompt{std::move(prompt.tokens), 0, std::move(prompt.left_out)};
}

// The first message that is still shown, as if the conversation had been asked turn by turn.
size_t first_kept(const std::vector<size_t>& sizes, size_t first, size_t budget) {
  size_t kept = first;
  size_t sum = 0;
  for (size_t i = first; i < sizes.size(); ++i) {
    sum += sizes[i];
    const bool is_question = (i - first) % 2 == 0;
    if (!is_question || sum <= budget) continue;
    while (kept < i && sum > budget / 2) {
      sum -= sizes[kept] + sizes[kept + 1];
      kept += 2;
    }
  }
  return kept;
}

}  // namespace

Result<ChatPrompt> chat_question(const engine::Tokenizer& tokenizer,
                                 const engine::PromptFormat& format, const Conversation& messages,
                                 int32_t budget_tokens) {
  if (std::string why = why_not(CodeTask::kChat, format); !why.empty())
    return Error{ErrorCode::kUnsupported, std::move(why)};
  if (std::optional<Error> hidden = why_hidden(messages)) return std::move(*hidden);
  if (format.chat->skill == engine::ChatSkill::kExplainsOnly)
    return explained(tokenizer, format, messages.back(), budget_tokens);

  const size_t budget = static_cast<size_t>(std::max(budget_tokens, 0));
  const Error too_long{ErrorCode::kInvalidArgument,
                       "the question with what is attached to it does not fit into the model's "
                       "context; attach less"};
  std::vector<std::string> texts;
  std::vector<size_t> sizes;
  for (const ChatMessage& message : messages) {
    texts.push_back(shown(message));
    const bool is_huge = texts.back().size() / kChatBytesPerToken > budget;
    const engine::ChatTurn turn{message.role, texts.back()};
    sizes.push_back(
        is_huge ? budget + 1
                : engine::chat_prompt(tokenizer, format.bos, *format.chat, {&turn, 1}).size());
  }
  const size_t first = messages.front().role == "system" ? 1 : 0;
  const size_t fixed = first == 1 ? sizes.front() : 0;
  if (fixed + sizes.back() > budget) return too_long;
  const size_t kept = first_kept(sizes, first, budget - fixed);
  std::vector<engine::ChatTurn> turns;
  if (first == 1) turns.push_back({messages.front().role, texts.front()});
  for (size_t i = kept; i < messages.size(); ++i) turns.push_back({messages[i].role, texts[i]});
  ChatPrompt prompt{
      engine::chat_prompt(tokenizer, format.bos, *format.chat, turns), kept - first, {}};
  if (prompt.tokens.size() > budget) return too_long;
  return prompt;
}

}  // namespace incipit::lsp
