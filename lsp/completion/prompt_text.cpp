#include "lsp/completion/prompt_text.h"

#include <algorithm>

#include "engine/config/chat_prompt.h"
#include "lsp/context/cursor_site.h"

namespace incipit::lsp {
namespace {

using engine::TokenId;

// A name for the file in a sentence: a path that has one line and no backtick.
std::string quoted_path(std::string_view path) {
  std::string name = path.empty() ? "the file" : "`";
  if (path.empty()) return name;
  for (const char c : path) name += c == '`' || c == '\n' || c == '\r' ? ' ' : c;
  return name + "`";
}

// Blank lines at the beginning say nothing, and come and go while one types.
std::string_view without_blank_lines(std::string_view text) {
  const size_t content = text.find_first_not_of(" \t\n");
  if (content == std::string_view::npos) return {};
  const size_t line_end = text.substr(0, content).rfind('\n');
  return text.substr(line_end == std::string_view::npos ? 0 : line_end + 1);
}

}  // namespace

std::string fence_around(std::string_view text) {
  size_t longest = 0;
  size_t run = 0;
  for (const char c : text) {
    run = c == '`' ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  return std::string(std::max<size_t>(3, longest + 1), '`');
}

std::string fenced(std::string_view fence, std::string_view language, std::string_view text) {
  std::string block(fence);
  block.append(language).append("\n").append(text);
  if (!block.ends_with('\n')) block += '\n';
  return block.append(fence).append("\n");
}

std::string file_blocks(const PromptParts& parts) {
  const std::string_view after = without_blank_lines(parts.after);
  std::string text;
  if (!is_blank(parts.before)) {
    text += quoted_path(parts.path) + ", before the place in question:\n\n" +
            fenced(parts.fence, parts.language, parts.before) + "\n";
  }
  if (!after.empty()) {
    text += quoted_path(parts.path) + ", after the place in question:\n\n" +
            fenced(parts.fence, parts.language, after) + "\n";
  }
  return text;
}

std::vector<TokenId> instruct_prompt(const engine::Tokenizer& tokenizer,
                                     const engine::PromptFormat& format, const PromptParts& parts) {
  std::string question = file_blocks(parts);
  question += question.empty() ? "Write the file " + quoted_path(parts.path) + "."
                               : "Write the lines that stand at this place, in the same style.";
  question += " Answer with one code block of these lines alone, without a word about it.";
  const std::string answer =
      std::string(parts.fence).append(parts.language).append("\n").append(parts.begun);
  const engine::ChatTurn turn{"user", question};
  return engine::chat_prompt(tokenizer, format.bos, *format.chat, {&turn, 1}, answer);
}

std::vector<TokenId> base_prompt(const engine::Tokenizer& tokenizer,
                                 const engine::PromptFormat& format, const PromptParts& parts) {
  const std::string_view after = without_blank_lines(parts.after);
  std::string front = after.empty() ? "The file " + quoted_path(parts.path) + ":\n\n"
                                    : "Further down in " + quoted_path(parts.path) + ":\n\n" +
                                          fenced(parts.fence, parts.language, after) +
                                          "\nWhat stands above that:\n\n";
  front.append(parts.fence).append(parts.language).append("\n");
  std::vector<TokenId> tokens;
  if (format.bos >= 0) tokens.push_back(format.bos);
  // Two texts: what is typed never changes the tokens of what stands in front of it.
  tokenizer.encode_append(front, tokens, engine::TextStart::kBeginning);
  tokenizer.encode_append(std::string(parts.before).append(parts.begun), tokens);
  return tokens;
}

}  // namespace incipit::lsp
