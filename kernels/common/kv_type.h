// How the pages of a model hold keys and values: one type for all of its pages.
#pragma once

#include <cstdint>

namespace incipit::kernels {

enum class KvType {
  kF16,
  kInt8,  // with a scale a token and head: kernels/quant/kv_int8_layout.h; on CUDA alone
};

// Bytes of the keys, or of the values, of one token and KV head, scale included.
constexpr int64_t kv_bytes_of_token(KvType type, int32_t head_dim) {
  return type == KvType::kInt8 ? int64_t{head_dim} + 4 : int64_t{head_dim} * 2;
}

}  // namespace incipit::kernels
