// The scalar build of simd.h, compiled here under a name of its own: its fused multiply-add rounds
// once, and exp2 keeps its stated error. (AVX2 and AVX-512 have the instruction; that all of them
// give the same bits is asserted kernel by kernel.)
#define KERNELS_ISA scalar_under_test
#define KERNELS_ISA_SCALAR
#include "kernels/cpu/simd_math.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/kernel_inputs.h"

namespace incipit::kernels {
namespace {

namespace simd = scalar_under_test;

struct FmaCase {
  float a, b, c;
};

// Sixteen cases at a time, so that doubtful lanes stand beside harmless ones.
void expect_fused(const std::vector<FmaCase>& cases) {
  for (size_t first = 0; first < cases.size(); first += 16) {
    float a[16] = {}, b[16] = {}, c[16] = {}, got[16];
    const size_t n = std::min<size_t>(16, cases.size() - first);
    for (size_t i = 0; i < n; ++i) {
      a[i] = cases[first + i].a;
      b[i] = cases[first + i].b;
      c[i] = cases[first + i].c;
    }
    simd::store(got, simd::fma(simd::load(a), simd::load(b), simd::load(c)));
    for (size_t i = 0; i < n; ++i) {
      const float want = std::fma(a[i], b[i], c[i]);
      if (std::isnan(want)) {
        ASSERT_TRUE(std::isnan(got[i]));
      } else {
        ASSERT_EQ(simd::float_bits(got[i]), simd::float_bits(want))
            << std::hexfloat << a[i] << " * " << b[i] << " + " << c[i] << ": got " << got[i];
      }
    }
  }
}

float random_float(std::mt19937& random, int exponent_range) {
  const float mantissa = 1.0f + static_cast<float>(random() >> 9) * 0x1p-23f;
  const int exponent = static_cast<int>(random() % static_cast<uint32_t>(2 * exponent_range + 1));
  return std::ldexp(random() % 2 == 0 ? mantissa : -mantissa, exponent - exponent_range);
}

TEST(ScalarFma, RoundsOnceForRandomValues) {
  std::mt19937 random(test_seed());
  for (const int range : {2, 14, 75}) {  // the last reaches subnormal results and overflow
    std::vector<FmaCase> cases;
    for (int i = 0; i < 20000; ++i) {
      cases.push_back(
          {random_float(random, range), random_float(random, range), random_float(random, range)});
    }
    expect_fused(cases);
  }
}

// a * b = half an ulp of c (1 + t), |t| < 2^-29: double cannot hold t beside c, so the double sum
// is a tie that the exact sum is not.
TEST(ScalarFma, RoundsOnceWhereADoubleSumLooksLikeATie) {
  std::vector<FmaCase> cases;
  for (int k = 1; k < 1024; ++k) {
    const float a = 1.0f + static_cast<float>(k) * 0x1p-10f;
    const float b = 1.0f / a;
    const double t = double{a} * b - 1;
    if (t == 0 || std::fabs(t) >= 0x1p-29) continue;
    for (const float c : {1.0f, 1.0f + 0x1p-23f, 1.5f, 2.0f - 0x1p-23f}) {
      for (const float sign : {1.0f, -1.0f}) {
        cases.push_back({a * 0x1p-12f, b * sign * 0x1p-12f, c});
        cases.push_back({a * 0x1p-12f, b * sign * 0x1p-12f, -c});
      }
    }
  }
  ASSERT_GT(cases.size(), 100u);
  expect_fused(cases);
}

TEST(ScalarFma, RoundsOnceForSubnormalResults) {
  std::mt19937 random(test_seed());
  std::vector<FmaCase> cases;
  for (int i = 0; i < 20000; ++i) {
    cases.push_back({random_float(random, 2) * 0x1p-70f, random_float(random, 2) * 0x1p-66f,
                     random_float(random, 3) * 0x1p-136f});
  }
  expect_fused(cases);
}

TEST(ScalarFma, TakesZerosInfinitiesAndNan) {
  const float values[] = {0.0f, -0.0f, 1.0f, -1.0f, INFINITY, -INFINITY, std::nanf(""), 3e38f};
  std::vector<FmaCase> cases;
  for (const float a : values) {
    for (const float b : values) {
      for (const float c : values) cases.push_back({a, b, c});
    }
  }
  expect_fused(cases);
}

TEST(Exp2, IsWithinItsStatedError) {
  double worst = 0;
  for (int i = 0; i <= 253 * 4096; i += 16) {
    float x[16], y[16];
    for (int j = 0; j < 16; ++j) {
      x[j] = std::min(127.0f, -126.0f + static_cast<float>(i + j) / 4096.0f);
    }
    simd::store(y, simd::exp2_bounded(simd::load(x)));
    for (int j = 0; j < 16; ++j) {
      const double want = std::exp2(double{x[j]});
      worst = std::max(worst, std::fabs(y[j] - want) / want);
      ASSERT_LE(std::fabs(y[j] - want), simd::kExp2RelativeError * want) << "2^" << x[j];
    }
  }
  EXPECT_GT(worst, 0x1p-26) << "the sweep does not reach the hard places";
  RecordProperty("worst_relative_error", std::to_string(worst));
}

TEST(Exp2, IsExactForIntegersAndZeroBelowItsRange) {
  for (int n = -126; n <= 127; ++n) {
    EXPECT_EQ(simd::exp2_scalar(static_cast<float>(n)), std::ldexp(1.0f, n));
  }
  for (const float x : {-126.01f, -200.0f, -1e30f, -INFINITY, std::nanf("")}) {
    EXPECT_EQ(simd::exp2_scalar(x), 0.0f) << x;
  }
}

}  // namespace
}  // namespace incipit::kernels
