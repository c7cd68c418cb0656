// Sequence: one generation inside the engine: its tokens, how many of them have been computed, the
// pages that hold them. Owned by the Scheduler from add() to remove(); engine thread alone.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "engine/kv/page_table.h"
#include "engine/kv/prefix_cache.h"
#include "engine/sampling/drafter.h"
#include "engine/sampling/forced_text.h"
#include "engine/sampling/stop_rules.h"

namespace incipit::engine {

struct Sequence {
  using Clock = std::chrono::steady_clock;

  Sequence(SequenceId sequence_id, GenerateRequest r, TokenBytes bytes_of)
      : id(sequence_id),
        request(std::move(r)),
        matcher(request.stop, std::move(bytes_of)),
        forced(std::move(request.forced_text)),
        tokens(std::move(request.prompt)),
        n_prompt(static_cast<int32_t>(tokens.size())) {}

  SequenceId id{};
  GenerateRequest request;  // its prompt has moved to tokens
  StopMatcher matcher;
  ForcedText forced;
  std::vector<TokenId> tokens;  // the prompt, then what was generated
  int32_t n_prompt = 0;
  std::vector<float> log_probabilities;  // of what was generated, a stop token too
  int32_t n_emitted = 0;                 // generated tokens handed to on_token

  std::unique_ptr<Drafter> drafter;  // null: nothing is guessed
  std::vector<TokenId> draft;        // what may come after tokens, in the step that is planned
  int32_t n_decode_steps = 0;
  int32_t n_drafted = 0;
  int32_t n_accepted = 0;

  PageTable pages;
  int32_t n_computed = 0;   // tokens whose keys and values are in pages
  int32_t n_published = 0;  // leading pages that belong to the prefix cache
  bool admitted_before = false;

  int64_t n_steps_at_submit = 0;  // of the engine, since its start
  int64_t n_steps_at_first_token = 0;
  int64_t arrival = 0;  // order within a priority
  Clock::time_point submitted{};
  Clock::time_point first_step{};
  Clock::time_point first_token{};
  int32_t n_cached = 0;  // prompt tokens taken from the prefix cache

  int32_t n_tokens() const { return static_cast<int32_t>(tokens.size()); }
  int32_t n_pending() const { return n_tokens() - n_computed; }
  int32_t n_generated() const { return n_tokens() - n_prompt; }
  bool prefill_only() const { return request.stop.max_new_tokens == 0; }
  bool decoding() const { return n_generated() > 0 && n_pending() == 1; }
  CacheUse cache_use() const {
    return request.priority == Priority::kPrewarm ? CacheUse::kSpeculative : CacheUse::kWanted;
  }
  std::span<const TokenId> run(int32_t begin, int32_t n) const {
    return std::span(tokens).subspan(static_cast<size_t>(begin), static_cast<size_t>(n));
  }
};

// Lower goes first: interactive before background before pre-warming, then in order of arrival.
inline bool ranks_before(const Sequence& a, const Sequence& b) {
  if (a.request.priority != b.request.priority) return a.request.priority < b.request.priority;
  return a.arrival < b.arrival;
}

}  // namespace incipit::engine
