// A look at JSON text before it is parsed: nlohmann's parser makes a value of every bracket, so a
// file of opening brackets alone costs minutes and gigabytes. Pure; any thread.
#pragma once

#include <cstddef>
#include <string_view>

namespace incipit::engine {

// No file of a model nests deeper than ten levels.
inline constexpr size_t kMaxJsonDepth = 64;

// Text that is no JSON may give any answer; the parser tells.
inline bool nests_too_deep(std::string_view text) {
  size_t depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxJsonDepth) return true;
    } else if (c == ']' || c == '}') {
      if (depth > 0) --depth;
    }
  }
  return false;
}

}  // namespace incipit::engine
