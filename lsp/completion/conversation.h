// Conversation: questions to the model and its answers, as values. It belongs to the client, which
// sends all of it each time; the prefix cache knows what was said before.
#pragma once

#include <fmt/core.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace incipit::lsp {

// Code that was attached to a message, as it was then.
struct ChatContext {
  std::string path;
  std::string language_id;
  std::string text;
};

struct ChatMessage {
  std::string role;  // "user", "assistant", or "system" as the first
  std::string content;
  std::vector<ChatContext> context = {};  // of users' messages
};

using Conversation = std::vector<ChatMessage>;

// Why this is not a conversation that waits for an answer: "[2].role: want …"; nothing: it is one.
inline std::optional<std::string> why_no_question(const Conversation& messages) {
  const bool has_system = !messages.empty() && messages.front().role == "system";
  const size_t first = has_system ? 1 : 0;
  if ((messages.size() - first) % 2 == 0) {
    return fmt::format("want questions and answers in turn that end with a question, found {} {}",
                       messages.size(), messages.size() == 1 ? "message" : "messages");
  }
  for (size_t i = 0; i < messages.size(); ++i) {
    const ChatMessage& message = messages[i];
    if (i >= first) {
      const std::string_view wanted = (i - first) % 2 == 0 ? "user" : "assistant";
      if (message.role != wanted)
        return fmt::format("[{}].role: want \"{}\", found \"{}\"", i, wanted, message.role);
    }
    if (message.role != "user" && !message.context.empty())
      return fmt::format("[{}].context: want it with users' messages alone", i);
    if (message.role == "user" && message.context.empty() &&
        message.content.find_first_not_of(" \t\r\n\f\v") == std::string::npos)
      return fmt::format("[{}].content: want a text, found a blank one", i);
  }
  return std::nullopt;
}

}  // namespace incipit::lsp
