// The prompt of a question about code. A model that was trained to explain alone is asked in the
// words that it was trained on; any other reads the file's text first, in the form that it has in
// completions (prompt_text.h), then the lines in question and what is wanted. Pure; context thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/config/prompt_format.h"
#include "engine/tokenizer/tokenizer.h"
#include "lsp/completion/code_task.h"
#include "lsp/syntax/scope.h"

namespace incipit::lsp {

struct TaskQuestion {
  CodeTask task = CodeTask::kExplain;
  std::string_view path;
  std::string_view language;  // the name in a code fence
  std::string_view text;      // the document
  Span block;                 // the lines, or the selection, that are asked about
  std::string name;           // of what is documented
  std::vector<Problem> problems;
  std::string instruction;
};

struct TaskPrompt {
  std::vector<engine::TokenId> tokens;
  std::vector<std::string> stop_strings;  // the end of the fence in which the answer was begun
  std::vector<std::vector<engine::TokenId>> draft_texts = {};  // what the answer may repeat
  std::string left_out = {};  // of the code: left_out_note(), for an explanation
};

// At most `budget_tokens`. Code that is only explained may lose its end; what is to be changed is
// shown whole or refused. Errors: why_not(), or the budget is too small.
Result<TaskPrompt> task_prompt(const engine::Tokenizer& tokenizer,
                               const engine::PromptFormat& format, const TaskQuestion& question,
                               int32_t budget_tokens);

// Whether the answer is code (tests, fix, rewrite) rather than prose.
bool answers_with_code(CodeTask task);

}  // namespace incipit::lsp
