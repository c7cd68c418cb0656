#include "engine/sampling/suffix_automaton.h"

#include <algorithm>
#include <bit>

#include "kernels/common/check.h"

namespace incipit::engine {

namespace {

// Suffixes whose latest place is brought up to date with a token. Only texts that repeat themselves
// over and over have more; the places of the shorter ones then stay at an earlier repetition.
constexpr int kMaxNoted = 32;

}  // namespace

SuffixAutomaton::SuffixAutomaton(int32_t capacity) {
  CHECK_GE(capacity, 0);
  const auto n = static_cast<size_t>(capacity);
  text_.reserve(n);
  states_.reserve(2 * n + 2);
  edges_.reserve(3 * n + 2);
  slots_.assign(std::bit_ceil(6 * n + 4), -1);
  states_.push_back({});
}

int32_t SuffixAutomaton::add_state(State state) {
  states_.push_back(state);
  return static_cast<int32_t>(states_.size()) - 1;
}

// Where the edge is, or where it belongs.
size_t SuffixAutomaton::slot_of(int32_t from, TokenId token) const {
  uint64_t hash =
      static_cast<uint64_t>(static_cast<uint32_t>(from)) << 32 | static_cast<uint32_t>(token);
  hash = (hash ^ (hash >> 31)) * 0x9E3779B97F4A7C15u;
  const size_t mask = slots_.size() - 1;
  size_t slot = static_cast<size_t>(hash >> 32) & mask;
  for (;; slot = (slot + 1) & mask) {
    const int32_t idx = slots_[slot];
    if (idx < 0) return slot;
    const Edge& edge = edges_[static_cast<size_t>(idx)];
    if (edge.from == from && edge.token == token) return slot;
  }
}

int32_t SuffixAutomaton::find_edge(int32_t from, TokenId token) const {
  return slots_[slot_of(from, token)];
}

void SuffixAutomaton::add_edge(int32_t from, TokenId token, int32_t to) {
  State& state = states_[static_cast<size_t>(from)];
  slots_[slot_of(from, token)] = static_cast<int32_t>(edges_.size());
  edges_.push_back({from, token, to, state.first_edge});
  state.first_edge = static_cast<int32_t>(edges_.size()) - 1;
}

// `from` goes to `to` by `token`, but not all texts of `to` end so: those that do get a state of
// their own, which is returned.
int32_t SuffixAutomaton::split(int32_t from, TokenId token, int32_t to) {
  const State original = states_[static_cast<size_t>(to)];
  const int32_t clone = add_state(
      {states_[static_cast<size_t>(from)].length + 1, original.link, original.latest_end, -1});
  for (int32_t e = original.first_edge; e >= 0; e = edges_[static_cast<size_t>(e)].next) {
    const Edge edge = edges_[static_cast<size_t>(e)];
    add_edge(clone, edge.token, edge.to);
  }
  states_[static_cast<size_t>(to)].link = clone;
  for (int32_t p = from; p >= 0; p = states_[static_cast<size_t>(p)].link) {
    const int32_t e = find_edge(p, token);
    if (e < 0 || edges_[static_cast<size_t>(e)].to != to) break;
    edges_[static_cast<size_t>(e)].to = clone;
  }
  return clone;
}

void SuffixAutomaton::append(TokenId token) {
  CHECK_LT(text_.size(), text_.capacity());
  text_.push_back(token);
  const auto n = static_cast<int32_t>(text_.size());
  if (token < 0) {  // nothing that comes later may go on from what stands before
    last_ = 0;
    repetition_ = {};
    return;
  }
  // Known already, when a text begins as an earlier one did: its state has it all.
  if (const int32_t e = find_edge(last_, token); e >= 0) {
    const int32_t to = edges_[static_cast<size_t>(e)].to;
    const bool whole =
        states_[static_cast<size_t>(to)].length == states_[static_cast<size_t>(last_)].length + 1;
    last_ = whole ? to : split(last_, token, to);
    repetition_ = {states_[static_cast<size_t>(last_)].length,
                   states_[static_cast<size_t>(last_)].latest_end};
    return note_occurrence(last_);
  }
  const int32_t current = add_state({states_[static_cast<size_t>(last_)].length + 1, 0, n, -1});
  int32_t p = last_;
  for (; p >= 0 && find_edge(p, token) < 0; p = states_[static_cast<size_t>(p)].link)
    add_edge(p, token, current);
  if (p >= 0) {
    const int32_t to = edges_[static_cast<size_t>(find_edge(p, token))].to;
    const bool whole =
        states_[static_cast<size_t>(to)].length == states_[static_cast<size_t>(p)].length + 1;
    states_[static_cast<size_t>(current)].link = whole ? to : split(p, token, to);
  }
  last_ = current;
  const int32_t link = states_[static_cast<size_t>(current)].link;
  repetition_ = {states_[static_cast<size_t>(link)].length,
                 states_[static_cast<size_t>(link)].latest_end};
  if (link == 0) repetition_ = {};
  note_occurrence(link);
}

// The text ends here once more for this state and all suffixes of it.
void SuffixAutomaton::note_occurrence(int32_t state) {
  const auto end = static_cast<int32_t>(text_.size());
  for (int i = 0; state > 0 && i < kMaxNoted; ++i) {
    State& noted = states_[static_cast<size_t>(state)];
    noted.latest_end = end;
    state = noted.link;
  }
}

}  // namespace incipit::engine
