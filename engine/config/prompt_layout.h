// How a completion is asked for, chosen from what the checkpoint knows or by the user. Pure.
#pragma once

#include <string_view>

#include "engine/base/result.h"

namespace incipit::engine {

struct PromptFormat;

enum class PromptLayout {
  kFim,       // fill-in-the-middle tokens around the text before and after the cursor
  kInstruct,  // a question in the chat format, with an answer that has been begun
  kBase,      // plain text: what follows the cursor, then what comes before it
  kPlain,     // what comes before the cursor and nothing else
};
const char* name_of(PromptLayout layout);

// "auto" (or empty), "fim", "fim-suffix-first", "fim-prefix-first", "instruct", "base", "plain".
// The error lists them.
Result<void> check_prompt_layout(std::string_view wish);

// Sets format.layout (and the order of a format with fill-in-the-middle tokens). "auto" takes the
// first of fim, instruct and base that the format has tokens for. kUnsupported when the format
// lacks the tokens of the layout that is wished for.
Result<void> choose_prompt_layout(std::string_view wish, PromptFormat& format);

}  // namespace incipit::engine
