#include "engine/weights/round_to_nearest.h"

#include <algorithm>
#include <cmath>

#include "kernels/common/check.h"
#include "kernels/common/half.h"

namespace incipit::engine {
namespace {

constexpr float kLowest = -8;
constexpr float kHighest = 7;
constexpr int32_t kZero = 8;
constexpr float kLargestHalf = 65504;

// Adding and taking away 1.5 * 2^23 rounds a small float to the nearest even integer, in two
// additions that vectorise.
constexpr float kRounder = 12582912;

float rounded(float value) {
  const float nearest = (value + kRounder) - kRounder;
  const float low = nearest < kLowest ? kLowest : nearest;
  return low > kHighest ? kHighest : low;
}

float as_half(float scale) {
  return kernels::half_to_float(
      kernels::float_to_half(std::clamp(scale, -kLargestHalf, kLargestHalf)));
}

struct Fit {
  float scale = 0;
  float error = 0;  // sum of squared differences
};

// The integers for `inverse`, and for them the scale of least squares.
float best_scale(std::span<const float> group, float inverse) {
  float wq = 0, qq = 0;
  for (const float w : group) {
    const float q = rounded(w * inverse);
    wq += w * q;
    qq += q * q;
  }
  return qq > 0 ? wq / qq : 0;
}

float error_of(std::span<const float> group, float scale) {
  const float inverse = 1 / scale;
  float error = 0;
  for (const float w : group) {
    const float difference = w - scale * rounded(w * inverse);
    error += difference * difference;
  }
  return error;
}

// A scale of this size has an inverse, and no weight divided by it leaves the range of rounded().
bool is_usable(float scale, float largest) {
  return scale != 0 && largest <= 1e5F * std::fabs(scale);
}

float search_scale(std::span<const float> group) {
  float farthest = 0;
  for (const float w : group) {
    if (std::fabs(w) > std::fabs(farthest)) farthest = w;
  }
  const float largest = std::fabs(farthest);
  Fit best;
  for (const float w : group) best.error += w * w;  // of scale 0
  // From "nothing is cut off" (8) to scales that cut the farthest weight by a fifth.
  for (int32_t step = -6; step <= 12; ++step) {
    const float start = farthest / (kLowest - 0.15F * static_cast<float>(step));
    if (!is_usable(start, largest)) continue;
    const float scale = as_half(best_scale(group, 1 / start));
    if (!is_usable(scale, largest)) continue;
    const float error = error_of(group, scale);
    if (error < best.error) best = {scale, error};
  }
  return best.scale;
}

}  // namespace

void round_row_to_int4(std::span<const float> row, int32_t group, uint8_t* q, uint16_t* scales) {
  CHECK_GE(group, 1);
  for (size_t first = 0; first < row.size(); first += static_cast<size_t>(group)) {
    const auto part = row.subspan(first, std::min(row.size() - first, static_cast<size_t>(group)));
    const float scale = search_scale(part);
    const float inverse = scale == 0 ? 0 : 1 / scale;
    *scales++ = kernels::float_to_half(scale);
    for (const float w : part) {
      *q++ = static_cast<uint8_t>(static_cast<int32_t>(rounded(w * inverse)) + kZero);
    }
  }
}

}  // namespace incipit::engine
