#include "kernels/cpu/gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "kernels/cpu/gemm_kernels.h"

namespace incipit::kernels {
namespace {

std::vector<float> random_floats(int64_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(static_cast<size_t>(n));
  for (float& x : out) x = normal(random);
  return out;
}

double element(const MatrixRef& m, int64_t i, int64_t j) {
  return m.data[i * m.row_stride + j * m.col_stride];
}

// The largest difference from the product in double, over what the sum's rounding may be.
double worst(const GemmParams& p, const std::vector<float>& before) {
  double worst = 0;
  for (int64_t i = 0; i < p.m; ++i) {
    for (int64_t j = 0; j < p.n; ++j) {
      if (p.part == GemmPart::kLower && j > i) continue;
      const auto at = static_cast<size_t>(i * p.c_stride + j);
      double want = p.result == GemmResult::kStore ? 0 : double{before[at]};
      double size = 1 + std::fabs(want);
      for (int64_t k = 0; k < p.k; ++k) {
        const double term = element(p.a, i, k) * element(p.b, k, j);
        want += p.result == GemmResult::kSubtract ? -term : term;
        size += std::fabs(term);
      }
      worst = std::max(worst, std::fabs(p.c[at] - want) / size);
    }
  }
  return worst;
}

TEST(Gemm, MultipliesAnyShapeAndTransposition) {
  ThreadPool pool(2);
  struct Shape {
    int64_t m, n, k;
  };
  for (const Shape& s : {Shape{1, 1, 1}, Shape{13, 33, 7}, Shape{481, 70, 300}, Shape{64, 490, 513},
                         Shape{5, 9, 0}}) {
    for (const bool a_transposed : {false, true}) {
      for (const bool b_transposed : {false, true}) {
        const auto a = random_floats(s.m * s.k, 1), b = random_floats(s.k * s.n, 2);
        for (const auto result : {GemmResult::kStore, GemmResult::kAdd, GemmResult::kSubtract}) {
          std::vector<float> c = random_floats(s.m * (s.n + 3), 3);
          const std::vector<float> before = c;
          GemmParams p{.m = s.m, .n = s.n, .k = s.k};
          p.a = a_transposed ? transposed(a.data(), s.m) : row_major(a.data(), s.k);
          p.b = b_transposed ? transposed(b.data(), s.k) : row_major(b.data(), s.n);
          p.c = c.data();
          p.c_stride = s.n + 3;
          p.result = result;
          gemm(p, pool);
          EXPECT_LT(worst(p, before), 1e-6) << s.m << " " << s.n << " " << s.k;
          for (int64_t i = 0; i < s.m; ++i) {  // nothing between the rows is written
            const auto gap = static_cast<size_t>(i * p.c_stride + s.n);
            EXPECT_EQ(c[gap], before[gap]);
          }
        }
      }
    }
  }
}

TEST(Gemm, WritesTheLowerPartOfASquareWhenAsked) {
  ThreadPool pool(2);
  const int64_t n = 1000;
  const auto x = random_floats(40 * n, 5);
  std::vector<float> c(static_cast<size_t>(n * n), 0.5F);
  const std::vector<float> before = c;
  const GemmParams p{.m = n,
                     .n = n,
                     .k = 40,
                     .a = transposed(x.data(), n),
                     .b = row_major(x.data(), n),
                     .c = c.data(),
                     .c_stride = n,
                     .result = GemmResult::kAdd,
                     .part = GemmPart::kLower};
  gemm(p, pool);
  EXPECT_LT(worst(p, before), 1e-6);
  EXPECT_EQ(c[999], 0.5F);  // far above the diagonal
}

TEST(Gemm, GivesTheSameBitsWithAnyNumberOfThreads) {
  const int64_t m = 700, n = 600, k = 300;
  const auto a = random_floats(m * k, 6), b = random_floats(k * n, 7);
  std::vector<float> one(static_cast<size_t>(m * n)), three = one;
  GemmParams p{.m = m, .n = n, .k = k, .a = row_major(a.data(), k), .b = row_major(b.data(), n)};
  p.c_stride = n;
  p.c = one.data();
  ThreadPool alone(1), several(3);
  gemm(p, alone);
  p.c = three.data();
  gemm(p, several);
  EXPECT_EQ(one, three);
}

TEST(Gemm, TilesGiveTheSameBitsOnEveryInstructionSet) {
  const int64_t n_k = 37;
  for (const Isa isa : {Isa::kAvx2, Isa::kAvx512}) {
    if (!isa_supported(isa)) continue;
    const GemmKernels& kernels = gemm_kernels_for(isa);
    const int64_t rows = kernels.tile_rows, cols = kernels.tile_cols;
    const auto a = random_floats(n_k * rows, 8), b = random_floats(n_k * cols, 9);
    std::vector<float> c(static_cast<size_t>(rows * cols), 0.25F);
    kernels.tile(a.data(), b.data(), n_k, c.data(), cols, true);
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < cols; ++j) {
        float want = 0.25F;
        for (int64_t k = 0; k < n_k; ++k) {
          want = std::fma(a[static_cast<size_t>(k * rows + i)],
                          b[static_cast<size_t>(k * cols + j)], want);
        }
        EXPECT_EQ(c[static_cast<size_t>(i * cols + j)], want);
      }
    }
  }
}

}  // namespace
}  // namespace incipit::kernels
