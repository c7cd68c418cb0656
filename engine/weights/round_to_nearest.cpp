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

// Where all errors count the same.
struct Equal {
  float operator[](size_t) const { return 1; }
};

// The integers for `inverse`, and for them the scale of least squares.
template <class Importance>
float best_scale(std::span<const float> group, const Importance& importance, float inverse) {
  float wq = 0, qq = 0;
  for (size_t i = 0; i < group.size(); ++i) {
    const float q = rounded(group[i] * inverse);
    wq += importance[i] * (group[i] * q);
    qq += importance[i] * (q * q);
  }
  return qq > 0 ? wq / qq : 0;
}

template <class Importance>
float error_of(std::span<const float> group, const Importance& importance, float scale) {
  const float inverse = 1 / scale;
  float error = 0;
  for (size_t i = 0; i < group.size(); ++i) {
    const float difference = group[i] - scale * rounded(group[i] * inverse);
    error += importance[i] * (difference * difference);
  }
  return error;
}

// A scale of this size has an inverse, and no weight divided by it leaves the range of rounded().
bool is_usable(float scale, float largest) {
  return scale != 0 && largest <= 1e5F * std::fabs(scale);
}

template <class Importance>
float search_scale(std::span<const float> group, const Importance& importance) {
  float farthest = 0;
  for (const float w : group) {
    if (std::fabs(w) > std::fabs(farthest)) farthest = w;
  }
  const float largest = std::fabs(farthest);
  Fit best;
  for (size_t i = 0; i < group.size(); ++i) {  // of scale 0
    best.error += importance[i] * (group[i] * group[i]);
  }
  // From "nothing is cut off" (8) to scales that cut the farthest weight by a fifth.
  for (int32_t step = -6; step <= 12; ++step) {
    const float start = farthest / (kLowest - 0.15F * static_cast<float>(step));
    if (!is_usable(start, largest)) continue;
    const float scale = as_half(best_scale(group, importance, 1 / start));
    if (!is_usable(scale, largest)) continue;
    const float error = error_of(group, importance, scale);
    if (error < best.error) best = {scale, error};
  }
  return best.scale;
}

}  // namespace

float int4_scale(std::span<const float> group, std::span<const float> importance) {
  CHECK_EQ(group.size(), importance.size());
  return search_scale(group, importance);
}

void round_row_to_int4(std::span<const float> row, int32_t group, uint8_t* q, uint16_t* scales) {
  CHECK_GE(group, 1);
  for (size_t first = 0; first < row.size(); first += static_cast<size_t>(group)) {
    const auto part = row.subspan(first, std::min(row.size() - first, static_cast<size_t>(group)));
    const float scale = search_scale(part, Equal());
    const float inverse = scale == 0 ? 0 : 1 / scale;
    *scales++ = kernels::float_to_half(scale);
    for (const float w : part) {
      *q++ = static_cast<uint8_t>(static_cast<int32_t>(rounded(w * inverse)) + kZero);
    }
  }
}

}  // namespace incipit::engine
