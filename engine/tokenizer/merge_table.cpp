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
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const Merge& merge = merges[rank];
    const uint64_t pair = pair_of(merge.left, merge.right);
    size_t slot = slot_of(pair) & mask_;
    while (slots_[slot].rank != kNoRank && slots_[slot].pair != pair) slot = (slot + 1) & mask_;
    slots_[slot] = {pair, static_cast<uint32_t>(rank), merge.result};
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

void MergeTable::encode(std::string_view piece, const Vocabulary& vocabulary,
                        std::vector<TokenId>& out) const {
  if (piece.size() <= kShortPiece) {
    encode_short(piece, vocabulary, out);
  } else {
    encode_long(piece, vocabulary, out);
  }
}

// Quadratic in the number of merges, which for a word beats any bookkeeping.
void MergeTable::encode_short(std::string_view piece, const Vocabulary& vocabulary,
                              std::vector<TokenId>& out) const {
  std::array<TokenId, kShortPiece> tokens;
  std::array<Found, kShortPiece> pairs;  // pairs[i] is what tokens[i] and tokens[i + 1] become
  size_t n_tokens = piece.size();
  for (size_t i = 0; i < n_tokens; ++i) {
    tokens[i] = vocabulary.byte_token(static_cast<uint8_t>(piece[i]));
  }
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
  out.insert(out.end(), tokens.begin(), tokens.begin() + n_tokens);
}

// A heap of candidate pairs over a doubly linked list. An entry is stale when the pair at its
// position has another rank by now: a pair's text only ever grows, so an old rank never comes back.
void MergeTable::encode_long(std::string_view piece, const Vocabulary& vocabulary,
                             std::vector<TokenId>& out) const {
  constexpr uint32_t kEnd = UINT32_MAX;
  struct Node {
    TokenId token;
    uint32_t previous;
    uint32_t next;
    Found pair;  // what this token and the next become
  };
  const auto n_bytes = static_cast<uint32_t>(piece.size());
  std::vector<Node> nodes(n_bytes);
  for (uint32_t i = 0; i < n_bytes; ++i) {
    const TokenId token = vocabulary.byte_token(static_cast<uint8_t>(piece[i]));
    nodes[i] = {token, i == 0 ? kEnd : i - 1, i + 1 == n_bytes ? kEnd : i + 1, {kNoRank, -1}};
  }
  std::vector<uint64_t> heap;  // rank in the upper half, position in the lower: smallest first
  heap.reserve(n_bytes);
  const auto update_pair = [&](uint32_t at) {
    Node& node = nodes[at];
    node.pair = node.next == kEnd ? Found{kNoRank, -1} : find(node.token, nodes[node.next].token);
    if (node.pair.rank == kNoRank) return false;
    heap.push_back((uint64_t{node.pair.rank} << 32) | at);
    return true;
  };
  for (uint32_t i = 0; i < n_bytes; ++i) update_pair(i);
  std::make_heap(heap.begin(), heap.end(), std::greater<>());

  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const uint64_t entry = heap.back();
    heap.pop_back();
    const auto at = static_cast<uint32_t>(entry);
    Node& node = nodes[at];
    if (node.pair.rank != entry >> 32) continue;
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
  for (uint32_t at = 0; at != kEnd; at = nodes[at].next) out.push_back(nodes[at].token);
}

}  // namespace incipit::engine
