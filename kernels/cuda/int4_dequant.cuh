// INT4 to fp16 in registers, without a conversion instruction (the trick of FasterTransformer and
// Marlin): the bits 0x6400 | q are the fp16 number 1024 + q, since the unit of the last place of
// 1024 is 1; with q four bits higher, 1024 + 16 q. One lop3 makes two of them; a subtraction, or a
// fused multiply-add by 1/16, takes the offset and the zero point away. Every result is exact.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

namespace incipit::kernels::cuda {

// (word & mask) | 0x6400 in both halves.
template <uint32_t kMask>
__device__ __forceinline__ uint32_t magic_halves(uint32_t word) {
  uint32_t result;
  asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(result) : "r"(word), "n"(kMask), "n"(0x64006400u));
  return result;
}

__device__ __forceinline__ half2 as_half2(uint32_t bits) {
  half2 h;
  __builtin_memcpy(&h, &bits, sizeof(h));
  return h;
}
__device__ __forceinline__ uint32_t as_bits(half2 h) {
  uint32_t bits;
  __builtin_memcpy(&bits, &h, sizeof(bits));
  return bits;
}

// What takes offset and zero point away for the two rows of a lane: -(1024 + z) for row g,
// -(64 + z) for row g + 8, which comes as 64 + q after the division by 16.
struct ZeroPoints {
  half2 low;
  half2 high;
};
__device__ __forceinline__ ZeroPoints zero_points(int zero_g, int zero_g8) {
  return {__half2half2(__int2half_rn(-1024 - zero_g)), __half2half2(__int2half_rn(-64 - zero_g8))};
}
__device__ __forceinline__ ZeroPoints symmetric_zero_points() {
  return {as_half2(0xe408e408u), as_half2(0xd480d480u)};  // -1032, -72
}

// The A fragment of one step of 16 inputs out of one word of CudaTile.
__device__ __forceinline__ void dequantize_word(uint32_t word, const ZeroPoints& zeros,
                                                uint32_t (&a)[4]) {
  const half2 sixteenth = as_half2(0x2c002c00u);  // 1/16
  const uint32_t upper = word >> 8;
  a[0] = as_bits(__hadd2(as_half2(magic_halves<0x000f000fu>(word)), zeros.low));
  a[1] = as_bits(__hfma2(as_half2(magic_halves<0x00f000f0u>(word)), sixteenth, zeros.high));
  a[2] = as_bits(__hadd2(as_half2(magic_halves<0x000f000fu>(upper)), zeros.low));
  a[3] = as_bits(__hfma2(as_half2(magic_halves<0x00f000f0u>(upper)), sixteenth, zeros.high));
}

}  // namespace incipit::kernels::cuda
