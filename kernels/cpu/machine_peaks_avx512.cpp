// Peak loops with AVX-512 VNNI. Twelve chains: more than latency (5) times issue width (2).
#include <immintrin.h>

#include "kernels/cpu/machine_peaks_kernels.h"

namespace incipit::kernels::avx512 {

namespace {

constexpr int kChains = 12;

uint64_t read(const void* data, int64_t size_bytes) {
  const auto* at = static_cast<const char*>(data);
  __m512i sum[4] = {};
  for (int64_t i = 0; i < size_bytes; i += 256) {
    for (int k = 0; k < 4; ++k) {
      _mm_prefetch(at + i + 4096 + k * 64, _MM_HINT_T0);
      sum[k] = _mm512_xor_si512(sum[k], _mm512_load_si512(at + i + k * 64));
    }
  }
  sum[0] = _mm512_xor_si512(_mm512_xor_si512(sum[0], sum[1]), _mm512_xor_si512(sum[2], sum[3]));
  return static_cast<uint64_t>(_mm512_reduce_or_epi64(sum[0]));
}

void int8_loop(int64_t iterations) {
  __m512i acc[kChains];
  for (__m512i& a : acc) a = _mm512_setzero_si512();
  __m512i w = _mm512_set1_epi8(3);
  __m512i x = _mm512_set1_epi8(1);
  asm volatile("" : "+v"(w), "+v"(x));
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
    for (__m512i& a : acc) a = _mm512_dpbusd_epi32(a, w, x);
  }
  for (__m512i& a : acc) asm volatile("" : "+v"(a));
}

void fma_loop(int64_t iterations) {
  __m512 acc[kChains];
  for (__m512& a : acc) a = _mm512_setzero_ps();
  __m512 w = _mm512_set1_ps(0.5f);
  __m512 x = _mm512_set1_ps(1.0f);
  asm volatile("" : "+v"(w), "+v"(x));
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
    for (__m512& a : acc) a = _mm512_fmadd_ps(a, w, x);
  }
  for (__m512& a : acc) asm volatile("" : "+v"(a));
}

}  // namespace

const PeakKernels kPeakKernels = {read, int8_loop, kChains * 64 * 2, fma_loop, kChains * 16 * 2};

}  // namespace incipit::kernels::avx512
