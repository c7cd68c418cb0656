// Peak loops with AVX2. Twelve chains: more than latency (5) times issue width (2).
#include <immintrin.h>

#include "kernels/cpu/machine_peaks_kernels.h"

namespace incipit::kernels::avx2 {

namespace {

constexpr int kChains = 12;

uint64_t read(const void* data, int64_t size_bytes) {
  const auto* at = static_cast<const char*>(data);
  __m256i sum[4] = {};
  for (int64_t i = 0; i < size_bytes; i += 256) {
    for (int k = 0; k < 4; ++k) {
      const auto* line = reinterpret_cast<const __m256i*>(at + i + k * 64);
      _mm_prefetch(at + i + 4096 + k * 64, _MM_HINT_T0);
      sum[k] = _mm256_xor_si256(sum[k], _mm256_load_si256(line));
      sum[k] = _mm256_xor_si256(sum[k], _mm256_load_si256(line + 1));
    }
  }
  sum[0] = _mm256_xor_si256(_mm256_xor_si256(sum[0], sum[1]), _mm256_xor_si256(sum[2], sum[3]));
  return static_cast<uint64_t>(_mm256_extract_epi64(sum[0], 0) | _mm256_extract_epi64(sum[0], 1) |
                               _mm256_extract_epi64(sum[0], 2) | _mm256_extract_epi64(sum[0], 3));
}

void int8_loop(int64_t iterations) {
  __m256i acc[kChains];
  for (__m256i& a : acc) a = _mm256_setzero_si256();
  __m256i w = _mm256_set1_epi8(3);
  __m256i x = _mm256_set1_epi8(1);
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
    for (__m256i& a : acc) {
      asm volatile("" : "+x"(w));  // else one product would do for all chains
      a = _mm256_add_epi16(a, _mm256_maddubs_epi16(w, x));
    }
  }
  for (__m256i& a : acc) asm volatile("" : "+x"(a));
}

void fma_loop(int64_t iterations) {
  __m256 acc[kChains];
  for (__m256& a : acc) a = _mm256_setzero_ps();
  __m256 w = _mm256_set1_ps(0.5f);
  __m256 x = _mm256_set1_ps(1.0f);
  asm volatile("" : "+x"(w), "+x"(x));
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
    for (__m256& a : acc) a = _mm256_fmadd_ps(a, w, x);
  }
  for (__m256& a : acc) asm volatile("" : "+x"(a));
}

}  // namespace

const PeakKernels kPeakKernels = {read, int8_loop, kChains * 32 * 2, fma_loop, kChains * 8 * 2};

}  // namespace incipit::kernels::avx2
