#include "lsp/completion/explain_prompt.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "engine/config/chat_prompt.h"
#include "lsp/completion/prompt_cut.h"
#include "lsp/context/cursor_site.h"

namespace incipit::lsp {

using engine::TokenId;
using std::string_view;

Result<ExplainPrompt> explain_prompt(const engine::Tokenizer& tokenizer,
                                     const engine::PromptFormat& format, string_view language,
                                     string_view code, int32_t budget_tokens) {
  if (!format.chat) {
    return Error{ErrorCode::kUnsupported,
                 "this model has no chat format, so it cannot explain code"};
  }
  const engine::ChatFormat& chat = *format.chat;
  // One pass, so that "{code}" inside of the code stays what it is.
  const auto fill = [&](string_view part) {
    std::string result;
    for (size_t at = 0; at < chat.explain_template.size();) {
      const string_view rest = string_view(chat.explain_template).substr(at);
      if (rest.starts_with("{language}")) {
        result += language;
        at += string_view("{language}").size();
      } else if (rest.starts_with("{code}")) {
        result += part;
        at += string_view("{code}").size();
      } else {
        result += rest.front();
        ++at;
      }
    }
    return result;
  };
  const auto wrap = [&](const std::string& question) {
    const engine::ChatTurn turn{"user", question};
    return engine::chat_prompt(tokenizer, format.bos, chat, {&turn, 1});
  };

  const size_t budget = static_cast<size_t>(std::max(budget_tokens, 0));
  const std::string whole = with_lf(trim_right(code));
  size_t size = std::min(whole.size(), budget * kMaxBytesPerToken);
  for (;;) {
    while (size > 0 && continues_utf8(whole, size)) --size;
    if (size < whole.size() && size > 0) {  // whole lines where there is more than one
      const size_t line_end = whole.rfind('\n', size - 1);
      if (line_end != std::string::npos && line_end > size / 2) size = line_end;
    }
    std::vector<TokenId> tokens = wrap(fill(trim_right(string_view(whole).substr(0, size))));
    if (tokens.size() <= budget) {
      return ExplainPrompt{std::move(tokens), left_out_note(whole, size)};
    }
    if (size == 0) {
      return Error{ErrorCode::kInvalidArgument, "the model's context leaves no room for the code"};
    }
    size = std::min(size - 1, size * budget / tokens.size());
  }
}

std::string left_out_note(string_view code, size_t n_shown) {
  if (is_blank(code.substr(std::min(n_shown, code.size())))) return {};
  const auto n_lines = [](string_view text) {
    const string_view written = trim_right(text);
    return std::count(written.begin(), written.end(), '\n') + 1;
  };
  const auto shown = n_lines(code.substr(0, n_shown));
  const auto all = n_lines(code);
  if (shown == all) return "*The model saw the beginning alone: its context holds no more.*";
  return fmt::format("*The model saw the first {} of {} lines: its context holds no more.*", shown,
                     all);
}

}  // namespace incipit::lsp
