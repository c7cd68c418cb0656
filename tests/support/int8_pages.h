// The keys and values of a PagedBatch rounded to INT8, as pages of kernels/quant/kv_int8_layout.h.
// What no row may see is as large as such pages can say.
#pragma once

#include <cstring>
#include <vector>

#include "kernels/quant/kv_int8_codec.h"
#include "tests/support/paged_batch.h"

namespace incipit::kernels {

struct Int8Pages {
  HeadShape heads;
  std::vector<std::byte> keys, values;  // [n_pages, n_kv_heads] blocks

  explicit Int8Pages(const PagedBatch& batch)
      : heads(batch.heads), keys(size_of(batch)), values(size_of(batch)) {
    std::vector<float> k(static_cast<size_t>(heads.head_dim));
    std::vector<float> v(k.size());
    for (int32_t page = 0; page < batch.n_pages; ++page) {
      for (int32_t head = 0; head < heads.n_kv_heads; ++head) {
        const int64_t first = page * batch.page_size() + head * batch.head_size();
        for (int32_t token = 0; token < kPageTokens; ++token) {
          for (int32_t d = 0; d < heads.head_dim; ++d) {
            const auto at = static_cast<size_t>(d);
            k[at] =
                half_to_float(batch.k_pages[static_cast<size_t>(first + d * kPageTokens + token)]);
            v[at] = half_to_float(
                batch.v_pages[static_cast<size_t>(first + token * heads.head_dim + d)]);
          }
          quantize_token(block(KvPart::kKeys, page, head), token, k);
          quantize_token(block(KvPart::kValues, page, head), token, v);
        }
      }
    }
  }

  KvInt8Block block(KvPart part, int32_t page, int32_t head) {
    std::vector<std::byte>& pages = part == KvPart::kKeys ? keys : values;
    return {part, heads.head_dim,
            pages.data() + (int64_t{page} * heads.n_kv_heads + head) *
                               KvInt8Layout::head_bytes(heads.head_dim)};
  }

 private:
  static size_t size_of(const PagedBatch& batch) {
    return static_cast<size_t>(int64_t{batch.n_pages} * batch.heads.n_kv_heads *
                               KvInt8Layout::head_bytes(batch.heads.head_dim));
  }
};

// Bytes as the 16-bit words that a KvLayerView points to.
inline std::vector<uint16_t> as_words(const std::vector<std::byte>& bytes) {
  std::vector<uint16_t> words(bytes.size() / sizeof(uint16_t));
  std::memcpy(words.data(), bytes.data(), bytes.size());
  return words;
}
inline std::vector<std::byte> as_bytes(const std::vector<uint16_t>& words) {
  std::vector<std::byte> bytes(words.size() * sizeof(uint16_t));
  std::memcpy(bytes.data(), words.data(), bytes.size());
  return bytes;
}

}  // namespace incipit::kernels
