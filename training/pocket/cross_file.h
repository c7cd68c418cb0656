// Excerpts of other files of the same repository, chosen as an editor would: files near by, those
// that share names with the text around the cursor first, and of each the lines that do.
#pragma once
#include <algorithm>
#include <string_view>
#include <vector>

#include "corpus.h"

namespace pocket {

// A set of identifiers, by hash; the common words of languages are left out by length.
class Names {
 public:
  void add(std::string_view text) {
    each(text, [&](uint64_t h) { hashes_.push_back(h); });
    std::sort(hashes_.begin(), hashes_.end());
    hashes_.erase(std::unique(hashes_.begin(), hashes_.end()), hashes_.end());
  }
  bool has(uint64_t h) const { return std::binary_search(hashes_.begin(), hashes_.end(), h); }
  // Number of different names of the set that occur in text.
  size_t shared(std::string_view text) const {
    std::vector<uint64_t> seen;
    each(text, [&](uint64_t h) {
      if (has(h)) seen.push_back(h);
    });
    std::sort(seen.begin(), seen.end());
    return static_cast<size_t>(std::unique(seen.begin(), seen.end()) - seen.begin());
  }
  static uint64_t hash(std::string_view s) {  // FNV-1a
    uint64_t h = 0xCBF29CE484222325ull;
    for (unsigned char c : s) h = (h ^ c) * 0x100000001B3ull;
    return h;
  }

 private:
  static constexpr size_t kShortest = 6;
  template <class F>
  static void each(std::string_view text, F f) {
    for (size_t i = 0; i < text.size();) {
      if (!is_word(text[i])) {
        ++i;
        continue;
      }
      size_t e = i;
      while (e < text.size() && is_word(text[e])) ++e;
      if (e - i >= kShortest) f(hash(text.substr(i, e - i)));
      i = e;
    }
  }
  std::vector<uint64_t> hashes_;
};

// Up to `wanted` other files of file's repository, best first.
inline std::vector<size_t> related_files(Random& rng, const Language& lang, size_t file,
                                         const Names& names, size_t wanted) {
  constexpr size_t kNear = 8, kFar = 4, kReach = 40, kRead = 20'000;
  size_t lo = file, hi = file + 1;
  while (lo > 0 && file - lo < 4000 && lang.group[lo - 1] == lang.group[file]) --lo;
  while (hi < lang.files && hi - file < 4000 && lang.group[hi] == lang.group[file]) ++hi;
  std::vector<std::pair<double, size_t>> scored;
  const auto consider = [&](size_t i) {
    if (i == file || lang.held[i] || lang.text(i).size() < 200) return;
    for (const auto& s : scored)
      if (s.second == i) return;
    const double shared = static_cast<double>(names.shared(lang.text(i).substr(0, kRead)));
    scored.push_back({shared + rng.between(0, 4), i});
  };
  for (size_t k = 0; k < kNear; ++k) {
    const size_t a = std::max(lo, file - std::min(file, kReach)),
                 b = std::min(hi - 1, file + kReach);
    consider(rng.in(a, b));
  }
  for (size_t k = 0; k < kFar; ++k) consider(rng.in(lo, hi - 1));
  std::sort(scored.begin(), scored.end(), [](auto& a, auto& b) { return a.first > b.first; });
  std::vector<size_t> out;
  for (const auto& s : scored)
    if (out.size() < wanted) out.push_back(s.second);
  return out;
}

// Whole lines of text, at most about `bytes`: those with most of the names, or the head of the
// file.
inline std::string_view excerpt(Random& rng, std::string_view text, const Names& names,
                                size_t bytes) {
  if (text.size() <= bytes) return text;
  const Lines lines(text);
  size_t first = 0;
  if (rng.chance(.65)) {
    size_t best = 0, best_score = 0;
    std::vector<size_t> score(lines.count());
    for (size_t i = 0; i < lines.count(); ++i) score[i] = names.shared(lines.line(i));
    size_t b = 0, sum = 0;
    for (size_t a = 0; a < lines.count(); ++a) {
      while (b < lines.count() && (b == a || lines.end(b) - lines.start(a) < bytes))
        sum += score[b++];
      if (sum > best_score) {
        best = a;
        best_score = sum;
      }
      sum -= score[a];
    }
    first = best_score ? best : 0;
  }
  const size_t a = lines.start(first);
  size_t e = text.rfind('\n', std::min(text.size() - 1, a + bytes));
  return e == text.npos || e < a ? text.substr(a, 0) : text.substr(a, e + 1 - a);
}

}  // namespace pocket
