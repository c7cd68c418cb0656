// PrefixCache: a radix tree of token runs, one page (16 tokens) a node, that remembers which page
// holds the keys and values of which prefix. A prefix is identified by comparing tokens exactly;
// the hash only finds candidates. A node is stored at the index of its page, so the tree needs no
// memory of its own after construction and every look-up is O(1) for a page of tokens.
//
// The tree holds one reference to each of its pages; a sequence that uses a page holds another, and
// always holds the whole path from the root. A page that only the tree holds can be evicted, leaves
// first. Only the last page of a run may be partly filled; such a leaf is never shared, only
// copied. Used by the engine thread alone.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/base/ids.h"
#include "engine/kv/eviction_queue.h"
#include "engine/kv/page_allocator.h"
#include "engine/kv/page_table.h"

namespace incipit::engine {

// What a page is worth keeping for: pages that were only ever pre-warmed go before all others.
enum class CacheUse { kSpeculative, kWanted };

// A page of the tree, as most_recent() lists it.
struct CachedRun {
  PageId page{};
  std::optional<PageId> parent;
  std::span<const TokenId> tokens;  // 1..16, valid while the page stays in the tree
};

class PrefixCache {
 public:
  explicit PrefixCache(PageAllocator& allocator);

  // The longest cached beginning of `tokens`. The returned pages, and the partial one, carry a
  // reference for the caller.
  struct Match {
    PageTable pages;                // full pages
    std::optional<PageId> partial;  // its first n_partial slots continue the run: copy, never share
    int32_t n_partial = 0;
    int32_t n_tokens() const {
      return static_cast<int32_t>(pages.size()) * kPageTokens + n_partial;
    }
  };
  Match match(std::span<const TokenId> tokens, CacheUse use);

  // The page after `parent` (nothing: after the root) that holds exactly these 16 tokens, with a
  // reference for the caller.
  std::optional<PageId> match_next(std::optional<PageId> parent, std::span<const TokenId> tokens,
                                   CacheUse use);

  // Offers a page whose 16 tokens have been computed. The caller holds a reference to `page` and to
  // `parent`, the page of the tokens before. Returns the page to go on with: `page` itself, now
  // part of the tree, or the one that the tree already has for the same tokens; then the caller's
  // reference has moved to that one.
  PageId publish(std::optional<PageId> parent, std::span<const TokenId> tokens, PageId page,
                 CacheUse use);

  // Offers the last, partly filled page of a run (1 to 15 tokens). The caller keeps its reference
  // and must not write to the page any more.
  void publish_tail(std::optional<PageId> parent, std::span<const TokenId> tokens, PageId page,
                    CacheUse use);

  // Gives back the caller's references. Pages outside the tree become free.
  void release(std::span<const PageId> pages);
  void release(PageId page);

  // Frees the least useful page that nobody but the tree holds. False: there is none.
  bool evict_one();

  // At most `n` pages, those that were wanted and used last; parents before their children. What
  // was only pre-warmed comes after all others.
  std::vector<CachedRun> most_recent(size_t n) const;

  int32_t n_cached() const { return n_cached_; }  // pages in the tree
  int32_t n_evictable() const { return n_evictable_; }
  bool contains(PageId page) const { return node(page).parent != kAbsent; }

 private:
  static constexpr int32_t kAbsent = -2;
  static constexpr int32_t kRoot = -1;
  static constexpr int32_t kNone = -1;  // end of a bucket's list

  struct Node {
    std::array<TokenId, kPageTokens> tokens;
    int32_t n_tokens = 0;
    int32_t parent = kAbsent;  // page index, kRoot, or kAbsent: not in the tree
    int32_t n_children = 0;
    int32_t bucket_next = kNone;
    int32_t bucket_previous = kNone;
    CacheUse use = CacheUse::kSpeculative;
    int64_t last_use = 0;
    std::span<const TokenId> run() const { return {tokens.data(), static_cast<size_t>(n_tokens)}; }
  };

  Node& node(PageId page) { return nodes_[static_cast<size_t>(index_of(page))]; }
  const Node& node(PageId page) const { return nodes_[static_cast<size_t>(index_of(page))]; }
  static int32_t parent_index(std::optional<PageId> parent) {
    return parent ? index_of(*parent) : kRoot;
  }
  size_t bucket_of(int32_t parent, TokenId first) const;
  struct Child {
    PageId page;
    int32_t n_common;  // tokens in common with what was looked for
  };
  std::optional<Child> longest_child(int32_t parent, std::span<const TokenId> tokens) const;
  std::optional<PageId> full_child(int32_t parent, std::span<const TokenId> tokens) const;
  void hold(PageId page, CacheUse use);
  void touch(PageId page, CacheUse use);
  bool evictable(PageId page) const { return allocator_.ref_count(page) == 1; }
  void insert(int32_t parent, std::span<const TokenId> tokens, PageId page, CacheUse use);
  void remove(PageId page);
  void replace_shorter_tails(int32_t parent, std::span<const TokenId> tokens);
  void queue_if_leaf(PageId page);

  PageAllocator& allocator_;
  std::vector<Node> nodes_;       // [n_pages]
  std::vector<int32_t> buckets_;  // power of two; first child of a (parent, first token) list
  EvictionQueue queue_;           // evictable leaves
  int64_t clock_ = 0;
  int32_t n_cached_ = 0;
  int32_t n_evictable_ = 0;
};

}  // namespace incipit::engine
