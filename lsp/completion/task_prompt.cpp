#include "lsp/completion/task_prompt.h"

#include <algorithm>

#include "engine/config/chat_prompt.h"
#include "lsp/completion/explain_prompt.h"
#include "lsp/completion/prompt_text.h"
#include "lsp/context/cursor_site.h"

namespace incipit::lsp {
namespace {

// No more bytes than this a token are ever tokenised.
constexpr size_t kTaskBytesPerToken = 8;
// Of what is left beside the lines in question: for the text after them, in percent.
constexpr size_t kAfterShare = 25;

constexpr std::string_view kCodeAlone = " Answer with one code block and without a word about it.";

std::string listed(const std::vector<Problem>& problems) {
  std::string text;
  for (const Problem& problem : problems) {
    text += "- line " + std::to_string(problem.line + 1) + ": " + problem.message + "\n";
  }
  return text;
}

std::string wanted_of(const TaskQuestion& question) {
  switch (question.task) {
    case CodeTask::kExplain:
      return "Explain in a few plain sentences what this code does.";
    case CodeTask::kDocument:
      return "Write the documentation of `" + question.name +
             "` for those who use it: one to three plain sentences, no code, no list, no heading. "
             "Answer with these sentences alone.";
    case CodeTask::kTests:
      return "Write unit tests for this code, as a file of its own." + std::string(kCodeAlone);
    case CodeTask::kFix:
      return (question.problems.empty()
                  ? std::string("Find what is wrong with these lines and correct that alone.")
                  : "These problems were found:\n" + listed(question.problems) +
                        "\nCorrect them and change nothing else.") +
             " Write all of these lines anew, also those that stay." + std::string(kCodeAlone);
    case CodeTask::kRewrite:
      return "Rewrite these lines. What is wanted: " + question.instruction +
             "\nWrite all of them anew, also those that stay." + std::string(kCodeAlone);
    case CodeTask::kChat:  // chat_question asks those
      break;
  }
  return "";
}

size_t at_line_start(std::string_view text, size_t from) {
  if (from == 0) return 0;
  const size_t end = text.find('\n', from - 1);
  return end == std::string_view::npos ? text.size() : end + 1;
}

// How much of the text is shown, in bytes.
struct Window {
  size_t before = 0;
  size_t block = 0;
  size_t after = 0;
};

class TaskWriter {
 public:
  TaskWriter(const engine::Tokenizer& tokenizer, const engine::PromptFormat& format,
             const TaskQuestion& question)
      : tokenizer_(tokenizer), format_(format), question_(question) {}

  TaskPrompt write(const Window& window) const {
    const std::string_view text = question_.text;
    const Span block = question_.block;
    const std::string before = with_lf(at_lines(text.substr(0, block.start), window.before));
    const std::string lines = with_lf(text.substr(block.start, window.block));
    size_t after_size = std::min(window.after, text.size() - block.end);
    if (after_size < text.size() - block.end) {
      const size_t end = text.substr(block.end, after_size).rfind('\n');
      after_size = end == std::string_view::npos ? 0 : end + 1;
    }
    const std::string after = with_lf(text.substr(block.end, after_size));
    const std::string fence = fence_around(before + lines + after + question_.instruction);
    const std::string asked =
        file_blocks({question_.path, question_.language, fence, before, "", after}) +
        "At this place:\n\n" + fenced(fence, question_.language, lines) + "\n" +
        wanted_of(question_);
    TaskPrompt prompt;
    std::string answer;
    if (answers_with_code(question_.task)) {
      answer = fence + std::string(question_.language) + "\n";
      prompt.stop_strings = {fence};
    }
    const engine::ChatTurn turn{"user", asked};
    prompt.tokens = engine::chat_prompt(tokenizer_, format_.bos, *format_.chat, {&turn, 1}, answer);
    return prompt;
  }

 private:
  // The last `size` bytes, from a line's start on.
  static std::string_view at_lines(std::string_view text, size_t size) {
    return size >= text.size() ? text : text.substr(at_line_start(text, text.size() - size));
  }

  const engine::Tokenizer& tokenizer_;
  const engine::PromptFormat& format_;
  const TaskQuestion& question_;
};

}  // namespace

bool answers_with_code(CodeTask task) {
  return task == CodeTask::kTests || task == CodeTask::kFix || task == CodeTask::kRewrite;
}

Result<TaskPrompt> task_prompt(const engine::Tokenizer& tokenizer,
                               const engine::PromptFormat& format, const TaskQuestion& question,
                               int32_t budget_tokens) {
  if (std::string why = why_not(question.task, format); !why.empty()) {
    return Error{ErrorCode::kUnsupported, std::move(why)};
  }
  const bool may_lose_its_end = !answers_with_code(question.task);
  const std::string_view code =
      question.text.substr(question.block.start, question.block.end - question.block.start);
  if (may_lose_its_end && !format.chat->explain_template.empty()) {
    ASSIGN_OR_RETURN(ExplainPrompt prompt,
                     explain_prompt(tokenizer, format, question.language, code, budget_tokens));
    return TaskPrompt{std::move(prompt.tokens), {}, {}, std::move(prompt.left_out)};
  }
  const TaskWriter writer(tokenizer, format, question);
  const size_t budget = static_cast<size_t>(std::max(budget_tokens, 0));
  Window window;
  window.block = std::min(code.size(), budget * kTaskBytesPerToken);
  TaskPrompt alone = writer.write(window);
  while (may_lose_its_end && alone.tokens.size() > budget && window.block > 0) {
    size_t smaller = std::min(window.block - 1, window.block * budget / alone.tokens.size());
    const size_t line_end = smaller == 0 ? code.npos : code.rfind('\n', smaller - 1);
    if (line_end != code.npos && line_end > smaller / 2) smaller = line_end + 1;
    while (smaller > 0 && (static_cast<unsigned char>(code[smaller]) & 0xC0) == 0x80) --smaller;
    window.block = smaller;
    alone = writer.write(window);
  }
  if (alone.tokens.size() > budget || (code.size() > 0 && window.block == 0) ||
      (!may_lose_its_end && window.block < code.size())) {
    return Error{ErrorCode::kInvalidArgument,
                 "the selected lines and the answer do not fit into the model's context; select "
                 "fewer lines"};
  }
  alone.left_out = left_out_note(code, window.block);
  if (!alone.left_out.empty()) return alone;
  // As much of the file around them as there is room for, in whole lines.
  const size_t room = budget - alone.tokens.size();
  window.before = question.block.start;
  window.after = room * kAfterShare / 100 * 4;
  window.before = std::min(window.before, room * kTaskBytesPerToken);
  for (TaskPrompt prompt = writer.write(window);; prompt = writer.write(window)) {
    if (prompt.tokens.size() <= budget) return prompt;
    const size_t surplus = (prompt.tokens.size() - budget) * 3 + 16;  // bytes, about
    const size_t shown_after = std::min(window.after, question.text.size() - question.block.end);
    if (window.before > 0) {
      window.before -= std::min(window.before, surplus);
    } else if (shown_after > 0) {
      window.after = shown_after - std::min(shown_after, surplus);
    } else {
      return alone;
    }
  }
}

}  // namespace incipit::lsp
