// A small byte-level tokenizer.json made in memory: 256 single bytes, some merges, some special
// tokens. For tests that need a tokenizer of their own, or a broken one.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace incipit::support {

// A code point of the byte alphabet, in UTF-8, for each byte of `bytes`.
inline std::string byte_level_spelling(std::string_view bytes) {
  std::string out;
  for (const char unit : bytes) {
    const auto byte = static_cast<uint8_t>(unit);
    const auto itself = [](int b) {
      return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
    };
    int point = byte;
    if (!itself(byte)) {
      point = 256;
      for (int b = 0; b < byte; ++b) point += itself(b) ? 0 : 1;
    }
    if (point < 0x80) {
      out.push_back(static_cast<char>(point));
    } else {
      out.push_back(static_cast<char>(0xc0 | (point >> 6)));
      out.push_back(static_cast<char>(0x80 | (point & 0x3f)));
    }
  }
  return out;
}

inline constexpr const char* kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Ids 0..255 are the bytes, then each merge's result in order (unless it is there already), then
// the special tokens.
inline nlohmann::json tiny_tokenizer_json(
    const std::vector<std::pair<std::string, std::string>>& merges,
    const std::vector<std::string>& special = {"<|end_of_text|>"}) {
  using Json = nlohmann::json;
  Json vocab = Json::object();
  for (int byte = 0; byte < 256; ++byte) {
    vocab[byte_level_spelling(std::string(1, static_cast<char>(byte)))] = byte;
  }
  Json merge_list = Json::array();
  for (const auto& [left, right] : merges) {
    merge_list.push_back(byte_level_spelling(left) + " " + byte_level_spelling(right));
    const std::string joined = byte_level_spelling(left + right);
    if (!vocab.contains(joined)) vocab[joined] = vocab.size();
  }
  Json added = Json::array();
  for (const std::string& spelling : special) {
    added.push_back(
        {{"id", vocab.size() + added.size()}, {"content", spelling}, {"special", true}});
  }
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", kLlama3Pattern}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  const Json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"trim_offsets", true},
                           {"use_regex", false}};
  return {{"version", "1.0"},
          {"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer",
           {{"type", "Sequence"}, {"pretokenizers", Json::array({split, byte_level})}}},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"ignore_merges", false},
            {"vocab", vocab},
            {"merges", merge_list}}}};
}

}  // namespace incipit::support
