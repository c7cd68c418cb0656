#include "engine/tokenizer/merge_table.h"

#include <algorithm>
#include <array>
#include <bit>
#include <functional>

namespace incipit::engine {
namespace {

uint64_t pair_of(TokenId left, TokenId right) {
  return (uint64_t{static_cast<uint32_t>(left)} << 32) | static_cast<uint32_t>(right);
}

// Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4): 2^64 over the golden ratio.
size_t slot_of(uint64_t pair) {
  return static_cast<size_t>((pair ^ (pair >> 29)) * 0x9e3779b97f4a7c15u >> 20);
}

}  // namespace

MergeTable::MergeTable(const std::vector<Merge>& merges)
    : slots_(std::bit_ceil(merges.size() * 2 + 2), Slot{0, kNoRank, -1}), mask_(slots_.size() - 1) {
  for (const Merge& merge : merges) {
    const uint64_t pair = pair_of(merge.left, merge.right);
    size_t slot = slot_of(pair) & mask_;
    while (slots_[slot].rank != kNoRank && slots_[slot].pair != pair) slot = (slot + 1) & mask_;
    slots_[slot] = {pair, merge.rank, merge.result};
  }
}

MergeTable::Found MergeTable::find(TokenId left, TokenId right) const {
  const uint64_t pair = pair_of(left, right);
  for (size_t slot = slot_of(pair) & mask_; slots_[slot].rank != kNoRank;
       slot = (slot + 1) & mask_) {
    if (slots_[slot].pair == pair) return {slots_[slot].rank, slots_[slot].result};
  }
  return {kNoRank, -1};
}

void MergeTable::merge(std::vector<TokenId>& out, size_t first) const {
  const std::span<TokenId> tokens = std::span(out).subspan(first);
  if (tokens.size() < 2) return;
  out.resize(first + (tokens.size() <= kShortPiece ? merge_short(tokens) : merge_long(tokens)));
}

// Quadratic in the number of merges, which for a word beats any bookkeeping.
size_t MergeTable::merge_short(std::span<TokenId> tokens) const {
  std::array<Found, kShortPiece> pairs;  // pairs[i] is what tokens[i] and tokens[i + 1] become
  size_t n_tokens = tokens.size();
  for (size_t i = 0; i + 1 < n_tokens; ++i) pairs[i] = find(tokens[i], tokens[i + 1]);
  while (n_tokens > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n_tokens; ++i) {
      if (pairs[i].rank < pairs[best].rank) best = i;
    }
    if (pairs[best].rank == kNoRank) break;
    tokens[best] = pairs[best].result;
    std::copy(tokens.begin() + best + 2, tokens.begin() + n_tokens, tokens.begin() + best + 1);
    std::copy(pairs.begin() + best + 1, pairs.begin() + (n_tokens - 1), pairs.begin() + best);
    --n_tokens;
    if (best + 1 < n_tokens) pairs[best] = find(tokens[best], tokens[best + 1]);
    if (best > 0) pairs[best - 1] = find(tokens[best - 1], tokens[best]);
  }
  return n_tokens;
}

// A heap of candidate pairs over a doubly linked list. An entry is stale when the pair at its
// position is another one by now: a pair's text only ever grows, so an old result never comes back.
size_t MergeTable::merge_long(std::span<TokenId> tokens) const {
  constexpr uint32_t kEnd = UINT32_MAX;
  struct Node {
    TokenId token;
    uint32_t previous;
    uint32_t next;
    Found pair;  // what this token and the next become
  };
  struct Entry {
    uint64_t order;  // rank in the upper half, position in the lower: smallest first
    TokenId result;
    bool operator>(const Entry& other) const { return order > other.order; }
  };
  const auto n_symbols = static_cast<uint32_t>(tokens.size());
  std::vector<Node> nodes(n_symbols);
  for (uint32_t i = 0; i < n_symbols; ++i) {
    nodes[i] = {tokens[i], i == 0 ? kEnd : i - 1, i + 1 == n_symbols ? kEnd : i + 1, {kNoRank, -1}};
  }
  std::vector<Entry> heap;
  heap.reserve(n_symbols);
  const auto update_pair = [&](uint32_t at) {
    Node& node = nodes[at];
    node.pair = node.next == kEnd ? Found{kNoRank, -1} : find(node.token, nodes[node.next].token);
    if (node.pair.rank == kNoRank) return false;
    heap.push_back({(uint64_t{node.pair.rank} << 32) | at, node.pair.result});
    return true;
  };
  for (uint32_t i = 0; i < n_symbols; ++i) update_pair(i);
  std::make_heap(heap.begin(), heap.end(), std::greater<>());

  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const Entry entry = heap.back();
    heap.pop_back();
    const auto at = static_cast<uint32_t>(entry.order);
    Node& node = nodes[at];
    if (node.pair.rank != entry.order >> 32 || node.pair.result != entry.result) continue;
    Node& merged = nodes[node.next];
    node.token = node.pair.result;
    node.next = merged.next;
    merged.pair = {kNoRank, -1};  // its entries are stale from here on
    if (node.next != kEnd) nodes[node.next].previous = at;
    if (update_pair(at)) std::push_heap(heap.begin(), heap.end(), std::greater<>());
    if (node.previous != kEnd && update_pair(node.previous)) {
      std::push_heap(heap.begin(), heap.end(), std::greater<>());
    }
  }
  size_t n_tokens = 0;
  for (uint32_t at = 0; at != kEnd; at = nodes[at].next) tokens[n_tokens++] = nodes[at].token;
  return n_tokens;
}

}  // namespace incipit::engine
