// Softmax over a run of scores as a value that merges with the value of another run (Milakov &
// Gimelshein 2018). Scores are in base 2 (already multiplied by log2 e), so a weight is 2^(s -
// max). The same text serves the host's instruction sets and the device; each hands in its own
// exp2.
#pragma once

#include "kernels/common/host_device.h"

namespace incipit::kernels {

struct SoftmaxState {
  float max = -__builtin_inff();  // largest score; -inf: an empty run
  float sum = 0;                  // of the weights relative to max
};

// merged.sum, and any sum of weighted values, is a's times scale_a plus b's times scale_b.
struct SoftmaxMerge {
  float max;
  float scale_a, scale_b;
};

// An empty run has scale 0, so it leaves the other one as it is, bit for bit. `static`: a source
// compiled for one instruction set must not lend its copy to the rest of the program.
template <class Exp2>
HOST_DEVICE static inline SoftmaxMerge merge_softmax(float max_a, float max_b, Exp2 exp2) {
  const float empty = -__builtin_inff();
  const float max = max_a > max_b ? max_a : max_b;
  return {max, max_a == empty ? 0.0f : exp2(max_a - max),
          max_b == empty ? 0.0f : exp2(max_b - max)};
}

}  // namespace incipit::kernels
