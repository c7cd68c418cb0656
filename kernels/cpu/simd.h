// Sixteen float lanes as one value, the same on every instruction set: one zmm register (AVX-512),
// two ymm (AVX2+FMA+F16C) or four generic 4-lane vectors (scalar build). Included only by the
// sources that are compiled once per ISA; everything lives in that ISA's namespace and is inlined,
// so that no AVX code can reach the baseline program through a shared inline function.
//
// A kernel written over F32x16 performs the same operations on the same lanes in the same order on
// every ISA and is therefore bit-identical on all of them. The price is paid by the scalar build,
// which makes a fused multiply-add of a dozen SSE2 instructions. (-ffp-contract=off: mul and add
// stay two roundings unless fma() says otherwise.)
#pragma once

#include <stdint.h>

#if !defined(KERNELS_ISA_SCALAR)
#include <immintrin.h>
#endif

#define SIMD_INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define SIMD_UNROLL _Pragma("unroll")
#else
#define SIMD_UNROLL _Pragma("GCC unroll 16")
#endif

#if defined(KERNELS_ISA_SCALAR)
#include "kernels/cpu/simd_scalar.h"
#endif

namespace incipit::kernels::KERNELS_ISA {

#if defined(KERNELS_ISA_AVX512)

inline constexpr int kVectorRegisters = 32;
inline constexpr int kRegistersPerVector = 1;
// Product tiles: 12 x 2 accumulators, 2 operands and a broadcast. (6 x 4 converts twice as many
// fp16 vectors a multiply-add: 4 to 6 % slower, attention_bench prefill.)
inline constexpr int kTileRows = 12;
inline constexpr int kTileVectors = 2;
inline constexpr bool kHalvesAreSlow = false;  // fp16 is read by an instruction

struct F32x16 {
  __m512 v;
};
SIMD_INLINE F32x16 splat(float x) {
  return {_mm512_set1_ps(x)};
}
SIMD_INLINE F32x16 load(const float* p) {
  return {_mm512_loadu_ps(p)};
}
SIMD_INLINE F32x16 load(const uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
SIMD_INLINE void store(float* p, F32x16 a) {
  _mm512_storeu_ps(p, a.v);
}
SIMD_INLINE void store_half(uint16_t* p, F32x16 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT));
}
SIMD_INLINE F32x16 add(F32x16 a, F32x16 b) {
  return {_mm512_add_ps(a.v, b.v)};
}
SIMD_INLINE F32x16 sub(F32x16 a, F32x16 b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
SIMD_INLINE F32x16 mul(F32x16 a, F32x16 b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
SIMD_INLINE F32x16 div(F32x16 a, F32x16 b) {
  return {_mm512_div_ps(a.v, b.v)};
}
SIMD_INLINE F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
// Like the instruction: the second operand where either is NaN.
SIMD_INLINE F32x16 min(F32x16 a, F32x16 b) {
  return {_mm512_min_ps(a.v, b.v)};
}
SIMD_INLINE F32x16 max(F32x16 a, F32x16 b) {
  return {_mm512_max_ps(a.v, b.v)};
}
// Lanes 0 .. n-1 of `a`, the others of `b`; n may lie outside 0 .. 16.
SIMD_INLINE F32x16 first_lanes(int n, F32x16 a, F32x16 b) {
  const __mmask16 mask = static_cast<__mmask16>(n >= 16 ? 0xffffu : n <= 0 ? 0u : (1u << n) - 1);
  return {_mm512_mask_mov_ps(b.v, mask, a.v)};
}
// Bit i is set where a[i] > b[i].
SIMD_INLINE uint32_t greater_mask(F32x16 a, F32x16 b) {
  return _mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ);
}
// p * 2^n for the integer n in the low bits of t (exp2 below), 0 where x < low.
SIMD_INLINE F32x16 scale_by_power(F32x16 p, F32x16 t, F32x16 x, float low) {
  const __m512i shifted = _mm512_slli_epi32(_mm512_castps_si512(t.v), 23);
  const __m512 y = _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p.v), shifted));
  return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x.v, _mm512_set1_ps(low), _CMP_GE_OQ), y)};
}

#elif defined(KERNELS_ISA_AVX2)

inline constexpr int kVectorRegisters = 16;
inline constexpr int kRegistersPerVector = 2;
inline constexpr int kTileRows = 6;  // 6 x 1 pairs of accumulators, a pair and a broadcast
inline constexpr int kTileVectors = 1;
inline constexpr bool kHalvesAreSlow = false;

struct F32x16 {
  __m256 lo, hi;
};
SIMD_INLINE F32x16 splat(float x) {
  return {_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
SIMD_INLINE F32x16 load(const float* p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
SIMD_INLINE F32x16 load(const uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
SIMD_INLINE void store(float* p, F32x16 a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
SIMD_INLINE void store_half(uint16_t* p, F32x16 a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(a.lo, _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8),
                   _mm256_cvtps_ph(a.hi, _MM_FROUND_TO_NEAREST_INT));
}
SIMD_INLINE F32x16 add(F32x16 a, F32x16 b) {
  return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
SIMD_INLINE F32x16 sub(F32x16 a, F32x16 b) {
  return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
SIMD_INLINE F32x16 mul(F32x16 a, F32x16 b) {
  return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
SIMD_INLINE F32x16 div(F32x16 a, F32x16 b) {
  return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
SIMD_INLINE F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
SIMD_INLINE F32x16 min(F32x16 a, F32x16 b) {
  return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)};
}
SIMD_INLINE F32x16 max(F32x16 a, F32x16 b) {
  return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}
SIMD_INLINE F32x16 first_lanes(int n, F32x16 a, F32x16 b) {
  const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i lo = _mm256_cmpgt_epi32(_mm256_set1_epi32(n), index);
  const __m256i hi = _mm256_cmpgt_epi32(_mm256_set1_epi32(n - 8), index);
  return {_mm256_blendv_ps(b.lo, a.lo, _mm256_castsi256_ps(lo)),
          _mm256_blendv_ps(b.hi, a.hi, _mm256_castsi256_ps(hi))};
}
SIMD_INLINE uint32_t greater_mask(F32x16 a, F32x16 b) {
  const int lo = _mm256_movemask_ps(_mm256_cmp_ps(a.lo, b.lo, _CMP_GT_OQ));
  const int hi = _mm256_movemask_ps(_mm256_cmp_ps(a.hi, b.hi, _CMP_GT_OQ));
  return static_cast<uint32_t>(lo) | static_cast<uint32_t>(hi) << 8;
}
SIMD_INLINE __m256 scale_by_power_half(__m256 p, __m256 t, __m256 x, float low) {
  const __m256i shifted = _mm256_slli_epi32(_mm256_castps_si256(t), 23);
  const __m256 y = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), shifted));
  return _mm256_and_ps(y, _mm256_cmp_ps(x, _mm256_set1_ps(low), _CMP_GE_OQ));
}
SIMD_INLINE F32x16 scale_by_power(F32x16 p, F32x16 t, F32x16 x, float low) {
  return {scale_by_power_half(p.lo, t.lo, x.lo, low), scale_by_power_half(p.hi, t.hi, x.hi, low)};
}

#endif

// Reductions over the sixteen lanes as a fixed tree: 16 -> 8 -> 4 -> 2 -> 1, halves on halves.
#if defined(KERNELS_ISA_SCALAR)
template <class Combine>
SIMD_INLINE float reduce(F32x16 a, Combine combine) {
  float lane[16];
  store(lane, a);
  for (int width = 8; width >= 1; width /= 2) {
    for (int i = 0; i < width; ++i) lane[i] = combine(lane[i], lane[i + width]);
  }
  return lane[0];
}
SIMD_INLINE float reduce_add(F32x16 a) {
  return reduce(a, [](float x, float y) { return x + y; });
}
SIMD_INLINE float reduce_max(F32x16 a) {
  return reduce(a, [](float x, float y) { return x > y ? x : y; });
}
#else
#if defined(KERNELS_ISA_AVX512)
SIMD_INLINE __m256 low_half(F32x16 a) {
  return _mm512_castps512_ps256(a.v);
}
SIMD_INLINE __m256 high_half(F32x16 a) {
  return _mm512_extractf32x8_ps(a.v, 1);
}
#else
SIMD_INLINE __m256 low_half(F32x16 a) {
  return a.lo;
}
SIMD_INLINE __m256 high_half(F32x16 a) {
  return a.hi;
}
#endif
SIMD_INLINE float reduce_add(F32x16 a) {
  const __m256 s8 = _mm256_add_ps(low_half(a), high_half(a));
  const __m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
  const __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
  return _mm_cvtss_f32(_mm_add_ss(s2, _mm_movehdup_ps(s2)));
}
SIMD_INLINE float reduce_max(F32x16 a) {
  const __m256 s8 = _mm256_max_ps(low_half(a), high_half(a));
  const __m128 s4 = _mm_max_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
  const __m128 s2 = _mm_max_ps(s4, _mm_movehl_ps(s4, s4));
  return _mm_cvtss_f32(_mm_max_ss(s2, _mm_movehdup_ps(s2)));
}
#endif

}  // namespace incipit::kernels::KERNELS_ISA
