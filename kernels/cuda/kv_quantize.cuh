// Puts the keys or values of a token and KV head into an INT8 page
// (kernels/quant/kv_int8_layout.h): by head_dim / 16 neighbouring lanes, lane p of which has
// dimensions 8 p .. 8 p + 7 and those half a head further. The largest of all is found by shuffles;
// two lanes together have the 16 dimensions whose bytes the layout mixes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/row_values.cuh"
#include "kernels/quant/kv_int8_layout.h"

namespace incipit::kernels::cuda {

// Lanes of this thread's head; n_parts is a power of two.
__device__ __forceinline__ uint32_t lanes_of_head(int n_parts) {
  const int lane = static_cast<int>(threadIdx.x) & 31;
  return ((1u << n_parts) - 1) << (lane & ~(n_parts - 1));
}

// Four bytes q + 128.
__device__ __forceinline__ uint32_t quantized_four(const float* values, float inverse) {
  uint32_t bytes = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int q = __float2int_rn(__fmul_rn(values[i], inverse));  // of a NaN: 0
    bytes |= static_cast<uint32_t>(q + KvInt8Layout::kBias) << (8 * i);
  }
  return bytes;
}

// 8 values of a lane and those of its neighbour become 16 bytes, of which each lane stores 8: `to`
// is where the layout has the first of them.
__device__ __forceinline__ void store_quantized(const float (&values)[kVector], float inverse,
                                                bool is_v, bool is_upper, uint32_t lanes,
                                                std::byte* to) {
  const uint32_t first = quantized_four(values, inverse);
  const uint32_t second = quantized_four(values + 4, inverse);
  const uint32_t other = __shfl_xor_sync(lanes, is_upper ? first : second, 1);
  // Dimensions 0 .. 3 and 8 .. 11 of the 16, or (upper lane) 4 .. 7 and 12 .. 15.
  const uint32_t low = is_upper ? other : first;
  const uint32_t high = is_upper ? second : other;
  *reinterpret_cast<uint2*>(to) =
      is_v ? make_uint2(__byte_perm(low, high, 0x5140), __byte_perm(low, high, 0x7362))
           : make_uint2(__byte_perm(low, high, 0x5410), __byte_perm(low, high, 0x7632));
}

// `block`: of the KV head in its page; `part`: p above. The lanes of a head come here together.
__device__ __forceinline__ void quantize_token(const float (&a)[kVector], const float (&b)[kVector],
                                               bool is_v, int head_dim, int part, int token,
                                               std::byte* block) {
  const int n_parts = head_dim / (2 * kVector);
  const uint32_t lanes = lanes_of_head(n_parts);
  float absmax = KvInt8Layout::kLeastAbsmax;
#pragma unroll
  for (int i = 0; i < kVector; ++i) absmax = fmaxf(absmax, fmaxf(fabsf(a[i]), fabsf(b[i])));
  for (int step = n_parts / 2; step > 0; step /= 2) {
    absmax = fmaxf(absmax, __shfl_xor_sync(lanes, absmax, step));
  }
  const float inverse = __fdiv_rn(KvInt8Layout::kLargest, absmax);
  std::byte* const to = block + token * head_dim + part * kVector;
  store_quantized(a, inverse, is_v, part % 2 != 0, lanes, to);
  store_quantized(b, inverse, is_v, part % 2 != 0, lanes, to + head_dim / 2);
  if (part == 0) {
    const float scale = __fdiv_rn(absmax, KvInt8Layout::kLargest);
    *reinterpret_cast<float*>(block + KvInt8Layout::scale_byte(head_dim, token)) =
        is_v ? log2f(scale) : scale;
  }
}

}  // namespace incipit::kernels::cuda
