#include "engine/tokenizer/vocabulary.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <unordered_set>

#include "engine/tokenizer/utf8.h"

namespace incipit::engine {
namespace {

uint64_t hash_of(std::string_view bytes) {
  return std::hash<std::string_view>{}(bytes);
}

}  // namespace

Vocabulary::Vocabulary(const std::vector<std::string>& tokens,
                       std::span<const TokenId> byte_fallback) {
  size_t total = 0;
  for (const std::string& token : tokens) total += token.size();
  arena_.reserve(total);
  offsets_.reserve(tokens.size() + 1);
  offsets_.push_back(0);
  for (const std::string& token : tokens) {
    arena_ += token;
    offsets_.push_back(static_cast<uint32_t>(arena_.size()));
  }
  byte_tokens_.fill(-1);
  slots_.assign(std::bit_ceil(tokens.size() * 2 + 2), Slot{0, -1});
  mask_ = slots_.size() - 1;
  const std::unordered_set<TokenId> fallback(byte_fallback.begin(), byte_fallback.end());
  for (size_t idx = 0; idx < tokens.size(); ++idx) {
    const std::string& token = tokens[idx];
    const auto id = static_cast<TokenId>(idx);
    if (token.empty() || fallback.contains(id) || find(token)) continue;
    const uint64_t hash = hash_of(token);
    size_t slot = hash & mask_;
    while (slots_[slot].id >= 0) slot = (slot + 1) & mask_;
    slots_[slot] = {static_cast<uint32_t>(hash >> 32), id};
    if (token.size() == 1) byte_tokens_[static_cast<uint8_t>(token[0])] = id;
  }
  std::copy_n(byte_tokens_.begin(), ascii_tokens_.size(), ascii_tokens_.begin());
  std::copy(byte_fallback.begin(), byte_fallback.end(), byte_tokens_.begin());
  for (size_t unit = 0; unit < ascii_tokens_.size(); ++unit) {
    if (ascii_tokens_[unit] < 0) ascii_tokens_[unit] = byte_tokens_[unit];
  }
}

std::string_view Vocabulary::bytes(TokenId id) const {
  if (id < 0 || id >= size()) return {};
  const auto idx = static_cast<size_t>(id);
  return std::string_view(arena_).substr(offsets_[idx], offsets_[idx + 1] - offsets_[idx]);
}

std::optional<TokenId> Vocabulary::find(std::string_view bytes) const {
  const uint64_t hash = hash_of(bytes);
  const auto upper = static_cast<uint32_t>(hash >> 32);
  for (size_t slot = hash & mask_; slots_[slot].id >= 0; slot = (slot + 1) & mask_) {
    if (slots_[slot].hash == upper && this->bytes(slots_[slot].id) == bytes) return slots_[slot].id;
  }
  return std::nullopt;
}

void Vocabulary::append_characters(std::string_view text, std::vector<TokenId>& out) const {
  while (!text.empty()) {
    const auto first = static_cast<uint8_t>(text[0]);
    if (first < ascii_tokens_.size()) {
      out.push_back(ascii_tokens_[first]);
      text.remove_prefix(1);
      continue;
    }
    const std::string_view character = text.substr(0, utf8_step(text).length);
    if (const auto id = find(character)) {
      out.push_back(*id);
    } else {
      for (const char unit : character) out.push_back(byte_token(static_cast<uint8_t>(unit)));
    }
    text.remove_prefix(character.size());
  }
}

}  // namespace incipit::engine
