#include "engine/quantize/cholesky.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cpu/gemm.h"

namespace incipit::engine {
namespace {

constexpr int64_t kPanel = 256;

// The diagonal block at `a` [n, n], rows `stride` apart, in place.
bool factor_block(float* a, int64_t n, int64_t stride) {
  for (int64_t j = 0; j < n; ++j) {
    double pivot = a[j * stride + j];
    for (int64_t k = 0; k < j; ++k) pivot -= double{a[j * stride + k]} * a[j * stride + k];
    if (!(pivot > 0) || !std::isfinite(pivot)) return false;
    const double root = std::sqrt(pivot);
    a[j * stride + j] = static_cast<float>(root);
    for (int64_t i = j + 1; i < n; ++i) {
      double sum = a[i * stride + j];
      for (int64_t k = 0; k < j; ++k) sum -= double{a[i * stride + k]} * a[j * stride + k];
      a[i * stride + j] = static_cast<float>(sum / root);
    }
  }
  return true;
}

// The inverse of a lower triangular block, [n, n] without gaps, zeros above the diagonal.
std::vector<float> invert_block(const float* l, int64_t n, int64_t stride) {
  std::vector<float> inverse(static_cast<size_t>(n * n), 0.0F);
  for (int64_t j = 0; j < n; ++j) {
    for (int64_t i = j; i < n; ++i) {
      double sum = i == j ? 1 : 0;
      for (int64_t k = j; k < i; ++k) {
        sum -= double{l[i * stride + k]} * inverse[static_cast<size_t>(k * n + j)];
      }
      inverse[static_cast<size_t>(i * n + j)] = static_cast<float>(sum / l[i * stride + i]);
    }
  }
  return inverse;
}

}  // namespace

bool cholesky(float* a, int64_t n, kernels::ThreadPool& pool) {
  using kernels::GemmPart;
  using kernels::GemmResult;
  std::vector<float> panel;
  for (int64_t at = 0; at < n; at += kPanel) {
    const int64_t width = std::min(kPanel, n - at);
    float* const block = a + at * n + at;
    if (!factor_block(block, width, n)) return false;
    const int64_t below = n - at - width;
    if (below == 0) break;
    // Below the block: X L^T = A, so X = A (L^-1)^T; and what is right of that loses X X^T.
    float* const under = block + width * n;
    panel.resize(static_cast<size_t>(below * width));
    for (int64_t i = 0; i < below; ++i) {
      std::copy_n(under + i * n, width, panel.begin() + i * width);
    }
    const std::vector<float> inverse = invert_block(block, width, n);
    kernels::gemm({.m = below,
                   .n = width,
                   .k = width,
                   .a = kernels::row_major(panel.data(), width),
                   .b = kernels::transposed(inverse.data(), width),
                   .c = under,
                   .c_stride = n},
                  pool);
    kernels::gemm({.m = below,
                   .n = below,
                   .k = width,
                   .a = kernels::row_major(under, n),
                   .b = kernels::transposed(under, n),
                   .c = under + width,
                   .c_stride = n,
                   .result = GemmResult::kSubtract,
                   .part = GemmPart::kLower},
                  pool);
  }
  return true;
}

}  // namespace incipit::engine
