// A thread's 8 consecutive values of a row: 16 bytes of fp16, two times 16 of float.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

namespace incipit::kernels::cuda {

inline constexpr int kVector = 8;
inline constexpr float kLargestHalf = 65504.0f;

// fminf and fmaxf return the number when the other is NaN: the result is always finite.
__device__ __forceinline__ float limited(float value) {
  return fmaxf(fminf(value, kLargestHalf), -kLargestHalf);
}

__device__ __forceinline__ void load_floats(const float* from, float (&to)[kVector]) {
  const float4 low = reinterpret_cast<const float4*>(from)[0];
  const float4 high = reinterpret_cast<const float4*>(from)[1];
  to[0] = low.x, to[1] = low.y, to[2] = low.z, to[3] = low.w;
  to[4] = high.x, to[5] = high.y, to[6] = high.z, to[7] = high.w;
}

__device__ __forceinline__ void store_floats(const float (&from)[kVector], float* to) {
  reinterpret_cast<float4*>(to)[0] = make_float4(from[0], from[1], from[2], from[3]);
  reinterpret_cast<float4*>(to)[1] = make_float4(from[4], from[5], from[6], from[7]);
}

__device__ __forceinline__ void load_halves(const uint16_t* from, float (&to)[kVector]) {
  const uint4 words = *reinterpret_cast<const uint4*>(from);
  const uint32_t pairs[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    half2 pair;
    memcpy(&pair, &pairs[i], sizeof(pair));
    const float2 values = __half22float2(pair);
    to[2 * i] = values.x;
    to[2 * i + 1] = values.y;
  }
}

__device__ __forceinline__ void store_halves(const float (&from)[kVector], uint16_t* to) {
  uint32_t pairs[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const half2 pair = __floats2half2_rn(limited(from[2 * i]), limited(from[2 * i + 1]));
    memcpy(&pairs[i], &pair, sizeof(pair));
  }
  *reinterpret_cast<uint4*>(to) = make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]);
}

}  // namespace incipit::kernels::cuda
