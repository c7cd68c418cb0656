// EvictionQueue: which cached page goes first. An indexed binary heap over page indices: smallest
// (keep class, last use) on top; push, erase and pop are O(log n) and allocate nothing. Used by
// PrefixCache alone.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/common/check.h"

namespace incipit::engine {

class EvictionQueue {
 public:
  struct Key {
    int32_t keep_class = 0;  // lower goes first
    int64_t last_use = 0;    // earlier goes first
    auto operator<=>(const Key&) const = default;
  };

  explicit EvictionQueue(int32_t n_pages)
      : keys_(static_cast<size_t>(n_pages)), slot_of_(static_cast<size_t>(n_pages), kAbsent) {
    heap_.reserve(static_cast<size_t>(n_pages));
  }

  bool empty() const { return heap_.empty(); }
  bool contains(int32_t page) const { return slot_of_[static_cast<size_t>(page)] != kAbsent; }
  int32_t top() const { return heap_.front(); }

  void push(int32_t page, Key key) {
    DCHECK(!contains(page));
    keys_[static_cast<size_t>(page)] = key;
    heap_.push_back(page);
    slot_of_[static_cast<size_t>(page)] = static_cast<int32_t>(heap_.size()) - 1;
    sift_up(heap_.size() - 1);
  }

  void erase(int32_t page) {
    DCHECK(contains(page));
    const auto slot = static_cast<size_t>(slot_of_[static_cast<size_t>(page)]);
    swap_slots(slot, heap_.size() - 1);
    heap_.pop_back();
    slot_of_[static_cast<size_t>(page)] = kAbsent;
    if (slot == heap_.size()) return;
    sift_up(slot);
    sift_down(slot);
  }

 private:
  static constexpr int32_t kAbsent = -1;

  bool before(size_t a, size_t b) const {
    return keys_[static_cast<size_t>(heap_[a])] < keys_[static_cast<size_t>(heap_[b])];
  }
  void swap_slots(size_t a, size_t b) {
    std::swap(heap_[a], heap_[b]);
    slot_of_[static_cast<size_t>(heap_[a])] = static_cast<int32_t>(a);
    slot_of_[static_cast<size_t>(heap_[b])] = static_cast<int32_t>(b);
  }
  void sift_up(size_t slot) {
    for (; slot > 0 && before(slot, (slot - 1) / 2); slot = (slot - 1) / 2)
      swap_slots(slot, (slot - 1) / 2);
  }
  void sift_down(size_t slot) {
    for (;;) {
      size_t first = slot;
      for (size_t child : {2 * slot + 1, 2 * slot + 2})
        if (child < heap_.size() && before(child, first)) first = child;
      if (first == slot) return;
      swap_slots(slot, first);
      slot = first;
    }
  }

  std::vector<Key> keys_;         // [n_pages]
  std::vector<int32_t> slot_of_;  // [n_pages], position in heap_ or kAbsent
  std::vector<int32_t> heap_;
};

}  // namespace incipit::engine
