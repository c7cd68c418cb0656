// Quantises rows of numbers to INT4 without looking at what goes through the model: symmetric, one
// fp16 scale for each group of inputs. The scale may be negative: then the element farthest from
// zero gets -8, which the positive side of 4 bits does not have. Pure; any thread.
#pragma once

#include <cstdint>
#include <span>

namespace incipit::engine {

// Inputs that share a scale: the fewest that the layout knows, since nothing else makes up for what
// rounding loses; 0.375 bits a weight more than groups of 128.
inline constexpr int32_t kRoundedGroup = 32;

// Of one row: q[i] in 0..15 stands for (q - 8) * scales[i / group]. Of several scales near the one
// that makes the group fit, the one with the least squared error is taken. Every number is finite.
void round_row_to_int4(std::span<const float> row, int32_t group, uint8_t* q, uint16_t* scales);

// The scale, one that fp16 holds, with the least sum of importance[i] * error[i]^2 over the group,
// of those that round_row_to_int4() tries; 0 for zeros. Importances are not negative.
float int4_scale(std::span<const float> group, std::span<const float> importance);

}  // namespace incipit::engine
