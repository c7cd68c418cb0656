#include "lsp/document/position_mapper.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "lsp/document/document.h"

namespace incipit::lsp {
namespace {

constexpr PositionEncoding kEncodings[] = {PositionEncoding::kUtf8, PositionEncoding::kUtf16,
                                           PositionEncoding::kUtf32};

size_t offset_of(const std::string& text, Position position, PositionEncoding encoding) {
  const LineIndex lines(text);
  return PositionMapper(text, lines, encoding).offset_of(position);
}

Position position_of(const std::string& text, size_t offset, PositionEncoding encoding) {
  const LineIndex lines(text);
  return PositionMapper(text, lines, encoding).position_of(offset);
}

TEST(PositionMapper, CountsAnEmojiAsTwoUtf16Units) {
  const std::string text = "a\U0001F600b";
  EXPECT_EQ(offset_of(text, {0, 3}, PositionEncoding::kUtf16), 5u);
  EXPECT_EQ(offset_of(text, {0, 2}, PositionEncoding::kUtf32), 5u);
  EXPECT_EQ(offset_of(text, {0, 5}, PositionEncoding::kUtf8), 5u);
  EXPECT_EQ(position_of(text, 5, PositionEncoding::kUtf16), (Position{0, 3}));
}

TEST(PositionMapper, ClampsTheMiddleOfACharacterToItsStart) {
  const std::string text = "a\U0001F600é";
  EXPECT_EQ(offset_of(text, {0, 2}, PositionEncoding::kUtf16), 1u);
  for (const uint32_t column : {2u, 3u, 4u}) {
    EXPECT_EQ(offset_of(text, {0, column}, PositionEncoding::kUtf8), 1u);
  }
  EXPECT_EQ(offset_of(text, {0, 6}, PositionEncoding::kUtf8), 5u);
  EXPECT_EQ(position_of(text, 3, PositionEncoding::kUtf16), (Position{0, 1}));
  EXPECT_EQ(position_of(text, 3, PositionEncoding::kUtf8), (Position{0, 1}));
}

TEST(PositionMapper, ClampsColumnsToTheLineAndLinesToTheText) {
  const std::string text = "ab\r\ncd\re";
  for (const auto encoding : kEncodings) {
    EXPECT_EQ(offset_of(text, {0, 99}, encoding), 2u);
    EXPECT_EQ(offset_of(text, {0, UINT32_MAX}, encoding), 2u);
    EXPECT_EQ(offset_of(text, {1, 3}, encoding), 6u);
    EXPECT_EQ(offset_of(text, {2, 5}, encoding), 8u);
    EXPECT_EQ(offset_of(text, {3, 0}, encoding), 8u);
    EXPECT_EQ(offset_of(text, {UINT32_MAX, UINT32_MAX}, encoding), 8u);
    EXPECT_EQ(position_of(text, 3, encoding), (Position{0, 2}));
    EXPECT_EQ(position_of(text, 1000, encoding), (Position{2, 1}));
  }
  EXPECT_EQ(offset_of("a\n", {1, 0}, PositionEncoding::kUtf16), 2u);
}

// A position the slow way: character by character from the start of the text.
struct Naive {
  std::vector<std::u32string> lines{U""};  // without breaks
  std::vector<size_t> starts{0};           // bytes

  explicit Naive(const std::u32string& text) {
    size_t bytes = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      bytes += n_bytes(text[i]);
      const bool ends = text[i] == '\n' || (text[i] == '\r' && text[i + 1] != '\n');
      if (ends) {
        lines.emplace_back();
        starts.push_back(bytes);
      } else if (text[i] != '\r') {
        lines.back() += text[i];
      }
    }
  }
  static size_t n_bytes(char32_t c) { return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4; }
  static size_t n_units(char32_t c, PositionEncoding encoding) {
    if (encoding == PositionEncoding::kUtf8) return n_bytes(c);
    return encoding == PositionEncoding::kUtf16 && c >= 0x10000 ? 2 : 1;
  }
  static std::string utf8(const std::u32string& text) {
    std::string out;
    for (const char32_t c : text) {
      if (c < 0x80) {
        out += static_cast<char>(c);
      } else if (c < 0x800) {
        out += {static_cast<char>(0xC0 | (c >> 6)), static_cast<char>(0x80 | (c & 63))};
      } else if (c < 0x10000) {
        out += {static_cast<char>(0xE0 | (c >> 12)), static_cast<char>(0x80 | ((c >> 6) & 63)),
                static_cast<char>(0x80 | (c & 63))};
      } else {
        out += {static_cast<char>(0xF0 | (c >> 18)), static_cast<char>(0x80 | ((c >> 12) & 63)),
                static_cast<char>(0x80 | ((c >> 6) & 63)), static_cast<char>(0x80 | (c & 63))};
      }
    }
    return out;
  }
  size_t offset(Position position, PositionEncoding encoding) const {
    if (position.line >= lines.size()) return starts.back() + utf8(lines.back()).size();
    size_t bytes = starts[position.line];
    size_t column = 0;
    for (const char32_t c : lines[position.line]) {
      column += n_units(c, encoding);
      if (column > position.character) break;
      bytes += n_bytes(c);
    }
    return bytes;
  }
};

std::u32string random_text(std::mt19937& random) {
  const std::u32string alphabet = U"ab \tzé\u0416\u20AC\u6F22\uFFFD\U0001F600\U0010FFFF\n\r";
  std::u32string text;
  const size_t n_words = random() % 12;
  for (size_t i = 0; i < n_words; ++i) {
    switch (random() % 4) {
      case 0:
        text += U"plain ascii long enough for a word step";
        break;
      case 1:
        text += U"\r\n";
        break;
      default:
        for (size_t n = random() % 8; n > 0; --n) text += alphabet[random() % alphabet.size()];
    }
  }
  return text;
}

TEST(PositionMapper, AgreesWithTheNaiveWalkOverRandomTexts) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 2000; ++round) {
    const std::u32string wide = random_text(random);
    const Naive naive(wide);
    const std::string text = Naive::utf8(wide);
    const LineIndex lines(text);
    ASSERT_EQ(lines.n_lines(), naive.lines.size());
    for (const auto encoding : kEncodings) {
      const PositionMapper mapper(text, lines, encoding);
      for (int i = 0; i < 20; ++i) {
        const Position position{static_cast<uint32_t>(random() % (lines.n_lines() + 2)),
                                static_cast<uint32_t>(random() % 60)};
        const size_t offset = mapper.offset_of(position);
        ASSERT_EQ(offset, naive.offset(position, encoding))
            << name_of(encoding) << " " << position.line << ":" << position.character;
        // There and back: an offset that a position means is never moved.
        ASSERT_EQ(mapper.offset_of(mapper.position_of(offset)), offset);
      }
    }
  }
}

TEST(PositionMapper, WalksAMegabyteLine) {
  std::string text(1 << 20, 'x');
  text += "\U0001F600y";
  const uint32_t end = (1 << 20) + 2;
  EXPECT_EQ(offset_of(text, {0, end}, PositionEncoding::kUtf16), text.size() - 1);
  EXPECT_EQ(position_of(text, text.size() - 1, PositionEncoding::kUtf16), (Position{0, end}));
}

}  // namespace
}  // namespace incipit::lsp
