#include "kernels/common/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace incipit::kernels {
namespace {

static_assert(half_to_float(0x3c00) == 1.0f);
static_assert(float_to_half(1.0f) == 0x3c00);

// The value of a finite half by its definition, without bit tricks.
double value_of(int bits) {
  const int exponent = (bits >> 10) & 31;
  const int mantissa = bits & 1023;
  const double magnitude =
      exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

TEST(Half, WidensEveryFinitePatternExactlyAndComesBack) {
  for (int bits = 0; bits < 0x10000; ++bits) {
    if (((bits >> 10) & 31) == 31) continue;
    const float wide = half_to_float(static_cast<uint16_t>(bits));
    ASSERT_EQ(wide, value_of(bits)) << bits;
    ASSERT_EQ(std::signbit(wide), (bits & 0x8000) != 0) << bits;
    ASSERT_EQ(float_to_half(wide), bits);
  }
}

TEST(Half, RoundsToTheNearestAndTiesToEven) {
  for (int bits = 0; bits < 0x7bff; ++bits) {  // every pair of neighbours
    const double low = value_of(bits);
    const double high = value_of(bits + 1);
    const auto middle = static_cast<float>((low + high) / 2);  // exact: one more bit
    const int even = (bits & 1) == 0 ? bits : bits + 1;
    ASSERT_EQ(float_to_half(middle), even) << bits;
    ASSERT_EQ(float_to_half(std::nextafter(middle, -1.0f)), bits) << bits;
    ASSERT_EQ(float_to_half(std::nextafter(middle, 1e6f)), bits + 1) << bits;
  }
}

TEST(Half, KeepsInfinityNanAndOverflow) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(half_to_float(0x7c00), kInf);
  EXPECT_EQ(half_to_float(0xfc00), -kInf);
  EXPECT_TRUE(std::isnan(half_to_float(0x7e01)));
  EXPECT_EQ(float_to_half(kInf), 0x7c00);
  EXPECT_EQ(float_to_half(-70000.0f), 0xfc00);
  EXPECT_EQ(float_to_half(65519.996f), 0x7bff);
  EXPECT_EQ(float_to_half(65520.0f), 0x7c00);
  EXPECT_EQ(float_to_half(0x1p-25f), 0);  // the tie between 0 and the smallest subnormal
  EXPECT_EQ(float_to_half(0x1.2p-25f), 1);
  EXPECT_EQ(float_to_half(1e-30f), 0);
  EXPECT_TRUE(std::isnan(half_to_float(float_to_half(std::nanf("")))));
}

}  // namespace
}  // namespace incipit::kernels
