// Candidates for the flat products on Hopper, to be measured by flat_warpgroup_lab: what is chosen
// at a launch, and the launches. The kernel is flat_warpgroup.cuh; one .cu file an epilogue, so
// that they compile side by side.
#pragma once

#include <string>

#include "kernels/cuda/launch.h"
#include "tests/bench/lab/flat_warpgroup_epilogues.cuh"

namespace incipit::kernels::cuda {

// What multiplies: wgmma, or mma.sync with ldmatrix out of the same image. The second shows what of
// a difference is the instruction's, and stands for two changes to the narrow kernel: two tiles of
// tokens, and blocks that have some of the parts.
enum class FlatMath { kWarpgroup, kMma };

struct WarpgroupShape {
  int tokens = 8;      // of the image
  int warpgroups = 2;  // of a block: 64 outputs x one part of the inputs each
  int ring = 4;        // groups of 128 inputs of a warp's weights that are on their way
  int steps = 2;       // of 16 inputs, in a set of registers: 2 or 4
  FlatMath math = FlatMath::kWarpgroup;
  int parts = 1;           // of the inputs, of a block; the others are in its cluster
  int tiles = 8;           // of 16 outputs, of a block; up to 4 warpgroups / parts
  int stages = 4;          // of the ring of tokens: 128 inputs of each of the block's parts
  bool multicast = false;  // two blocks with neighbouring outputs bring the tokens together
};
std::string name_of(const WarpgroupShape& shape);

enum class FlatEnd { kRopeAppend, kAdd, kGateUp };

// Which kernels are compiled.
constexpr bool is_compiled(FlatEnd end, int tokens, int warpgroups, int ring, int steps,
                           FlatMath math) {
  const int longest = end == FlatEnd::kRopeAppend ? 4 : 8;
  const bool is_small = tokens <= 16 && warpgroups == 2 && ring == longest;
  if (math == FlatMath::kMma) return is_small && steps == 2;
  if (steps == 4) return is_small;
  if (end == FlatEnd::kRopeAppend) return ring == 4;
  return end == FlatEnd::kAdd || warpgroups > 1;
}
// Whether there is such a kernel, it fits into a multiprocessor, and it can take these weights.
bool is_possible(FlatEnd end, const FlatWeights& w, const WarpgroupShape& shape);
// Whether the code that would run was compiled for sm_90a.
bool has_warpgroup_products();

// Rows [n_rows, cols] of fp16 to an image of n_tokens.
void arrange_columns(const uint16_t* rows, int32_t n_rows, int32_t n_tokens, int32_t cols,
                     std::byte* image, const LaunchContext& context);

// The tokens come from the image; in.values is not read.
struct WarpgroupProduct {
  FlatWeights w;
  FlatRows in;
  const std::byte* image = nullptr;
  WarpgroupShape shape;
};
void warpgroup_product(const WarpgroupProduct& product, const RopeAppendEpilogue& epilogue,
                       const LaunchContext& context);
void warpgroup_product(const WarpgroupProduct& product, const ImageAddEpilogue& epilogue,
                       const LaunchContext& context);
void warpgroup_product(const WarpgroupProduct& product, const ImageGateUpEpilogue& epilogue,
                       const LaunchContext& context);

// Prints how many cycles of a multiprocessor a wgmma with A in registers takes, by tokens and by
// the number of warpgroups beside each other.
void print_wgmma_cycles();

}  // namespace incipit::kernels::cuda
