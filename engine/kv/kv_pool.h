// KvPool: the storage of all KV pages, taken once. `Buffer` is the backend's memory (zeroed, move
// only). One block of memory; each layer has all its key pages, then all its value pages.
#pragma once

#include <cstdint>
#include <utility>

#include "engine/base/ids.h"
#include "engine/base/result.h"
#include "engine/config/model_config.h"
#include "engine/kv/page_table.h"
#include "kernels/step_params.h"

namespace incipit::engine {

template <class Buffer>
class KvPool {
 public:
  static Result<KvPool> create(const ModelConfig& config, int32_t n_pages) {
    KvPool pool(config, n_pages);
    const int64_t size = 2 * int64_t{config.n_layers} * n_pages * pool.page_values_ * 2;
    ASSIGN_OR_RETURN(pool.buffer_, Buffer::allocate(size));
    return pool;
  }

  kernels::KvLayerView layer(int32_t i) const {
    auto* values = reinterpret_cast<uint16_t*>(buffer_.data());
    const int64_t half_layer = n_pages_ * page_values_;
    return {values + 2 * i * half_layer, values + (2 * i + 1) * half_layer};
  }

  int32_t n_pages() const { return static_cast<int32_t>(n_pages_); }
  int32_t n_layers() const { return n_layers_; }
  int64_t page_values() const { return page_values_; }  // fp16 values of a page: keys, or values
  int64_t size_bytes() const { return buffer_.size_bytes(); }

 private:
  KvPool(const ModelConfig& config, int32_t n_pages)
      : n_layers_(config.n_layers),
        n_pages_(n_pages),
        page_values_(int64_t{config.n_kv_heads} * config.head_dim * kPageTokens) {}

  int32_t n_layers_;
  int64_t n_pages_;
  int64_t page_values_;
  Buffer buffer_;
};

}  // namespace incipit::engine
