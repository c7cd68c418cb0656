#include "engine/kv/page_allocator.h"

#include "kernels/common/check.h"

namespace incipit::engine {

PageAllocator::PageAllocator(int32_t n_pages) {
  CHECK_GE(n_pages, 0);
  ref_counts_.assign(static_cast<size_t>(n_pages), 0);
  free_.reserve(static_cast<size_t>(n_pages));
  for (int32_t i = n_pages - 1; i >= 0; --i) free_.push_back(PageId{i});
}

std::optional<PageId> PageAllocator::allocate() {
  if (free_.empty()) return std::nullopt;
  const PageId page = free_.back();
  free_.pop_back();
  ref_counts_[static_cast<size_t>(index_of(page))] = 1;
  return page;
}

void PageAllocator::retain(PageId page) {
  CHECK_GE(ref_count(page), 1);
  ++ref_counts_[static_cast<size_t>(index_of(page))];
}

int32_t PageAllocator::release(PageId page) {
  CHECK_GE(ref_count(page), 1);
  const int32_t left = --ref_counts_[static_cast<size_t>(index_of(page))];
  if (left == 0) free_.push_back(page);
  return left;
}

}  // namespace incipit::engine
