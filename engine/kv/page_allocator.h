// PageAllocator: the only place where a KV page becomes free or taken. A page has a reference
// count; it returns to the free list when the count reaches zero. A fixed number of pages, nothing
// is allocated after construction. Used by the engine thread alone (PrefixCache and Scheduler).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/base/ids.h"

namespace incipit::engine {

class PageAllocator {
 public:
  explicit PageAllocator(int32_t n_pages);

  std::optional<PageId> allocate();  // with one reference; nothing when no page is free
  void retain(PageId page);          // of a page that is in use
  int32_t release(PageId page);      // the references left; at 0 the page is free

  int32_t ref_count(PageId page) const { return ref_counts_[static_cast<size_t>(index_of(page))]; }
  int32_t n_pages() const { return static_cast<int32_t>(ref_counts_.size()); }
  int32_t n_free() const { return static_cast<int32_t>(free_.size()); }

 private:
  std::vector<int32_t> ref_counts_;  // [n_pages]
  std::vector<PageId> free_;         // a stack: the page freed last is the one still in cache
};

}  // namespace incipit::engine
