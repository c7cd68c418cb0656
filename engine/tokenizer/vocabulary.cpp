#include "engine/tokenizer/vocabulary.h"

#include <bit>
#include <functional>

namespace incipit::engine {
namespace {

uint64_t hash_of(std::string_view bytes) {
  return std::hash<std::string_view>{}(bytes);
}

}  // namespace

Vocabulary::Vocabulary(const std::vector<std::string>& tokens) {
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
  for (size_t idx = 0; idx < tokens.size(); ++idx) {
    const std::string& token = tokens[idx];
    if (token.empty() || find(token)) continue;
    const uint64_t hash = hash_of(token);
    size_t slot = hash & mask_;
    while (slots_[slot].id >= 0) slot = (slot + 1) & mask_;
    slots_[slot] = {static_cast<uint32_t>(hash >> 32), static_cast<TokenId>(idx)};
    if (token.size() == 1) byte_tokens_[static_cast<uint8_t>(token[0])] = static_cast<TokenId>(idx);
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

}  // namespace incipit::engine
