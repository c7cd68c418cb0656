// The commands about code, by their names on the wire. A fixed table; any thread.
#pragma once

#include <array>
#include <string_view>

#include "lsp/completion/code_task.h"

namespace incipit::lsp {

struct CodeCommand {
  CodeTask task;
  std::string_view name;      // of workspace/executeCommand
  std::string_view title;     // of the code action; empty: there is none
  std::string_view kind;      // likewise
  std::string_view progress;  // what is being done
};

inline constexpr std::array<CodeCommand, 6> kCodeCommands = {{
    {CodeTask::kExplain, "incipit.explain", "Explain selection", "explain",
     "Explaining the selection"},
    {CodeTask::kDocument, "incipit.document", "Write documentation", "refactor.rewrite",
     "Writing documentation"},
    {CodeTask::kTests, "incipit.tests", "Generate tests", "tests", "Writing tests"},
    {CodeTask::kFix, "incipit.fix", "Fix with incipit", "quickfix", "Fixing"},
    {CodeTask::kRewrite, "incipit.rewrite", "Rewrite with instruction…", "refactor.rewrite",
     "Rewriting"},
    {CodeTask::kChat, "incipit.chat", "", "", "Answering"},
}};

}  // namespace incipit::lsp
