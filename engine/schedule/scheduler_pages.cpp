// Scheduler, the part about pages: what a sequence takes over from the prefix cache, what it gets,
// gives back and shares.
#include <algorithm>
#include <optional>

#include "engine/schedule/scheduler.h"

namespace incipit::engine {

namespace {

std::optional<PageId> last_published(const Sequence& sequence) {
  if (sequence.n_published == 0) return std::nullopt;
  return sequence.pages[static_cast<size_t>(sequence.n_published) - 1];
}

}  // namespace

void Scheduler::match_prefix(Sequence& sequence) {
  if (!caching()) return;
  // The last token is always computed, because its logits are wanted; not so for pre-warming.
  const int32_t n_matchable = sequence.n_tokens() - (sequence.prefill_only() ? 0 : 1);
  PrefixCache::Match match = cache_.match(sequence.run(0, n_matchable), sequence.cache_use());
  sequence.pages.assign(match.pages.begin(), match.pages.end());  // keeps its capacity
  sequence.n_published = static_cast<int32_t>(sequence.pages.size());
  sequence.n_computed = sequence.n_published * kPageTokens;
  if (!match.partial) return;
  if (sequence.n_computed + match.n_partial == sequence.n_tokens()) {  // all there: nothing to do
    sequence.n_computed = sequence.n_tokens();
    cache_.release(*match.partial);
    return;
  }
  // The rest of the page will be written, so it must be a page of its own. Without room for both
  // pages the tokens are computed again instead.
  std::optional<PageId> own;
  if (room_for(pages_for(sequence.n_tokens()) - sequence.n_published)) own = allocate();
  if (!own) {
    cache_.release(*match.partial);
    return;
  }
  plan_.copies.push_back({*match.partial, *own, match.n_partial});
  sequence.pages.push_back(*own);
  sequence.n_computed += match.n_partial;
}

// Whether n_pages more can be promised: what the running sequences still need for the tokens they
// have, and one page each to grow, is not given away.
bool Scheduler::room_for(int32_t n_pages) const {
  int64_t promised = n_pages;
  for (const std::unique_ptr<Sequence>& sequence : running_)
    promised += std::max(0, pages_for(sequence->n_tokens()) -
                                static_cast<int32_t>(sequence->pages.size())) +
                1;
  return promised <= allocator_.n_free() + cache_.n_evictable();
}

// Another sequence may have computed the next pages of the same prompt since the last chunk.
void Scheduler::skip_published(Sequence& sequence) {
  if (!caching()) return;
  const int32_t n_kept_back = sequence.prefill_only() ? 0 : 1;
  while (sequence.n_computed == sequence.n_published * kPageTokens &&
         static_cast<int32_t>(sequence.pages.size()) == sequence.n_published &&
         sequence.n_pending() - n_kept_back >= kPageTokens) {
    const std::optional<PageId> page =
        cache_.match_next(last_published(sequence), sequence.run(sequence.n_computed, kPageTokens),
                          sequence.cache_use());
    if (!page) return;
    sequence.pages.push_back(*page);
    ++sequence.n_published;
    const int32_t n_prompt = std::clamp(sequence.n_prompt - sequence.n_computed, 0, kPageTokens);
    sequence.n_computed += kPageTokens;
    sequence.n_cached += n_prompt;
    tokens_reused_ += n_prompt;
  }
}

// Pages for the next n_rows tokens; returns for how many there are pages.
int32_t Scheduler::grow(Sequence& sequence, int32_t n_rows) {
  const int32_t n_wanted = pages_for(sequence.n_computed + n_rows);
  while (static_cast<int32_t>(sequence.pages.size()) < n_wanted) {
    if (const std::optional<PageId> page = allocate()) {
      sequence.pages.push_back(*page);
      continue;
    }
    Sequence* victim = preemptable_below(sequence, /*lower_priority_only=*/false);
    if (victim == nullptr) break;
    preempt(*victim);
  }
  const int32_t n_slots = static_cast<int32_t>(sequence.pages.size()) * kPageTokens;
  return std::min(n_rows, n_slots - sequence.n_computed);
}

std::optional<PageId> Scheduler::allocate() {
  std::optional<PageId> page = allocator_.allocate();
  while (!page && cache_.evict_one()) page = allocator_.allocate();
  return page;
}

void Scheduler::release_pages(Sequence& sequence, Keep keep) {
  forget_copies_to(sequence);
  const int32_t n_tail = sequence.n_computed - sequence.n_published * kPageTokens;
  const bool has_tail =
      n_tail > 0 &&
      n_tail<kPageTokens&& static_cast<int32_t>(sequence.pages.size())> sequence.n_published;
  if (caching() && keep == Keep::kPages && has_tail)
    cache_.publish_tail(
        last_published(sequence), sequence.run(sequence.n_published * kPageTokens, n_tail),
        sequence.pages[static_cast<size_t>(sequence.n_published)], sequence.cache_use());
  cache_.release(sequence.pages);
  sequence.pages.clear();
  sequence.n_computed = 0;
  sequence.n_published = 0;
}

// A copy that has not been made yet: its page holds nothing.
void Scheduler::forget_copies_to(Sequence& sequence) {
  if (static_cast<int32_t>(sequence.pages.size()) <= sequence.n_published) return;
  const PageId own = sequence.pages[static_cast<size_t>(sequence.n_published)];
  std::erase_if(plan_.copies, [&](const PageCopy& copy) {
    if (copy.to != own) return false;
    cache_.release(copy.from);
    sequence.n_computed = sequence.n_published * kPageTokens;
    return true;
  });
}

void Scheduler::release_copy_sources() {
  for (const PageCopy& copy : plan_.copies) cache_.release(copy.from);
  plan_.copies.clear();
}

void Scheduler::publish_full_pages(Sequence& sequence) {
  while ((sequence.n_published + 1) * kPageTokens <= sequence.n_computed) {
    PageId& page = sequence.pages[static_cast<size_t>(sequence.n_published)];
    page = cache_.publish(last_published(sequence),
                          sequence.run(sequence.n_published * kPageTokens, kPageTokens), page,
                          sequence.cache_use());
    ++sequence.n_published;
  }
}

PageId Scheduler::adopt_page(std::optional<PageId> parent, std::span<const TokenId> tokens,
                             PageId page) {
  if (tokens.size() == static_cast<size_t>(kPageTokens))
    return cache_.publish(parent, tokens, page, CacheUse::kWanted);
  cache_.publish_tail(parent, tokens, page, CacheUse::kWanted);
  return page;
}

}  // namespace incipit::engine
