// What a model writes around code, taken off: control tokens spelled out, control characters,
// Markdown fences. Used by postprocess. Pure; "\n" line ends.
#pragma once

#include <string>

namespace incipit::lsp {

// The text ends where the model spelled out a control token.
void remove_special_spellings(std::string& text);

// The text ends where something stands that no editor should be asked to insert.
void end_at_control_character(std::string& text);

// Leaves the code inside of a fence, also one with a sentence before it, and the code before the
// end of a fence that the prompt began.
void remove_fence(std::string& text);

}  // namespace incipit::lsp
