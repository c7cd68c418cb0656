// One step over bytes that may or may not be UTF-8. Used by the tokenizer (invalid bytes become
// tokens of their own) and by StreamingDecoder (an incomplete tail is held back). Pure; any thread.
#pragma once

#include <cstddef>
#include <string_view>

namespace incipit::engine {

enum class Utf8Kind {
  kValid,       // `length` bytes form one code point
  kInvalid,     // the first `length` bytes can never begin one (a maximal subpart, Unicode 3.9)
  kIncomplete,  // all `length` bytes left are the beginning of one
};

struct Utf8Step {
  Utf8Kind kind;
  size_t length;
};

// What stands at the front of `text`, which is not empty.
Utf8Step utf8_step(std::string_view text);

// Length of the longest prefix of `text` that is valid UTF-8.
size_t valid_utf8_prefix(std::string_view text);

}  // namespace incipit::engine
