// One INT4 section of the packed file out of the linears stacked in it: kept as they are where our
// layout can say the same (groups of 32, 64 or 128 inputs in order, integer zeros), otherwise read
// as numbers and rounded. Loading thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/weights/linear.h"
#include "engine/weights/round_to_nearest.h"
#include "kernels/common/thread_pool.h"
#include "kernels/quant/int4_layout.h"

namespace incipit::engine {

// How true packed weights are to their checkpoint. Sums over linears that are not exact.
struct Conversion {
  int32_t n_linears = 0;
  int32_t n_inexact = 0;
  int32_t n_rounded = 0;  // of these: whose integers were not kept
  double square_error = 0;
  double square_norm = 0;

  bool is_exact() const { return n_inexact == 0; }
};

// "exact", or what is not, with the error relative to the root mean square of the weights.
std::string describe(const Conversion& conversion);

struct Int4Part {
  Linear linear;
  bool keeps_integers = false;
  std::vector<int32_t> input_order;  // position p holds input input_order[p]; empty: as they are
};

struct Int4Plan {
  std::vector<Int4Part> parts;
  kernels::Int4Shape shape;
  std::vector<int32_t> output_order;  // of every part: row r is its output output_order[r]
};

// Inputs that were reordered by activation ("desc_act") can be kept where whoever computes the
// inputs can compute them in that order: kCanMove. Elsewhere such a linear is rounded.
enum class InputOrder { kFixed, kCanMove };
// rounded_group: inputs that share a scale where integers are not kept.
Int4Plan plan_int4(std::vector<Linear> linears, InputOrder inputs,
                   int32_t rounded_group = kRoundedGroup);

// The plain matrix, in the memory of `reuse`, and what was lost added to `conversion`. An infinite
// or missing number in full precision is kCorrupt and names file, tensor and element.
Result<kernels::Int4Matrix> build_int4(const Int4Plan& plan, const Checkpoint& checkpoint,
                                       kernels::ThreadPool* pool, Conversion& conversion,
                                       kernels::Int4Matrix reuse = {});

}  // namespace incipit::engine
