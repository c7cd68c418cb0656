#include "lsp/completion/runaway_line.h"

#include <algorithm>

namespace incipit::lsp {

std::optional<size_t> RunawayLine::push(char c) {
  line_.push_back(c >= '0' && c <= '9' ? '0' : c);
  const size_t size = line_.size();
  for (size_t unit = 1; unit <= std::min(kMaxUnit, size - 1); ++unit) {
    n_equal_[unit] = line_.back() == line_[size - 1 - unit] ? n_equal_[unit] + 1 : 0;
    const size_t n_repeated = n_equal_[unit] + unit;
    if (n_repeated >= std::max(kMinBytes, kMinCopies * unit) && says_something(unit)) {
      return size - n_repeated + unit;
    }
  }
  return std::nullopt;
}

void RunawayLine::start_line() {
  line_.clear();
  n_equal_.fill(0);
}

// Rulers of dashes and runs of blanks are wanted at times.
bool RunawayLine::says_something(size_t unit) const {
  return std::any_of(line_.end() - static_cast<std::ptrdiff_t>(unit), line_.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x80 || (byte >= '0' && byte <= '9') ||
           ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z');
  });
}

}  // namespace incipit::lsp
