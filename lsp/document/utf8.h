// UTF-8 as bytes: validity, repair, and where a character starts. Pure; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace incipit::lsp {

// Length of the well-formed sequence that starts at text[at] (1..4); 0 when the bytes there are
// not well-formed: overlong, a surrogate, above U+10FFFF, cut off, or a stray continuation byte.
size_t utf8_sequence_length(std::string_view text, size_t at);

bool is_valid_utf8(std::string_view text);

// Every byte that belongs to no well-formed sequence becomes U+FFFD.
std::string to_valid_utf8(std::string_view text);

constexpr bool is_continuation_byte(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

}  // namespace incipit::lsp
