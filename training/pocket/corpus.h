// The corpus as the sampler sees it: memory-mapped texts, an index of files, and how often each is
// drawn. Read only.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "spans.h"

namespace pocket {

struct Language {
  const char* bytes = nullptr;    // all paths and texts of the language
  const int64_t* rows = nullptr;  // a file: path offset, path bytes, text offset, text bytes
  const double* cumulative =
      nullptr;  // running sum of the files' weights; held-out files weigh nothing
  const int32_t* group = nullptr;  // files of one repository stand together and share a number
  const uint8_t* held = nullptr;   // 1: held out, never shown
  size_t files = 0;
  double weight = 0;  // share of the drawn documents

  std::string_view text(size_t i) const { return slice(i, 2); }
  // "repository\x01path"; for installed Python packages the first folder of the path is the
  // repository.
  std::string_view path(size_t i) const {
    const std::string_view p = slice(i, 0);
    return p.substr(p.find('\x01') + 1);
  }
  std::string_view repository(size_t i) const {
    std::string_view p = slice(i, 0);
    std::string_view repo = p.substr(0, p.find('\x01'));
    if (repo == "device") {
      p = path(i);
      return p.substr(0, std::min(p.find('/'), p.size()));
    }
    return repo.substr(repo.find(':') + 1);
  }
  size_t draw(Random& rng) const {
    const double x = rng.unit() * cumulative[files - 1];
    return std::min<size_t>(std::upper_bound(cumulative, cumulative + files, x) - cumulative,
                            files - 1);
  }

 private:
  std::string_view slice(size_t i, int k) const {
    return {bytes + rows[4 * i + k], static_cast<size_t>(rows[4 * i + k + 1])};
  }
};

struct Chats {  // conversations, encoded beforehand
  const uint16_t* tokens = nullptr;
  const int64_t* offsets = nullptr;  // count + 1
  size_t count = 0;
};

struct Corpus {
  std::vector<Language> languages;
  Chats chats;
};

}  // namespace pocket
