// The one description of INT8 keys and values in pages: value = q * scale, q in -127..127, one
// scale for the keys of a token and KV head and one for its values, so that a token's bytes follow
// from the token alone. The block of a KV head in a page of keys, or of values:
//
//   | 16 tokens x head_dim bytes q + 128 | 16 floats, one a token |      pages: [n_pages,
//   n_kv_heads]
//
// Inside 16 dimensions the bytes are ordered as the tensor cores take them (mma.m16n8k16: a lane
// has dimensions 2 c, 2 c + 1, 2 c + 8 and 2 c + 9 of a key, one token's dimension g and 8 + g of
// values), so that four keys of a fragment are one 32-bit word and nothing has to be moved:
//
//   keys:    0 1 8 9  2 3 10 11  4 5 12 13  6 7 14 15
//   values:  0 8 1 9  2 10 3 11  4 12 5 13  6 14 7 15
//
// The float of a token is the scale of its keys, but of its values the base-2 logarithm of the
// scale: attention adds it to the score (kernels/cuda/attention_int8.cuh says why). A scale is
// max(absmax, 2^-24) / 127, of values that fp16 holds: its logarithm is in -31..9.02.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/common/host_device.h"
#include "kernels/common/kv_type.h"
#include "kernels/step_params.h"

namespace incipit::kernels {

struct KvInt8Layout {
  static constexpr int32_t kBias = 128;
  static constexpr float kLargest = 127.0f;                // |q|
  static constexpr float kLeastAbsmax = 0x1p-24f;          // the smallest fp16: a scale is never 0
  static constexpr int32_t kScaleBytes = 4 * kPageTokens;  // of a block

  // Of a KV head in a page.
  HOST_DEVICE static constexpr int64_t head_bytes(int32_t head_dim) {
    return int64_t{kPageTokens} * head_dim + kScaleBytes;
  }
  // In a block: the byte of dimension d of a key, of a value, and the float of a token.
  HOST_DEVICE static constexpr int64_t key_byte(int32_t head_dim, int32_t token, int32_t d) {
    return int64_t{token} * head_dim + d / 16 * 16 + d % 8 / 2 * 4 + d % 16 / 8 * 2 + d % 2;
  }
  HOST_DEVICE static constexpr int64_t value_byte(int32_t head_dim, int32_t token, int32_t d) {
    return int64_t{token} * head_dim + d / 16 * 16 + d % 8 * 2 + d % 16 / 8;
  }
  HOST_DEVICE static constexpr int64_t scale_byte(int32_t head_dim, int32_t token) {
    return int64_t{kPageTokens} * head_dim + token * 4;
  }
};

static_assert(KvInt8Layout::head_bytes(128) == kPageTokens * kv_bytes_of_token(KvType::kInt8, 128));
static_assert(KvInt8Layout::head_bytes(64) % 64 == 0);
static_assert(KvInt8Layout::key_byte(128, 1, 16 + 9) == 128 + 16 + 3);
static_assert(KvInt8Layout::value_byte(128, 0, 10) == 5);

}  // namespace incipit::kernels
