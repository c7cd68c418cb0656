#include "engine/kv/prefix_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <set>

namespace incipit::engine {
namespace {

using Tokens = std::vector<TokenId>;

Tokens ascending(int32_t n, TokenId first = 0) {
  Tokens tokens(static_cast<size_t>(n));
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

Tokens joined(Tokens a, const Tokens& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

std::span<const TokenId> page_run(const Tokens& tokens, size_t page) {
  const size_t begin = page * kPageTokens;
  return std::span(tokens).subspan(begin, std::min<size_t>(kPageTokens, tokens.size() - begin));
}

class PrefixCacheTest : public ::testing::Test {
 protected:
  // What a sequence does: take what is cached, compute the rest, publish, release.
  void run_sequence(const Tokens& tokens, CacheUse use = CacheUse::kWanted) {
    PageTable pages = hold_sequence(tokens, use);
    cache_.release(pages);
  }

  PageTable hold_sequence(const Tokens& tokens, CacheUse use = CacheUse::kWanted) {
    PrefixCache::Match match = cache_.match(tokens, use);
    if (match.partial) cache_.release(*match.partial);
    PageTable pages = match.pages;
    while (pages.size() * kPageTokens < tokens.size()) {
      std::optional<PageId> page = allocator_.allocate();
      while (!page && cache_.evict_one()) page = allocator_.allocate();
      CHECK(page.has_value());
      const std::optional<PageId> parent =
          pages.empty() ? std::nullopt : std::optional(pages.back());
      const std::span<const TokenId> run = page_run(tokens, pages.size());
      if (run.size() == kPageTokens)
        page = cache_.publish(parent, run, *page, use);
      else
        cache_.publish_tail(parent, run, *page, use);
      pages.push_back(*page);
    }
    return pages;
  }

  int32_t matched(const Tokens& tokens) {
    const PrefixCache::Match match = cache_.match(tokens, CacheUse::kSpeculative);
    cache_.release(match.pages);
    if (match.partial) cache_.release(*match.partial);
    return match.n_tokens();
  }

  PageAllocator allocator_{8};
  PrefixCache cache_{allocator_};
};

TEST_F(PrefixCacheTest, SharesFullPagesUpToTheFirstDifferentToken) {
  const Tokens tokens = ascending(40);
  const PageTable held = hold_sequence(tokens);
  Tokens other = tokens;
  other[20] = 999;
  const PrefixCache::Match match = cache_.match(other, CacheUse::kWanted);
  EXPECT_EQ(match.pages, PageTable({held[0]}));
  EXPECT_EQ(match.partial, held[1]);
  EXPECT_EQ(match.n_partial, 4);
  EXPECT_EQ(allocator_.ref_count(held[0]), 3) << "the tree and two sequences";
}

TEST_F(PrefixCacheTest, ReusesTheTailOfAFinishedSequence) {
  run_sequence(ascending(21));
  EXPECT_EQ(matched(ascending(40)), 21);
  EXPECT_EQ(matched(ascending(18)), 18);
}

TEST_F(PrefixCacheTest, TellsPrefixesApartThatDifferOnlyInAnEarlierPage) {
  const Tokens tail = ascending(16, 500);
  run_sequence(joined(ascending(16, 0), tail));
  EXPECT_EQ(matched(joined(ascending(16, 100), tail)), 0);
}

TEST_F(PrefixCacheTest, KeepsOnePageForRunsPublishedTwice) {
  const Tokens tokens = ascending(16);
  const PageId first = allocator_.allocate().value();
  const PageId second = allocator_.allocate().value();
  EXPECT_EQ(cache_.publish(std::nullopt, tokens, first, CacheUse::kWanted), first);
  EXPECT_EQ(cache_.publish(std::nullopt, tokens, second, CacheUse::kWanted), first);
  EXPECT_EQ(allocator_.ref_count(second), 0);
  EXPECT_EQ(allocator_.ref_count(first), 3) << "the tree and both publishers";
  EXPECT_EQ(cache_.n_cached(), 1);
}

TEST_F(PrefixCacheTest, ReplacesATailByALongerRunOfTheSameTokens) {
  run_sequence(ascending(5));
  run_sequence(ascending(9));
  EXPECT_EQ(cache_.n_cached(), 1);
  EXPECT_EQ(matched(ascending(12)), 9);
  run_sequence(ascending(16));
  EXPECT_EQ(cache_.n_cached(), 1);
  run_sequence(ascending(3));
  EXPECT_EQ(cache_.n_cached(), 1) << "a page that already holds the run is enough";
  EXPECT_EQ(allocator_.n_free(), 7);
}

TEST_F(PrefixCacheTest, EvictsTheLeafThatWasUsedLongestAgo) {
  run_sequence(ascending(32, 0));
  run_sequence(ascending(32, 100));
  EXPECT_EQ(matched(ascending(32, 0)), 32) << "and that is a use";
  EXPECT_TRUE(cache_.evict_one());
  EXPECT_EQ(matched(ascending(32, 0)), 32);
  EXPECT_EQ(matched(ascending(32, 100)), 16) << "its last page went, not its first";
}

TEST_F(PrefixCacheTest, EvictsWhatWasOnlyPrewarmedBeforeAnythingElse) {
  run_sequence(ascending(16, 0), CacheUse::kWanted);
  run_sequence(ascending(16, 100), CacheUse::kSpeculative);
  run_sequence(ascending(16, 200), CacheUse::kSpeculative);
  hold_sequence(ascending(16, 200), CacheUse::kWanted);  // prewarmed, then wanted
  EXPECT_TRUE(cache_.evict_one());
  EXPECT_EQ(matched(ascending(16, 100)), 0);
  EXPECT_EQ(matched(ascending(16, 0)), 16);
}

TEST_F(PrefixCacheTest, NeverEvictsAPageInUseNorTheWayToIt) {
  const PageTable held = hold_sequence(ascending(40));
  EXPECT_EQ(cache_.n_evictable(), 0);
  EXPECT_FALSE(cache_.evict_one());
  cache_.release(held);
  EXPECT_EQ(cache_.n_evictable(), 3);
  EXPECT_TRUE(cache_.evict_one());
  EXPECT_TRUE(cache_.evict_one());
  EXPECT_TRUE(cache_.evict_one());
  EXPECT_FALSE(cache_.evict_one());
  EXPECT_EQ(allocator_.n_free(), 8);
}

TEST_F(PrefixCacheTest, DoesNotCountATailThatIsBeingCopiedAsEvictable) {
  run_sequence(ascending(5));
  const PrefixCache::Match match = cache_.match(ascending(8), CacheUse::kWanted);
  EXPECT_EQ(match.n_partial, 5);
  EXPECT_FALSE(cache_.evict_one());
  cache_.release(*match.partial);
  EXPECT_TRUE(cache_.evict_one());
}

// The same cache written the obvious way: a map from a run's tokens (from the root) to its page.
struct NaiveCache {
  struct Entry {
    int64_t last_use = 0;
    CacheUse use = CacheUse::kSpeculative;
    int32_t n_users = 0;
  };
  std::map<Tokens, Entry> entries;

  static bool starts_with(const Tokens& tokens, const Tokens& prefix) {
    return prefix.size() <= tokens.size() &&
           std::equal(prefix.begin(), prefix.end(), tokens.begin());
  }
  static size_t n_common(const Tokens& a, const Tokens& b) {
    return static_cast<size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
  }
  // Full pages, and tokens in common with some further page below them.
  std::pair<size_t, size_t> match(const Tokens& tokens) const {
    size_t n_full = 0;
    while (
        (n_full + 1) * kPageTokens <= tokens.size() &&
        entries.contains(Tokens(tokens.begin(), tokens.begin() + long((n_full + 1) * kPageTokens))))
      ++n_full;
    size_t n_partial = 0;
    for (const auto& [run, entry] : entries) {
      if (run.size() <= n_full * kPageTokens || run.size() > (n_full + 1) * kPageTokens) continue;
      n_partial = std::max(
          n_partial, std::max(n_common(run, tokens), n_full * kPageTokens) - n_full * kPageTokens);
    }
    return {n_full, n_partial};
  }
  bool is_leaf(const Tokens& tokens) const {
    return std::ranges::none_of(entries, [&](const auto& other) {
      return other.first.size() > tokens.size() && tokens.size() % kPageTokens == 0 &&
             starts_with(other.first, tokens);
    });
  }
  std::optional<Tokens> next_to_evict() const {
    std::optional<Tokens> best;
    auto key = [&](const Tokens& t) {
      return std::pair(entries.at(t).use, entries.at(t).last_use);
    };
    for (const auto& [tokens, entry] : entries)
      if (entry.n_users == 0 && is_leaf(tokens) && (!best || key(tokens) < key(*best)))
        best = tokens;
    return best;
  }
};

// Random sequences over a small alphabet against the naive cache: the same matches, the same
// victims, and every page holds exactly the tokens that it is said to hold.
class RandomPrefixCacheTest : public ::testing::TestWithParam<uint32_t> {
 protected:
  static constexpr int32_t kPages = 24;

  struct Live {
    Tokens tokens;
    PageTable pages;
    CacheUse use;
  };

  Tokens random_tokens() {
    Tokens tokens;
    // Few distinct runs, so that sequences share and split at many places.
    const size_t n = 1 + random_() % 70;
    while (tokens.size() < n) {
      const auto run = static_cast<TokenId>(random_() % 3);
      for (int i = 0; i < 11; ++i) tokens.push_back(run);
    }
    tokens.resize(n);
    if (random_() % 4 == 0) tokens[random_() % n] = 7;
    return tokens;
  }

  Tokens prefix_of(const Tokens& tokens, size_t n_pages) {
    return Tokens(tokens.begin(),
                  tokens.begin() + long(std::min(n_pages * kPageTokens, tokens.size())));
  }

  // Writes what the page would hold: the tokens from the root to its last slot.
  void write(PageId page, Tokens tokens) { content_[index_of(page)] = std::move(tokens); }

  std::optional<PageId> allocate() {
    if (std::optional<PageId> page = allocator_.allocate()) return page;
    const std::optional<Tokens> victim = naive_.next_to_evict();
    EXPECT_EQ(cache_.evict_one(), victim.has_value());
    if (!victim) return std::nullopt;
    naive_.entries.erase(*victim);
    const std::optional<PageId> page = allocator_.allocate();
    EXPECT_EQ(content_[index_of(*page)], *victim) << "another page went";
    return page;
  }

  void start() {
    Live live{random_tokens(), {}, random_() % 3 == 0 ? CacheUse::kSpeculative : CacheUse::kWanted};
    const auto [n_full, n_partial] = naive_.match(live.tokens);
    PrefixCache::Match match = cache_.match(live.tokens, live.use);
    ASSERT_EQ(match.pages.size(), n_full);
    ASSERT_EQ(static_cast<size_t>(match.n_partial), n_partial);
    for (size_t i = 0; i < n_full; ++i) {
      ASSERT_EQ(content_[index_of(match.pages[i])], prefix_of(live.tokens, i + 1));
      use(prefix_of(live.tokens, i + 1), live.use, +1);
    }
    live.pages = match.pages;
    if (match.partial) {
      const Tokens& found = content_[index_of(*match.partial)];
      const size_t n = n_full * kPageTokens + n_partial;
      ASSERT_TRUE(std::equal(found.begin(), found.begin() + long(n), live.tokens.begin()));
      use(found, live.use, +1);
      cache_.release(*match.partial);
      use(found, live.use, -1);
    }
    while (live.pages.size() * kPageTokens + kPageTokens <= live.tokens.size() &&
           live.pages.size() < 1 + random_() % 6) {
      const std::optional<PageId> page = allocate();
      if (!page) break;
      const Tokens run = prefix_of(live.tokens, live.pages.size() + 1);
      write(*page, run);
      const std::optional<PageId> parent =
          live.pages.empty() ? std::nullopt : std::optional(live.pages.back());
      replace_tails(run, parent);
      const PageId kept = cache_.publish(parent, page_run(run, live.pages.size()), *page, live.use);
      ASSERT_EQ(content_[index_of(kept)], run);
      ASSERT_EQ(kept == *page, !naive_.entries.contains(run));
      use(run, live.use, +1);
      live.pages.push_back(kept);
    }
    live_.push_back(std::move(live));
  }

  // Publishes what is left as a tail, or forgets it, and lets everything go.
  void end() {
    if (live_.empty()) return;
    const size_t at = random_() % live_.size();
    Live live = live_[at];
    live_.erase(live_.begin() + long(at));
    const Tokens full = prefix_of(live.tokens, live.pages.size());
    const size_t n_tail = std::min<size_t>(live.tokens.size() - full.size(), kPageTokens - 1);
    if (n_tail > 0 && random_() % 4 != 0) {
      if (const std::optional<PageId> page = allocate()) {
        const Tokens run(live.tokens.begin(), live.tokens.begin() + long(full.size() + n_tail));
        publish_tail(live, run, *page);
      }
    }
    cache_.release(live.pages);
    for (size_t i = live.pages.size(); i-- > 0;) use(prefix_of(live.tokens, i + 1), live.use, -1);
  }

  void publish_tail(const Live& live, const Tokens& run, PageId page) {
    write(page, run);
    const std::optional<PageId> parent =
        live.pages.empty() ? std::nullopt : std::optional(live.pages.back());
    const auto [n_full, n_partial] = naive_.match(run);
    const bool known = n_full * kPageTokens + n_partial == run.size();
    std::set<int32_t> before = cached_pages();
    if (!known) replace_tails(run, parent);
    cache_.publish_tail(parent, page_run(run, live.pages.size()), page, live.use);
    ASSERT_EQ(cache_.contains(page), !known);
    if (known) {
      // Which of several pages that hold the run counts as used is the cache's choice; it is the
      // first one that a later match() finds as well.
      const PrefixCache::Match again = cache_.match(run, live.use);
      cache_.release(again.pages);
      for (size_t i = again.pages.size(); i-- > 0;) use(prefix_of(run, i + 1), live.use, 0);
      use(content_[index_of(*again.partial)], live.use, 0);
      cache_.release(*again.partial);
      use(content_[index_of(*again.partial)], live.use, 0);
    } else {
      use(run, live.use, 0);
    }
    cache_.release(page);
    if (!known) use(run, live.use, 0);
  }

  // The naive side of "a tail that the new run contains goes".
  void replace_tails(const Tokens& run, std::optional<PageId>) {
    if (run.size() % kPageTokens == 0 && naive_.entries.contains(run)) return;
    const size_t n_parent = (run.size() - 1) / kPageTokens * kPageTokens;
    std::erase_if(naive_.entries, [&](const auto& entry) {
      return entry.first.size() > n_parent && entry.first.size() < run.size() &&
             NaiveCache::starts_with(run, entry.first) && entry.second.n_users == 0;
    });
  }

  void use(const Tokens& tokens, CacheUse use, int32_t change) {
    NaiveCache::Entry& entry = naive_.entries[tokens];
    entry.n_users += change;
    if (use == CacheUse::kWanted) entry.use = use;
    if (entry.n_users == 0) entry.last_use = ++clock_;
  }

  std::set<int32_t> cached_pages() const {
    std::set<int32_t> pages;
    for (int32_t i = 0; i < kPages; ++i)
      if (cache_.contains(PageId{i})) pages.insert(i);
    return pages;
  }

  void check_same() {
    std::set<Tokens> cached;
    for (int32_t page : cached_pages()) cached.insert(content_[page]);
    std::set<Tokens> expected;
    int32_t n_unused = 0;
    for (const auto& [tokens, entry] : naive_.entries) {
      expected.insert(tokens);
      n_unused += entry.n_users == 0;
    }
    ASSERT_EQ(cached, expected);
    ASSERT_EQ(cache_.n_cached(), static_cast<int32_t>(naive_.entries.size()));
    ASSERT_EQ(cache_.n_evictable(), n_unused);
    ASSERT_EQ(allocator_.n_free(), kPages - cache_.n_cached());
  }

  std::mt19937 random_{GetParam()};
  PageAllocator allocator_{kPages};
  PrefixCache cache_{allocator_};
  NaiveCache naive_;
  std::map<int32_t, Tokens> content_;
  std::vector<Live> live_;
  int64_t clock_ = 0;
};

TEST_P(RandomPrefixCacheTest, BehavesAsTheNaiveCache) {
  SCOPED_TRACE("seed " + std::to_string(GetParam()));
  for (int step = 0; step < 500; ++step) {
    if (live_.size() < 4 && random_() % 2 == 0)
      start();
    else
      end();
    if (HasFatalFailure()) return;
    check_same();
    if (HasFatalFailure()) FAIL() << "at step " << step;
  }
  while (!live_.empty()) end();
  while (cache_.evict_one()) {
  }
  EXPECT_EQ(allocator_.n_free(), kPages) << "every page came back";
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomPrefixCacheTest, ::testing::Range(1u, 9u));

}  // namespace
}  // namespace incipit::engine
