// What can be asked about a piece of code besides a completion, and what comes of it, as values.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "engine/config/prompt_format.h"

namespace incipit::lsp {

enum class CodeTask {
  kExplain,
  kDocument,  // an explanation, put where the language keeps documentation
  kTests,
  kFix,
  kRewrite,
  kChat  // the next answer of a conversation
};

// What a compiler or a linter said about a place.
struct Problem {
  size_t line = 0;  // of the document, from 0
  std::string message;
};

// Bytes [start, end) of the document become `text`, which has the document's line ends.
struct TextChange {
  size_t start = 0;
  size_t end = 0;
  std::string text;
  friend bool operator==(const TextChange&, const TextChange&) = default;
};

// Why a model cannot be asked this, and what to do; empty: it can.
inline std::string why_not(CodeTask task, const engine::PromptFormat& format) {
  if (!format.chat)
    return "this model has no chat format, so it cannot answer questions about code";
  // Of a conversation it explains what is attached (chat_question).
  const bool explains =
      task == CodeTask::kExplain || task == CodeTask::kDocument || task == CodeTask::kChat;
  if (explains || format.chat->skill == engine::ChatSkill::kAnything) return {};
  return "this model was trained to complete and to explain code alone; tests, fixes and rewrites "
         "need an Instruct model such as Llama-3-8B-Instruct (incipit model add DIR, then the "
         "setting incipit.model)";
}

}  // namespace incipit::lsp
