// "<0x0A>": how a vocabulary of characters spells the token of a single byte. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace incipit::engine {

inline std::optional<uint8_t> byte_of_spelling(std::string_view spelling) {
  if (spelling.size() != 6 || !spelling.starts_with("<0x") || spelling[5] != '>') {
    return std::nullopt;
  }
  int byte = 0;
  for (const char digit : spelling.substr(3, 2)) {
    const bool decimal = digit >= '0' && digit <= '9';
    if (!decimal && (digit < 'A' || digit > 'F')) return std::nullopt;
    byte = byte * 16 + (decimal ? digit - '0' : digit - 'A' + 10);
  }
  return static_cast<uint8_t>(byte);
}

}  // namespace incipit::engine
