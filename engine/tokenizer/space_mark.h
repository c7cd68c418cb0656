// SentencePiece writes a space as U+2581, "▁": in the spellings of its tokens, and in a text before
// anything else is done to it. Pure; any thread. Used where such a vocabulary is read, and by
// Tokenizer.
#pragma once

#include <string>
#include <string_view>

namespace incipit::engine {

inline constexpr std::string_view kSpaceMark = "\xe2\x96\x81";

inline std::string marks_to_spaces(std::string_view spelling) {
  std::string text;
  text.reserve(spelling.size());
  for (size_t at = 0; at < spelling.size();) {
    const size_t mark = spelling.find(kSpaceMark, at);
    text += spelling.substr(at, mark - at);
    if (mark == std::string_view::npos) break;
    text += ' ';
    at = mark + kSpaceMark.size();
  }
  return text;
}

// CodeLlama's infilling tokens stand among its ordinary ones. Text must not become them: they are
// taken for special wherever they are.
inline constexpr std::string_view kInfillTokens[] = {"▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>"};

inline bool is_infill_token(std::string_view spelling) {
  for (const std::string_view token : kInfillTokens) {
    if (spelling == token) return true;
  }
  return false;
}

}  // namespace incipit::engine
