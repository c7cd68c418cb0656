// How many tokens of context a user may ask for, as a setting (settings.cpp) or on the command line
// (cli/command_options.cpp); 0 there is the default.
#pragma once

#include <cstdint>

namespace incipit::lsp {

// Below this no prompt has room for anything: the engine would load and nothing be suggested.
inline constexpr int32_t kLeastContext = 256;
inline constexpr int32_t kMostContext = 1 << 20;

}  // namespace incipit::lsp
