// KvPool: the storage of all KV pages, of one type, taken once. `Buffer` is the backend's memory
// (zeroed, move only). One block of memory; each layer has all its key pages, then all its value
// pages.
#pragma once

#include <cstddef>
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
  static Result<KvPool> create(const ModelConfig& config, kernels::KvType type, int32_t n_pages) {
    KvPool pool(config, type, n_pages);
    const int64_t size = 2 * int64_t{config.n_layers} * n_pages * pool.page_bytes_;
    ASSIGN_OR_RETURN(pool.buffer_, Buffer::allocate(size));
    return pool;
  }

  kernels::KvLayerView layer(int32_t i) const {
    std::byte* const keys = buffer_.data() + 2 * i * half_layer_bytes();
    return {reinterpret_cast<uint16_t*>(keys),
            reinterpret_cast<uint16_t*>(keys + half_layer_bytes()), type_};
  }
  // Where layer 0 has the keys of a page. Its values, and then keys and values of the other layers,
  // are half_layer_bytes() apart.
  std::byte* first_keys(PageId page) const { return buffer_.data() + index_of(page) * page_bytes_; }

  int32_t n_pages() const { return static_cast<int32_t>(n_pages_); }
  int32_t n_layers() const { return n_layers_; }
  int64_t page_bytes() const { return page_bytes_; }  // of a page and layer: keys, or values
  int64_t half_layer_bytes() const { return n_pages_ * page_bytes_; }
  int64_t size_bytes() const { return buffer_.size_bytes(); }

 private:
  KvPool(const ModelConfig& config, kernels::KvType type, int32_t n_pages)
      : n_layers_(config.n_layers),
        type_(type),
        n_pages_(n_pages),
        page_bytes_(kPageTokens * config.n_kv_heads *
                    kernels::kv_bytes_of_token(type, config.head_dim)) {}

  int32_t n_layers_;
  kernels::KvType type_;
  int64_t n_pages_;
  int64_t page_bytes_;
  Buffer buffer_;
};

}  // namespace incipit::engine
