#include "engine/kv/prefix_cache.h"

#include <algorithm>
#include <bit>

#include "kernels/common/check.h"

namespace incipit::engine {

PrefixCache::PrefixCache(PageAllocator& allocator)
    : allocator_(allocator),
      nodes_(static_cast<size_t>(allocator.n_pages())),
      buckets_(std::bit_ceil(2 * static_cast<size_t>(allocator.n_pages()) + 1), kNone),
      queue_(allocator.n_pages()) {}

PrefixCache::Match PrefixCache::match(std::span<const TokenId> tokens, CacheUse use) {
  Match match;
  int32_t parent = kRoot;
  while (tokens.size() >= kPageTokens) {
    const std::optional<PageId> child = full_child(parent, tokens.first(kPageTokens));
    if (!child) break;
    hold(*child, use);
    match.pages.push_back(*child);
    parent = index_of(*child);
    tokens = tokens.subspan(kPageTokens);
  }
  if (const std::optional<Child> child = longest_child(parent, tokens)) {
    hold(child->page, use);
    match.partial = child->page;
    match.n_partial = child->n_common;
  }
  return match;
}

std::optional<PageId> PrefixCache::match_next(std::optional<PageId> parent,
                                              std::span<const TokenId> tokens, CacheUse use) {
  const std::optional<PageId> child = full_child(parent_index(parent), tokens);
  if (child) hold(*child, use);
  return child;
}

PageId PrefixCache::publish(std::optional<PageId> parent, std::span<const TokenId> tokens,
                            PageId page, CacheUse use) {
  CHECK_EQ(tokens.size(), static_cast<size_t>(kPageTokens));
  const int32_t parent_idx = parent_index(parent);
  if (const std::optional<PageId> known = full_child(parent_idx, tokens)) {
    hold(*known, use);
    release(page);
    return *known;
  }
  replace_shorter_tails(parent_idx, tokens);
  insert(parent_idx, tokens, page, use);
  return page;
}

void PrefixCache::publish_tail(std::optional<PageId> parent, std::span<const TokenId> tokens,
                               PageId page, CacheUse use) {
  CHECK(!tokens.empty() && tokens.size() < kPageTokens);
  const int32_t parent_idx = parent_index(parent);
  const std::optional<Child> known = longest_child(parent_idx, tokens);
  if (known && known->n_common == static_cast<int32_t>(tokens.size())) {
    touch(known->page, use);
    return;
  }
  replace_shorter_tails(parent_idx, tokens);
  insert(parent_idx, tokens, page, use);
}

void PrefixCache::release(std::span<const PageId> pages) {
  // From the end, so that of one run the later pages count as used less recently.
  for (size_t i = pages.size(); i-- > 0;) release(pages[i]);
}

void PrefixCache::release(PageId page) {
  const int32_t n_left = allocator_.release(page);
  if (n_left != 1 || !contains(page)) return;
  ++n_evictable_;
  node(page).last_use = ++clock_;
  queue_if_leaf(page);
}

bool PrefixCache::evict_one() {
  if (queue_.empty()) return false;
  remove(PageId{queue_.top()});
  return true;
}

std::vector<CachedRun> PrefixCache::most_recent(size_t n) const {
  std::vector<int32_t> pages;
  for (int32_t page = 0; page < allocator_.n_pages(); ++page)
    if (contains(PageId{page})) pages.push_back(page);
  const auto is_better = [&](int32_t a, int32_t b) {
    const Node& one = node(PageId{a});
    const Node& other = node(PageId{b});
    if (one.use != other.use) return one.use > other.use;
    return one.last_use > other.last_use;
  };
  std::ranges::sort(pages, is_better);
  std::vector<CachedRun> runs;
  std::vector<bool> is_taken(static_cast<size_t>(allocator_.n_pages()));
  for (const int32_t page : pages) {
    std::vector<int32_t> path;  // from the page up to what is taken already
    for (int32_t at = page; at != kRoot && !is_taken[static_cast<size_t>(at)];
         at = node(PageId{at}).parent)
      path.push_back(at);
    if (runs.size() + path.size() > n) continue;
    for (size_t i = path.size(); i-- > 0;) {
      const Node& one = node(PageId{path[i]});
      is_taken[static_cast<size_t>(path[i])] = true;
      runs.push_back({PageId{path[i]},
                      one.parent == kRoot ? std::nullopt : std::optional(PageId{one.parent}),
                      one.run()});
    }
  }
  return runs;
}

size_t PrefixCache::bucket_of(int32_t parent, TokenId first) const {
  // Fibonacci hashing of the pair; the bucket is only a list of candidates.
  const uint64_t pair =
      (static_cast<uint64_t>(static_cast<uint32_t>(parent)) << 32) | static_cast<uint32_t>(first);
  const uint64_t mixed = (pair ^ (pair >> 29)) * 0x9E3779B97F4A7C15u;
  return static_cast<size_t>(mixed >> 32) & (buckets_.size() - 1);
}

// The child with the longest common beginning, full or not.
std::optional<PrefixCache::Child> PrefixCache::longest_child(
    int32_t parent, std::span<const TokenId> tokens) const {
  if (tokens.empty()) return std::nullopt;
  std::optional<Child> best;
  for (int32_t at = buckets_[bucket_of(parent, tokens[0])]; at != kNone;) {
    const Node& child = nodes_[static_cast<size_t>(at)];
    if (child.parent == parent) {
      const auto differ = std::ranges::mismatch(child.run(), tokens);
      const auto n_common = static_cast<int32_t>(differ.in2 - tokens.begin());
      if (n_common > 0 && (!best || n_common > best->n_common)) best = Child{PageId{at}, n_common};
    }
    at = child.bucket_next;
  }
  return best;
}

std::optional<PageId> PrefixCache::full_child(int32_t parent,
                                              std::span<const TokenId> tokens) const {
  for (int32_t at = buckets_[bucket_of(parent, tokens[0])]; at != kNone;) {
    const Node& child = nodes_[static_cast<size_t>(at)];
    if (child.parent == parent && std::ranges::equal(child.run(), tokens)) return PageId{at};
    at = child.bucket_next;
  }
  return std::nullopt;
}

// Adds a reference for a sequence.
void PrefixCache::hold(PageId page, CacheUse use) {
  if (evictable(page)) {
    --n_evictable_;
    if (queue_.contains(index_of(page))) queue_.erase(index_of(page));
  }
  allocator_.retain(page);
  if (use == CacheUse::kWanted) node(page).use = CacheUse::kWanted;
}

void PrefixCache::touch(PageId page, CacheUse use) {
  hold(page, use);
  release(page);
}

void PrefixCache::insert(int32_t parent, std::span<const TokenId> tokens, PageId page,
                         CacheUse use) {
  CHECK(!contains(page));
  allocator_.retain(page);
  Node& child = node(page);
  std::ranges::copy(tokens, child.tokens.begin());
  child.n_tokens = static_cast<int32_t>(tokens.size());
  child.parent = parent;
  child.n_children = 0;
  child.use = use;
  child.last_use = ++clock_;
  int32_t& head = buckets_[bucket_of(parent, tokens[0])];
  child.bucket_previous = kNone;
  child.bucket_next = head;
  if (head != kNone) nodes_[static_cast<size_t>(head)].bucket_previous = index_of(page);
  head = index_of(page);
  ++n_cached_;
  if (parent == kRoot) return;
  // The caller holds the parent, so it is not in the queue and need not leave it.
  ++nodes_[static_cast<size_t>(parent)].n_children;
}

// Takes an evictable leaf out of the tree and frees its page.
void PrefixCache::remove(PageId page) {
  Node& gone = node(page);
  DCHECK(evictable(page) && gone.n_children == 0);
  queue_.erase(index_of(page));
  if (gone.bucket_next != kNone)
    nodes_[static_cast<size_t>(gone.bucket_next)].bucket_previous = gone.bucket_previous;
  if (gone.bucket_previous != kNone)
    nodes_[static_cast<size_t>(gone.bucket_previous)].bucket_next = gone.bucket_next;
  else
    buckets_[bucket_of(gone.parent, gone.tokens[0])] = gone.bucket_next;
  const int32_t parent = gone.parent;
  gone.parent = kAbsent;
  --n_cached_;
  --n_evictable_;
  allocator_.release(page);
  if (parent == kRoot) return;
  --nodes_[static_cast<size_t>(parent)].n_children;
  if (evictable(PageId{parent})) queue_if_leaf(PageId{parent});
}

// A tail that the new run contains has nothing of its own left.
void PrefixCache::replace_shorter_tails(int32_t parent, std::span<const TokenId> tokens) {
  for (int32_t at = buckets_[bucket_of(parent, tokens[0])]; at != kNone;) {
    const Node& child = nodes_[static_cast<size_t>(at)];
    const int32_t next = child.bucket_next;
    const bool contained = child.parent == parent && child.run().size() < tokens.size() &&
                           std::ranges::equal(child.run(), tokens.first(child.run().size()));
    if (contained && evictable(PageId{at})) remove(PageId{at});
    at = next;
  }
}

void PrefixCache::queue_if_leaf(PageId page) {
  const Node& leaf = node(page);
  if (leaf.n_children > 0) return;
  queue_.push(index_of(page), {leaf.use == CacheUse::kWanted ? 1 : 0, leaf.last_use});
}

}  // namespace incipit::engine
