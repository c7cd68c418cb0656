// The GPT-2 byte alphabet: tokenizer.json spells every byte of a token as one printable code point.
// 33..126, 161..172 and 174..255 stand for themselves, the other 68 bytes for U+0100.. in order.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace incipit::engine {

// The bytes that `spelling` (valid UTF-8) stands for; nothing when it holds a code point that is
// not of the alphabet.
inline std::optional<std::string> byte_level_decode(std::string_view spelling) {
  static constexpr int kEnd = 256 + 68;
  static const std::array<int16_t, kEnd> byte_of = [] {
    std::array<int16_t, kEnd> table;
    table.fill(-1);
    int next = 256;
    for (int byte = 0; byte < 256; ++byte) {
      const bool itself =
          (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
      table[static_cast<size_t>(itself ? byte : next++)] = static_cast<int16_t>(byte);
    }
    return table;
  }();
  std::string bytes;
  bytes.reserve(spelling.size());
  for (size_t at = 0; at < spelling.size(); ++at) {
    // The alphabet ends below U+0800, so one or two UTF-8 bytes a code point.
    size_t point = static_cast<uint8_t>(spelling[at]);
    if (point >= 0xc0 && point < 0xe0 && at + 1 < spelling.size()) {
      point = ((point & 0x1f) << 6) | (static_cast<uint8_t>(spelling[++at]) & 0x3f);
    } else if (point >= 0x80) {
      return std::nullopt;
    }
    if (point >= kEnd || byte_of[point] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(byte_of[point]));
  }
  return bytes;
}

}  // namespace incipit::engine
