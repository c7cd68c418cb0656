#include "engine/sampling/stop_rules.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace incipit::engine {

StopMatcher::StopMatcher(StopRules rules, TokenBytes bytes_of)
    : rules_(std::move(rules)), bytes_of_(std::move(bytes_of)) {
  // An empty string is contained in everything; the engine refuses it, and here it means nothing.
  std::erase_if(rules_.stop_strings, [](const std::string& s) { return s.empty(); });
  for (const std::string& stop : rules_.stop_strings)
    longest_stop_string_ = std::max(longest_stop_string_, stop.size());
  // So that push() does not allocate: a held token has at least a byte, or is one of few without.
  constexpr size_t kUsualTokenBytes = 256;
  tail_.reserve(longest_stop_string_ + kUsualTokenBytes);
  held_.reserve(longest_stop_string_ + kUsualTokenBytes);
}

std::optional<StopCause> StopMatcher::push(TokenId token) {
  if (std::ranges::find(rules_.stop_tokens, token) != rules_.stop_tokens.end()) {
    finish();
    return StopCause::kToken;
  }
  const std::string_view bytes = bytes_of_ ? bytes_of_(token) : std::string_view();
  const int64_t begin = n_bytes_;
  tail_.append(bytes);
  n_bytes_ += static_cast<int64_t>(bytes.size());
  held_.push_back({begin, n_bytes_});
  ++n_pushed_;

  const std::optional<End> end = find_end(begin);
  n_lines_ += static_cast<int32_t>(std::ranges::count(bytes, '\n'));
  if (end) {
    release_before(end->begin);
    n_overhang_bytes_ = static_cast<int32_t>(std::max<int64_t>(0, released_end_ - end->begin));
    return end->cause;
  }
  release_before(n_bytes_ - held_bytes());
  if (longest_stop_string_ > 0 && tail_.size() >= longest_stop_string_)
    tail_.erase(0, tail_.size() - (longest_stop_string_ - 1));
  if (longest_stop_string_ == 0) tail_.clear();
  if (n_pushed_ >= rules_.max_new_tokens) {
    finish();
    return StopCause::kLength;
  }
  return std::nullopt;
}

void StopMatcher::finish() {
  release_before(n_bytes_);
}

std::optional<StopMatcher::End> StopMatcher::find_end(int64_t token_begin) const {
  std::optional<End> best = find_stop_string();
  if (rules_.max_lines <= 0) return best;
  const int64_t tail_begin = n_bytes_ - static_cast<int64_t>(tail_.size());
  int32_t n_lines = n_lines_;
  for (int64_t at = token_begin; at < n_bytes_; ++at) {
    if (tail_[static_cast<size_t>(at - tail_begin)] != '\n') continue;
    if (++n_lines < rules_.max_lines) continue;
    // The line break, and what the same token says after it, stay part of the result.
    if (!best || at + 1 < best->end) best = End{n_bytes_, at + 1, StopCause::kLines};
    break;
  }
  return best;
}

std::optional<StopMatcher::End> StopMatcher::find_stop_string() const {
  std::optional<End> best;
  const int64_t tail_begin = n_bytes_ - static_cast<int64_t>(tail_.size());
  for (const std::string& stop : rules_.stop_strings) {
    const size_t at = tail_.find(stop);
    if (at == std::string::npos) continue;
    const int64_t begin = tail_begin + static_cast<int64_t>(at);
    const int64_t end = begin + static_cast<int64_t>(stop.size());
    if (!best || end < best->end || (end == best->end && begin < best->begin))
      best = End{begin, end, StopCause::kString};
  }
  return best;
}

// The longest end of the stream that is a proper beginning of a stop string.
int64_t StopMatcher::held_bytes() const {
  const std::string_view tail = tail_;
  const size_t longest =
      std::min(tail.size(), longest_stop_string_ == 0 ? 0 : longest_stop_string_ - 1);
  for (size_t n = longest; n > 0; --n) {
    const std::string_view end = tail.substr(tail.size() - n);
    for (const std::string& stop : rules_.stop_strings)
      if (n < stop.size() && std::string_view(stop).starts_with(end))
        return static_cast<int64_t>(n);
  }
  return 0;
}

void StopMatcher::release_before(int64_t offset) {
  const auto first_kept = std::ranges::find_if(
      held_, [&](const Held& held) { return held.begin >= offset && held.end > offset; });
  if (first_kept == held_.begin()) return;
  released_end_ = std::prev(first_kept)->end;
  n_released_ += static_cast<int32_t>(first_kept - held_.begin());
  held_.erase(held_.begin(), first_kept);
}

}  // namespace incipit::engine
