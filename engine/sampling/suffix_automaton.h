// SuffixAutomaton: a text of token ids that grows at its end, and, at every moment, the longest
// suffix of it that stands somewhere before, with the latest place of that. On-line construction
// after Blumer, Blumer, Haussler, Ehrenfeucht, Chen and Seiferas (1985): amortised constant time a
// token, at most 2 n states and 3 n transitions. Allocates in the constructor alone. One thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/ids.h"

namespace incipit::engine {

class SuffixAutomaton {
 public:
  // Room for so many tokens.
  explicit SuffixAutomaton(int32_t capacity);

  // Negative tokens separate texts: no repetition goes over one.
  void append(TokenId token);

  std::span<const TokenId> text() const { return text_; }

  // The longest suffix of the text that also ends earlier: its length (0: there is none) and the
  // index after its last token there, the latest such place; of very repetitive texts a late one.
  struct Repetition {
    int32_t length = 0;
    int32_t end = 0;
  };
  Repetition longest_repetition() const { return repetition_; }

 private:
  struct State {
    int32_t length = 0;      // of the longest text of this state
    int32_t link = -1;       // the state of its longest suffix that is in another state
    int32_t latest_end = 0;  // index after an occurrence
    int32_t first_edge = -1;
  };
  struct Edge {
    int32_t from = 0;
    TokenId token{};
    int32_t to = 0;
    int32_t next = -1;  // of the same state
  };

  int32_t add_state(State state);
  void add_edge(int32_t from, TokenId token, int32_t to);
  int32_t find_edge(int32_t from, TokenId token) const;  // index, or -1
  int32_t split(int32_t from, TokenId token, int32_t to);
  size_t slot_of(int32_t from, TokenId token) const;
  void note_occurrence(int32_t state);

  std::vector<TokenId> text_;
  std::vector<State> states_;
  std::vector<Edge> edges_;
  std::vector<int32_t> slots_;  // open addressing: indices of edges, -1: empty; a power of two
  int32_t last_ = 0;            // the state of the whole text
  Repetition repetition_;
};

}  // namespace incipit::engine
