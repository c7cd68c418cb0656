#include "engine/tokenizer/tiktoken_file.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <iterator>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "engine/tokenizer/llama3_vocabulary.h"

namespace incipit::engine {
namespace {

// RFC 4648, with padding; nothing when `text` is no such thing.
std::optional<std::string> base64_decode(std::string_view text) {
  static const std::array<int8_t, 256> value_of = [] {
    constexpr std::string_view kAlphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::array<int8_t, 256> table;
    table.fill(-1);
    for (size_t value = 0; value < kAlphabet.size(); ++value) {
      table[static_cast<uint8_t>(kAlphabet[value])] = static_cast<int8_t>(value);
    }
    return table;
  }();
  if (text.empty() || text.size() % 4 != 0) return std::nullopt;
  const size_t n_padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  std::string bytes;
  uint32_t bits = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const int8_t value =
        at < text.size() - n_padding ? value_of[static_cast<uint8_t>(text[at])] : int8_t{0};
    if (value < 0) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(value);
    if (at % 4 == 3) {
      for (const int shift : {16, 8, 0}) bytes.push_back(static_cast<char>(bits >> shift & 0xff));
      bits = 0;
    }
  }
  bytes.resize(bytes.size() - n_padding);
  return bytes;
}

// Printable and short, whatever the line is.
std::string shown(std::string_view line) {
  constexpr size_t kLongest = 60;
  std::string text;
  for (const char unit : line.substr(0, kLongest)) {
    if (unit >= ' ' && unit <= '~') {
      text += unit;
    } else {
      fmt::format_to(std::back_inserter(text), "\\x{:02x}", static_cast<uint8_t>(unit));
    }
  }
  return fmt::format("\"{}\"{}", text, line.size() > kLongest ? "…" : "");
}

struct Line {
  std::string bytes;
  size_t rank = 0;
};

std::optional<Line> parse_line(std::string_view line) {
  const size_t space = line.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  auto bytes = base64_decode(line.substr(0, space));
  if (!bytes) return std::nullopt;
  const std::string_view digits = line.substr(space + 1);
  size_t rank = 0;
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), rank);
  if (failure != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return Line{std::move(*bytes), rank};
}

class RankParser {
 public:
  explicit RankParser(const std::string& where) : where_(where) {}

  Result<TokenizerFile> parse(std::string_view text) {
    ASSIGN_OR_RETURN(std::vector<Line> lines, read_lines(text));
    TRY(place(lines));
    const Vocabulary vocabulary(file_.tokens);
    TRY(check_vocabulary(vocabulary));
    file_.merges = merges_of_vocabulary(file_.tokens, vocabulary, SymbolUnit::kByte,
                                        [](TokenId id) { return static_cast<uint32_t>(id); });
    file_.split_pattern = kLlama3SplitPattern;
    file_.whole_pieces = WholePieces::kTakeFromVocabulary;
    add_special_tokens();
    return std::move(file_);
  }

 private:
  Error corrupt(const std::string& place, std::string_view want, std::string_view found) const {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("tokenizer: {}: {}: want {}, found {}", where_, place, want, found)};
  }
  static std::string line_name(size_t idx) { return fmt::format("line {}", idx + 1); }

  // One token a line, without gaps; an empty line may end the file.
  Result<std::vector<Line>> read_lines(std::string_view text) const {
    std::vector<Line> lines;
    while (!text.empty()) {
      const size_t end = text.find('\n');
      std::string_view line = text.substr(0, end);
      if (line.ends_with('\r')) line.remove_suffix(1);
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
      if (line.empty() && text.empty()) break;
      const std::string name = line_name(lines.size());
      auto parsed = parse_line(line);
      if (!parsed) return corrupt(name, "base64 of a token's bytes, a space, a rank", shown(line));
      if (parsed->bytes.size() > kLongestMergedToken) {
        return corrupt(name, fmt::format("a token of at most {} bytes", kLongestMergedToken),
                       fmt::format("{}", parsed->bytes.size()));
      }
      if (lines.size() == kMaxTokens) {
        return corrupt(name, fmt::format("at most {} tokens", kMaxTokens), "one more");
      }
      lines.push_back(std::move(*parsed));
    }
    if (lines.empty()) return corrupt(line_name(0), "a token and its rank", "nothing");
    return lines;
  }

  Result<void> place(std::vector<Line>& lines) {
    file_.tokens.resize(lines.size());
    for (size_t idx = 0; idx < lines.size(); ++idx) {
      Line& line = lines[idx];
      if (line.rank >= lines.size()) {
        return corrupt(line_name(idx), fmt::format("ranks without gaps, 0..{}", lines.size() - 1),
                       fmt::format("{}", line.rank));
      }
      if (!file_.tokens[line.rank].empty()) {
        return corrupt(line_name(idx), "a rank of its own", fmt::format("{} again", line.rank));
      }
      file_.tokens[line.rank] = std::move(line.bytes);
    }
    return {};
  }

  Result<void> check_vocabulary(const Vocabulary& vocabulary) const {
    for (size_t id = 0; id < file_.tokens.size(); ++id) {
      const auto first = vocabulary.find(file_.tokens[id]);
      if (first != static_cast<TokenId>(id)) {
        return corrupt(fmt::format("rank {}", id), "a token of its own",
                       fmt::format("that of rank {}", first.value_or(-1)));
      }
    }
    for (int byte = 0; byte < 256; ++byte) {
      if (vocabulary.byte_token(static_cast<uint8_t>(byte)) < 0) {
        return corrupt("ranks", "a token for each of the 256 bytes",
                       fmt::format("none for byte 0x{:02x}", byte));
      }
    }
    return {};
  }

  void add_special_tokens() {
    size_t n_reserved = 0;
    for (size_t idx = 0; idx < kLlama3SpecialTokens; ++idx) {
      const char* name = idx < std::size(kLlama3SpecialNames) ? kLlama3SpecialNames[idx] : nullptr;
      file_.special.push_back(
          {static_cast<TokenId>(file_.tokens.size()),
           name != nullptr ? name : fmt::format("<|reserved_special_token_{}|>", n_reserved++)});
      file_.tokens.emplace_back();
    }
  }

  const std::string& where_;
  TokenizerFile file_;
};

}  // namespace

Result<TokenizerFile> parse_tiktoken_file(std::string_view text, const std::string& where) {
  return RankParser(where).parse(text);
}

}  // namespace incipit::engine
