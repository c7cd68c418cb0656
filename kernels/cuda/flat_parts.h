// How a flat product cuts its inputs: a function of the matrix's shape alone, so that every kernel
// adds the same numbers in the same order whatever the number of tokens.
//
//   sum of an output = ((part 0 + part 1) + part 2) + ...
//   a part           = fold over its groups, ascending: acc = fma(scale, group's sum, acc)
//   a group's sum    = the tensor core's float accumulator over its steps of 16 inputs
//
// Groups here are of 128 inputs (INT4 with symmetric groups of 128, INT8, fp16) or of 32 (every
// other INT4).
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/common/math.h"

namespace incipit::kernels::cuda {

struct FlatParts {
  int32_t n = 1;
  int32_t cols = 0;  // of a part, a multiple of 512; the last one may have fewer
};

// A part is a warp's work in the narrow kernel and a block's in the wide one. Matrices of few
// tiles need several: 3,072 warps with 4 KB each on their way cover the latency of an H100 (12 MB
// at 132 processors); more than 8 do not fit a portable cluster.
inline constexpr int32_t kFlatWantedWarps = 3072;
inline constexpr int32_t kFlatMaxParts = 8;
inline constexpr int32_t kFlatPartUnit = 512;

constexpr FlatParts flat_parts(int64_t n_tiles, int64_t cols) {
  const int64_t n_units = ceil_div(cols, kFlatPartUnit);
  const int64_t wanted = std::clamp<int64_t>(kFlatWantedWarps / n_tiles, 1, kFlatMaxParts);
  const int64_t units = ceil_div(n_units, wanted);
  return {static_cast<int32_t>(ceil_div(n_units, units)),
          static_cast<int32_t>(units * kFlatPartUnit)};
}

static_assert(flat_parts(384, 4096).n == 8);
static_assert(flat_parts(256, 14336).n == 7);
static_assert(flat_parts(1792, 4096).n == 1);

}  // namespace incipit::kernels::cuda
