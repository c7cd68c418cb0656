// fp16 <-> fp32 by bit arithmetic, round to nearest even, subnormals and infinities kept. The same
// results as F16C, for code that must not assume it.
#pragma once

#include <bit>
#include <cstdint>

namespace incipit::kernels {

constexpr float half_to_float(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 0x1fu;
  uint32_t mantissa = half & 0x3ffu;
  if (exponent == 0x1f) {  // infinity; a NaN becomes quiet, as F16C makes it
    return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13) |
                                (mantissa != 0 ? 0x400000u : 0u));
  }
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  // Subnormal: mantissa * 2^-24, exact in float.
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
}

constexpr uint16_t float_to_half(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {  // NaN: quiet, upper payload bits kept
    return static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  }
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // >= 65520: infinity
  uint32_t kept = 0;  // the result before rounding
  uint32_t rest = 0;  // what rounding decides on, with `half_way` as one half
  uint32_t half_way = 0x1000u;
  if (magnitude >= 0x38800000u) {  // normal: 13 bits go
    kept = (magnitude - 0x38000000u) >> 13;
    rest = magnitude & 0x1fffu;
  } else if (magnitude >= 0x33000000u) {  // subnormal, at least half of 2^-24
    const uint32_t shift = 126 - (magnitude >> 23);
    const uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    kept = mantissa >> shift;
    rest = mantissa & ((1u << shift) - 1);
    half_way = 1u << (shift - 1);
  }
  if (rest > half_way || (rest == half_way && (kept & 1u) != 0)) ++kept;
  return static_cast<uint16_t>(sign | kept);
}

}  // namespace incipit::kernels
