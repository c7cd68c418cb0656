// The scalar build's half of simd.h: sixteen lanes as four generic 4-lane vectors, with SSE2 (which
// every x86-64 has) where the generic code would be slow. Included by simd.h only.
#pragma once

#include <stdint.h>

#include "kernels/common/half.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace incipit::kernels::KERNELS_ISA {

SIMD_INLINE uint32_t float_bits(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, 4);
  return bits;
}
SIMD_INLINE float bits_float(uint32_t bits) {
  float x;
  __builtin_memcpy(&x, &bits, 4);
  return x;
}

inline constexpr int kVectorRegisters = 16;
inline constexpr int kRegistersPerVector = 4;
inline constexpr int kTileRows = 2;  // 2 x 4 accumulators, 4 operands and a broadcast
inline constexpr int kTileVectors = 1;
inline constexpr bool kHalvesAreSlow = true;  // a dozen operations each

typedef float F32x4 __attribute__((vector_size(16)));
struct F32x16 {
  F32x4 v[4];
};

template <class Lane>
SIMD_INLINE F32x16 lanes(Lane lane) {
  F32x16 r;
  SIMD_UNROLL
  for (int i = 0; i < 16; ++i) r.v[i / 4][i % 4] = lane(i);
  return r;
}
template <class Quad>
SIMD_INLINE F32x16 quads(Quad quad) {
  return {{quad(0), quad(1), quad(2), quad(3)}};
}

// The fused multiply-add without the instruction. The product is exact in double; the sum is
// rounded to odd (its error, from TwoSum, says which way), so rounding it again to float cannot go
// wrong (Boldo & Melquiond 2008).
SIMD_INLINE float fused(float a, float b, float c) {
  const double product = double{a} * b;
  const double sum = product + c;
  const double addend_seen = sum - product;
  const double error = (product - (sum - addend_seen)) + (c - addend_seen);
  int64_t bits;
  __builtin_memcpy(&bits, &sum, sizeof(bits));
  // An infinite or NaN sum has a NaN error.
  if ((error > 0 || error < 0) && (bits & 1) == 0) bits += (error > 0) == (sum > 0) ? 1 : -1;
  double odd;
  __builtin_memcpy(&odd, &bits, sizeof(odd));
  return static_cast<float>(odd);
}

__attribute__((noinline, cold)) static F32x16 fused_by_lane(const F32x16& a, const F32x16& b,
                                                            const F32x16& c) {
  return lanes(
      [&](int i) { return fused(a.v[i / 4][i % 4], b.v[i / 4][i % 4], c.v[i / 4][i % 4]); });
}

#if defined(__SSE2__)
// Rounding the double sum to float is already right unless it lies half way between two floats (29
// low bits 100..0) or is so small that floats there are coarser. Sets such lanes of `doubtful`.
SIMD_INLINE __m128 fused_or_doubtful(__m128 a, __m128 b, __m128 c, __m128& doubtful) {
  const __m128d low = _mm_add_pd(_mm_mul_pd(_mm_cvtps_pd(a), _mm_cvtps_pd(b)), _mm_cvtps_pd(c));
  const __m128d high =
      _mm_add_pd(_mm_mul_pd(_mm_cvtps_pd(_mm_movehl_ps(a, a)), _mm_cvtps_pd(_mm_movehl_ps(b, b))),
                 _mm_cvtps_pd(_mm_movehl_ps(c, c)));
  const __m128 sum = _mm_movelh_ps(_mm_cvtpd_ps(low), _mm_cvtpd_ps(high));
  const __m128i low_words =
      _mm_castps_si128(_mm_shuffle_ps(_mm_castpd_ps(low), _mm_castpd_ps(high), 0x88));
  const __m128i half_way = _mm_cmpeq_epi32(_mm_and_si128(low_words, _mm_set1_epi32(0x1fffffff)),
                                           _mm_set1_epi32(0x10000000));
  const __m128 magnitude = _mm_andnot_ps(_mm_set1_ps(-0.0f), sum);
  const __m128 tiny = _mm_cmplt_ps(magnitude, _mm_set1_ps(0x1p-125f));
  doubtful = _mm_or_ps(doubtful, _mm_or_ps(_mm_castsi128_ps(half_way), tiny));
  return sum;
}
#endif

SIMD_INLINE F32x16 splat(float x) {
  const F32x4 q = {x, x, x, x};
  return {{q, q, q, q}};
}
SIMD_INLINE F32x16 load(const float* p) {
  F32x16 r;
  __builtin_memcpy(&r, p, sizeof(r));
  return r;
}
SIMD_INLINE F32x16 load(const uint16_t* p) {
  return lanes([p](int i) { return half_to_float(p[i]); });
}
SIMD_INLINE void store(float* p, F32x16 a) {
  __builtin_memcpy(p, &a, sizeof(a));
}
SIMD_INLINE void store_half(uint16_t* p, F32x16 a) {
  for (int i = 0; i < 16; ++i) p[i] = float_to_half(a.v[i / 4][i % 4]);
}
SIMD_INLINE F32x16 add(F32x16 a, F32x16 b) {
  return quads([&](int i) { return a.v[i] + b.v[i]; });
}
SIMD_INLINE F32x16 sub(F32x16 a, F32x16 b) {
  return quads([&](int i) { return a.v[i] - b.v[i]; });
}
SIMD_INLINE F32x16 mul(F32x16 a, F32x16 b) {
  return quads([&](int i) { return a.v[i] * b.v[i]; });
}
SIMD_INLINE F32x16 div(F32x16 a, F32x16 b) {
  return quads([&](int i) { return a.v[i] / b.v[i]; });
}
SIMD_INLINE F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
#if defined(__SSE2__)
  __m128 doubtful = _mm_setzero_ps();
  const F32x16 sum =
      quads([&](int i) { return fused_or_doubtful(a.v[i], b.v[i], c.v[i], doubtful); });
  if (__builtin_expect(_mm_movemask_ps(doubtful) != 0, 0)) return fused_by_lane(a, b, c);
  return sum;
#else
  return fused_by_lane(a, b, c);
#endif
}
SIMD_INLINE F32x16 min(F32x16 a, F32x16 b) {
  return quads([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
SIMD_INLINE F32x16 max(F32x16 a, F32x16 b) {
  return quads([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
SIMD_INLINE F32x16 first_lanes(int n, F32x16 a, F32x16 b) {
  return lanes([&](int i) { return i < n ? a.v[i / 4][i % 4] : b.v[i / 4][i % 4]; });
}
SIMD_INLINE uint32_t greater_mask(F32x16 a, F32x16 b) {
  uint32_t mask = 0;
  for (int i = 0; i < 16; ++i) {
    mask |= static_cast<uint32_t>(a.v[i / 4][i % 4] > b.v[i / 4][i % 4]) << i;
  }
  return mask;
}
SIMD_INLINE F32x16 scale_by_power(F32x16 p, F32x16 t, F32x16 x, float low) {
  return lanes([&](int i) {
    const uint32_t shifted = float_bits(t.v[i / 4][i % 4]) << 23;
    const float y = bits_float(float_bits(p.v[i / 4][i % 4]) + shifted);
    return x.v[i / 4][i % 4] >= low ? y : 0.0f;
  });
}

}  // namespace incipit::kernels::KERNELS_ISA
