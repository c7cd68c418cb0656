#include "engine/tokenizer/utf8.h"

#include <cstdint>
#include <cstring>

namespace incipit::engine {
namespace {

struct LeadByte {
  size_t length;         // of the whole sequence; 0: never begins one
  uint8_t second_first;  // bounds of the second byte (Unicode 15, table 3-7: no overlong forms, no
  uint8_t second_last;   // surrogates, nothing past U+10FFFF)
};

LeadByte lead_byte(uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xc2) return {0, 0, 0};
  if (byte < 0xe0) return {2, 0x80, 0xbf};
  if (byte == 0xe0) return {3, 0xa0, 0xbf};
  if (byte == 0xed) return {3, 0x80, 0x9f};
  if (byte < 0xf0) return {3, 0x80, 0xbf};
  if (byte == 0xf0) return {4, 0x90, 0xbf};
  if (byte < 0xf4) return {4, 0x80, 0xbf};
  if (byte == 0xf4) return {4, 0x80, 0x8f};
  return {0, 0, 0};
}

}  // namespace

Utf8Step utf8_step(std::string_view text) {
  const auto byte_at = [&](size_t idx) { return static_cast<uint8_t>(text[idx]); };
  const LeadByte lead = lead_byte(byte_at(0));
  if (lead.length == 0) return {Utf8Kind::kInvalid, 1};
  for (size_t idx = 1; idx < lead.length; ++idx) {
    if (idx == text.size()) return {Utf8Kind::kIncomplete, idx};
    const uint8_t first = idx == 1 ? lead.second_first : 0x80;
    const uint8_t last = idx == 1 ? lead.second_last : 0xbf;
    if (byte_at(idx) < first || byte_at(idx) > last) return {Utf8Kind::kInvalid, idx};
  }
  return {Utf8Kind::kValid, lead.length};
}

size_t valid_utf8_prefix(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    // Code is mostly ASCII: eight bytes at a time while no high bit is set.
    if (at + 8 <= text.size()) {
      uint64_t eight = 0;
      std::memcpy(&eight, text.data() + at, 8);
      if ((eight & 0x8080808080808080u) == 0) {
        at += 8;
        continue;
      }
    }
    const Utf8Step step = utf8_step(text.substr(at));
    if (step.kind != Utf8Kind::kValid) break;
    at += step.length;
  }
  return at;
}

}  // namespace incipit::engine
