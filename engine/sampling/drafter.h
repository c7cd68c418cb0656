// Drafter: guesses the next tokens of a generation from the text at hand, for speculative decoding:
// what followed the last time the text ended like this. After Saxena, "Prompt lookup decoding"
// (2023), with a suffix automaton for the search. A guess costs no model; whether it was right is
// for the model to say, so that it changes the speed alone. Allocates in the constructor alone.
// Engine thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/ids.h"
#include "engine/sampling/suffix_automaton.h"

namespace incipit::engine {

class Drafter {
 public:
  // `texts` are looked at beside the prompt and what is generated, of which there are at most
  // `max_tokens`; later texts win. `max_draft` >= 1.
  Drafter(std::span<const std::vector<TokenId>> texts, int32_t max_tokens, int32_t max_draft);

  // The sequence is now `tokens`, which only grows. Takes in at most a part of what is new, so that
  // no step waits for a long prompt; true when all of it has been taken in.
  bool follow(std::span<const TokenId> tokens);

  // Up to `limit` tokens that may come next; empty while follow() has not caught up, or where the
  // text does not repeat itself. Valid until the next follow().
  std::span<const TokenId> draft(int32_t limit) const;

  // Of the last draft, which had n_drafted > 0 tokens, the first n_accepted came true: guesses
  // become longer while they do.
  void report(int32_t n_drafted, int32_t n_accepted);

 private:
  SuffixAutomaton automaton_;
  std::vector<TokenId> pending_;  // of `texts`, with separators
  size_t n_pending_taken_ = 0;
  size_t n_followed_ = 0;  // of the sequence
  bool caught_up_ = false;
  int32_t max_draft_;
  int32_t wish_;  // length of the next guess
};

}  // namespace incipit::engine
