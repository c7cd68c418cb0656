// Peak loops in plain C++: what the baseline instruction set gives code without intrinsics.
#include "kernels/cpu/machine_peaks_kernels.h"

namespace incipit::kernels::scalar {

namespace {

constexpr int kChains = 8;

uint64_t read(const void* data, int64_t size_bytes) {
  const auto* words = static_cast<const uint64_t*>(data);
  uint64_t sum[4] = {};
  for (int64_t i = 0; i < size_bytes / 8; i += 4) {
    for (int k = 0; k < 4; ++k) sum[k] ^= words[i + k];
  }
  return sum[0] ^ sum[1] ^ sum[2] ^ sum[3];
}

void int8_loop(int64_t iterations) {
  int32_t acc[kChains] = {};
  int32_t w = 3;
  for (int64_t i = 0; i < iterations; ++i) {
    for (int32_t& a : acc) {
      asm volatile("" : "+r"(w));
      a += w * w;
    }
  }
  for (int32_t& a : acc) asm volatile("" : "+r"(a));
}

void fma_loop(int64_t iterations) {
  float acc[kChains] = {};
  float w = 0.5f;
  for (int64_t i = 0; i < iterations; ++i) {
    for (float& a : acc) {
      asm volatile("" : "+m"(w));
      a = a * w + 1.0f;  // no fused instruction in the baseline
    }
  }
  for (float& a : acc) asm volatile("" : "+m"(a));
}

}  // namespace

const PeakKernels kPeakKernels = {read, int8_loop, kChains * 2, fma_loop, kChains * 2};

}  // namespace incipit::kernels::scalar
