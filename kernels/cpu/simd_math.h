// exp2 and exp over F32x16. Per-ISA sources only, like simd.h.
#pragma once

#include "kernels/cpu/simd.h"

namespace incipit::kernels::KERNELS_ISA {

// Relative error of exp2_bounded against the exact power: the polynomial's own
// 2^-25.4 (degree 6, relative minimax on [-1/2, 1/2] with constant term 1, coefficients rounded to
// float) plus the roundings of six fused steps, of which all but the last shrink by |f| <= 1/2.
// simd_test checks it over that range.
inline constexpr float kExp2RelativeError = 0x1p-22f;

// 2^x for -126 <= x <= 127, exactly 1 for 0; 0 for anything below -126 and for NaN.
SIMD_INLINE F32x16 exp2_bounded(F32x16 x) {
  // 1.5 * 2^23: adding it leaves round(x) in the low mantissa bits, on every ISA alike.
  const F32x16 magic = splat(0x1.8p23f);
  const F32x16 t = add(x, magic);
  const F32x16 f = sub(x, sub(t, magic));
  F32x16 p = splat(0x1.470b4ap-13f);
  p = fma(p, f, splat(0x1.5f7276p-10f));
  p = fma(p, f, splat(0x1.3b270ep-7f));
  p = fma(p, f, splat(0x1.c6ae72p-5f));
  p = fma(p, f, splat(0x1.ebfbe2p-3f));
  p = fma(p, f, splat(0x1.62e432p-1f));
  p = fma(p, f, splat(1.0f));
  return scale_by_power(p, t, x, -126.0f);
}

// e^x, saturated to 2^127 above and 0 below; the argument's rounding adds |x| 2^-23 to the error.
SIMD_INLINE F32x16 exp_saturated(F32x16 x) {
  return exp2_bounded(min(mul(x, splat(0x1.715476p+0f)), splat(127.0f)));
}

SIMD_INLINE float exp2_scalar(float x) {
  float lane[16];
  store(lane, exp2_bounded(splat(x)));
  return lane[0];
}

}  // namespace incipit::kernels::KERNELS_ISA
