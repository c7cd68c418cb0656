// Strong small ids. A TokenId is a model token, a PageId a KV page of the pool, a SequenceId one
// generation in the engine.
#pragma once

#include <cstdint>

namespace incipit::engine {

using TokenId = int32_t;  // kept an integer: kernels, tokenizers and sampling index tables by it
enum class PageId : int32_t {};
enum class SequenceId : int64_t {};

constexpr int32_t index_of(PageId page) {
  return static_cast<int32_t>(page);
}

}  // namespace incipit::engine
