// Byte-level BPE with Llama-3's split pattern, written for speed: tables are shared between
// threads, each thread has its own Encoder with a cache of whole pieces. Texts are UTF-8; ids are
// those of tokenizer.json.
#pragma once
#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "uniclass.h"

namespace pocket {

enum CharClass : uint8_t {
  kOther = 0,
  kLetter = 1,
  kNumber = 2,
  kSpace = 3,
  kNewline = 4,
  kEnd = 255
};

// The class of every code point.
inline const std::vector<uint8_t>& char_classes() {
  static const std::vector<uint8_t> table = [] {
    std::vector<uint8_t> t(0x110000, kOther);
    for (auto& r : kL)
      for (unsigned c = r[0]; c <= r[1]; ++c) t[c] = kLetter;
    for (auto& r : kN)
      for (unsigned c = r[0]; c <= r[1]; ++c) t[c] = kNumber;
    for (unsigned c : {9, 11, 12, 32, 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000})
      t[c] = kSpace;
    for (unsigned c = 0x2000; c <= 0x200A; ++c) t[c] = kSpace;
    t[10] = t[13] = kNewline;
    return t;
  }();
  return table;
}

struct CodePoint {
  uint32_t offset, code;
  uint8_t cls;
};

inline void decode_utf8(std::string_view s, std::vector<CodePoint>& out) {
  out.clear();
  const auto& classes = char_classes();
  for (size_t i = 0; i < s.size();) {
    const unsigned char b = s[i];
    const int len = b < 0x80 ? 1 : b < 0xE0 ? 2 : b < 0xF0 ? 3 : 4;
    uint32_t c = len == 1 ? b : len == 2 ? b & 31 : len == 3 ? b & 15 : b & 7;
    for (int j = 1; j < len && i + j < s.size(); ++j) c = (c << 6) | (s[i + j] & 63);
    if (c >= 0x110000) c = 0xFFFD;
    out.push_back({static_cast<uint32_t>(i), c, classes[c]});
    i += len;
  }
  out.push_back({static_cast<uint32_t>(s.size()), 0, kEnd});
}

// Number of code points of an English contraction ('s, 're, …) at v[i], or 0.
inline size_t contraction(const std::vector<CodePoint>& v, size_t i) {
  const auto low = [&](size_t j) -> uint32_t {
    if (j >= v.size() - 1) return 0;
    const uint32_t x = v[j].code;
    return x == 0x17F ? 's' : x < 128 ? static_cast<uint32_t>(tolower(static_cast<int>(x))) : x;
  };
  const uint32_t a = low(i + 1), b = low(i + 2);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

inline size_t blank_piece_end(const std::vector<CodePoint>& v, size_t i) {
  const size_t n = v.size() - 1;
  size_t j = i, after_newline = 0;
  while (v[j].cls == kSpace || v[j].cls == kNewline) {
    if (v[j].cls == kNewline) after_newline = j + 1;
    ++j;
  }
  if (after_newline) return after_newline;
  if (j == n) return j;
  return j - i >= 2 ? j - 1 : std::max(j, i + 1);
}

// End of the piece that begins at v[i] (indices of code points).
inline size_t piece_end(const std::vector<CodePoint>& v, size_t i) {
  const uint8_t k = v[i].cls;
  size_t e = i;
  if (v[i].code == '\'' && i + 2 < v.size()) e = i + contraction(v, i);
  if (e > i) return e;
  if (k == kLetter || (k != kNewline && k != kNumber && v[i + 1].cls == kLetter)) {
    e = i + (k == kLetter ? 1 : 2);
    while (v[e].cls == kLetter) ++e;
    return e;
  }
  if (k == kNumber) {
    e = i + 1;
    while (e < i + 3 && v[e].cls == kNumber) ++e;
    return e;
  }
  size_t j = v[i].code == ' ' && v[i + 1].cls == kOther ? i + 1 : i;
  if (v[j].cls == kOther) {
    while (v[j].cls == kOther) ++j;
    while (v[j].cls == kNewline) ++j;
    return j;
  }
  return blank_piece_end(v, i);
}

struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
};
template <class Value>
using StringMap = std::unordered_map<std::string, Value, StringHash, std::equal_to<>>;

struct BpeTables {
  StringMap<uint32_t> vocab;
  std::unordered_map<uint64_t, std::pair<uint32_t, uint32_t>> merges;  // pair of ids -> (rank, id)
  std::array<uint32_t, 256> byte_id{};
  std::vector<uint32_t> bytes;     // length of each token
  std::vector<uint8_t> ends_line;  // 1: the token's last byte is a newline

  static uint64_t pair_key(uint32_t a, uint32_t b) { return (static_cast<uint64_t>(a) << 32) | b; }
};

class Encoder {
 public:
  explicit Encoder(const BpeTables& tables) : t_(tables) {}

  void encode(std::string_view text, std::vector<uint16_t>& out) {
    decode_utf8(text, points_);
    for (size_t i = 0; i + 1 < points_.size();) {
      const size_t e = piece_end(points_, i);
      piece(text.substr(points_[i].offset, points_[e].offset - points_[i].offset), out);
      i = e;
    }
  }
  std::vector<uint16_t> encode(std::string_view text) {
    std::vector<uint16_t> out;
    out.reserve(text.size() / 2 + 4);
    encode(text, out);
    return out;
  }
  const BpeTables& tables() const { return t_; }

 private:
  static constexpr size_t kMaxCached = 400'000, kMaxCachedBytes = 64;

  void piece(std::string_view s, std::vector<uint16_t>& out) {
    if (const auto hit = cache_.find(s); hit != cache_.end()) {
      out.insert(out.end(), hit->second.begin(), hit->second.end());
      return;
    }
    std::vector<uint16_t> ids;
    if (const auto whole = t_.vocab.find(s); whole != t_.vocab.end()) {
      ids.push_back(static_cast<uint16_t>(whole->second));
    } else {
      merge(s, ids);
    }
    out.insert(out.end(), ids.begin(), ids.end());
    if (cache_.size() < kMaxCached && s.size() <= kMaxCachedBytes)
      cache_.emplace(std::string(s), std::move(ids));
  }

  // Merges the pair of least rank, all its places from left to right, until none is left.
  void merge(std::string_view s, std::vector<uint16_t>& ids) {
    for (unsigned char c : s) ids.push_back(static_cast<uint16_t>(t_.byte_id[c]));
    while (ids.size() > 1) {
      uint32_t best = UINT32_MAX, id = 0;
      uint64_t pair = 0;
      for (size_t i = 0; i + 1 < ids.size(); ++i) {
        const auto m = t_.merges.find(BpeTables::pair_key(ids[i], ids[i + 1]));
        if (m != t_.merges.end() && m->second.first < best) {
          best = m->second.first;
          id = m->second.second;
          pair = m->first;
        }
      }
      if (best == UINT32_MAX) return;
      size_t w = 0;
      for (size_t i = 0; i < ids.size(); ++w) {
        const bool here = i + 1 < ids.size() && BpeTables::pair_key(ids[i], ids[i + 1]) == pair;
        ids[w] = here ? static_cast<uint16_t>(id) : ids[i];
        i += here ? 2 : 1;
      }
      ids.resize(w);
    }
  }

  const BpeTables& t_;
  StringMap<std::vector<uint16_t>> cache_;
  std::vector<CodePoint> points_;
};

}  // namespace pocket
