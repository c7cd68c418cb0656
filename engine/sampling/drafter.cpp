#include "engine/sampling/drafter.h"

#include <algorithm>

#include "kernels/common/check.h"

namespace incipit::engine {

namespace {

constexpr int32_t kMinRepetition = 3;  // tokens: shorter ones are chance
constexpr size_t kTakenAtOnce = 512;   // tokens: some 50 us
constexpr TokenId kSeparator{-1};

int32_t room_for(std::span<const std::vector<TokenId>> texts, int32_t max_tokens) {
  size_t n = static_cast<size_t>(max_tokens);
  for (const std::vector<TokenId>& text : texts) n += text.size() + 1;
  return static_cast<int32_t>(n);
}

}  // namespace

Drafter::Drafter(std::span<const std::vector<TokenId>> texts, int32_t max_tokens, int32_t max_draft)
    : automaton_(room_for(texts, max_tokens)),
      max_draft_(max_draft),
      wish_(std::max(1, max_draft / 2)) {
  CHECK_GE(max_draft, 1);
  for (const std::vector<TokenId>& text : texts) {
    pending_.insert(pending_.end(), text.begin(), text.end());
    pending_.push_back(kSeparator);
  }
}

bool Drafter::follow(std::span<const TokenId> tokens) {
  size_t budget = kTakenAtOnce;
  const auto take = [&](std::span<const TokenId> from, size_t& n_taken) {
    for (; n_taken < from.size() && budget > 0; ++n_taken, --budget)
      automaton_.append(from[n_taken]);
    return n_taken == from.size();
  };
  caught_up_ = take(pending_, n_pending_taken_) && take(tokens, n_followed_);
  return caught_up_;
}

std::span<const TokenId> Drafter::draft(int32_t limit) const {
  const SuffixAutomaton::Repetition found = automaton_.longest_repetition();
  if (!caught_up_ || found.length < kMinRepetition) return {};
  const auto next = automaton_.text().subspan(static_cast<size_t>(found.end));
  const auto n = std::min(static_cast<size_t>(std::max(0, std::min(limit, wish_))), next.size());
  const auto end = std::find_if(next.begin(), next.begin() + static_cast<std::ptrdiff_t>(n),
                                [](TokenId token) { return token < 0; });
  return next.first(static_cast<size_t>(end - next.begin()));
}

void Drafter::report(int32_t n_drafted, int32_t n_accepted) {
  CHECK(n_accepted >= 0 && n_accepted <= n_drafted);
  wish_ = n_accepted == n_drafted ? std::min(2 * wish_, max_draft_) : n_accepted + 1;
}

}  // namespace incipit::engine
