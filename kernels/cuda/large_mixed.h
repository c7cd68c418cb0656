// Products of hundreds of tokens on Hopper (sm_90a) without expanding the weights in memory: INT4
// weights become fp16 in registers and multiply fp16 tokens there. Groups of 128 without zero
// points. Launches only; a plain C++ header.
//
// Tokens come as images: tiles of 128 tokens x 64 inputs just as the products want them in shared
// memory, so that one bulk copy brings a tile.
#pragma once

#include <cstdint>

#include "kernels/common/math.h"
#include "kernels/cuda/launch.h"
#include "kernels/quant/cuda_layout.h"

namespace incipit::kernels::cuda {

// [ceil(n_rows / 128)][padded cols / 64] tiles of 16 KB: a token has 128 bytes of a tile. Of 32
// inputs, which are pieces of 4 bytes (8 c + 4 s + 2 h + {0, 1}), the pieces of all c follow each
// other, for s = h = 0 first, then h = 1: the order of the inputs in CudaTile. Of the eight 16
// bytes of a token, i is at i ^ (token % 8): the 128-byte swizzle. Inputs past the last are 0;
// tokens past the last are anything.
struct TokenImage {
  static constexpr int32_t kTokens = 128;
  static constexpr int32_t kCols = 64;
  static constexpr int32_t kBytes = kTokens * kCols * 2;
  HOST_DEVICE static constexpr int32_t n_columns(int32_t cols) {
    return static_cast<int32_t>(round_up(cols, CudaTile::kColsPadding)) / kCols;
  }
  HOST_DEVICE static constexpr int64_t bytes(int32_t n_rows, int32_t cols) {
    return ceil_div(n_rows, kTokens) * n_columns(cols) * kBytes;
  }
};

// Whether the code that would run on the current device was compiled for it.
bool has_mixed_products();
constexpr bool is_mixed_shape(const Int4Shape& shape) {
  return shape.group == 128 && !shape.has_zeros && shape.rows % 8 == 0;
}

// rows [n_rows, cols] fp16 to an image; cols a multiple of 8.
void arrange_rows(const uint16_t* rows, int32_t n_rows, int32_t cols, std::byte* image,
                  const LaunchContext& context);

// How a product is cut; kBest by the time that is expected.
enum class MixedCut { kBest, kTokens128, kTokens256, kInputHalves };

struct MixedProduct {
  Int4View<CudaTile> w;
  const std::byte* tokens = nullptr;  // image
  int32_t n_rows = 0;
  MixedCut cut = MixedCut::kBest;
};
// out[n_rows, w.rows] in fp16, outputs in logical order.
void mixed_product(const MixedProduct& product, RowOrder order, const HeadOrder& heads,
                   uint16_t* out, const LaunchContext& context);
// The image of act[n_rows, w.rows / 2] = silu(gate) * up, limited to +-65504.
void mixed_gate_up(const MixedProduct& product, std::byte* act, const LaunchContext& context);
// x[n_rows, w.rows] += tokens W^T.
void mixed_add(const MixedProduct& product, float* x, const LaunchContext& context);

}  // namespace incipit::kernels::cuda
