// What the flat products multiply: packed weights as kernel parameters, the tokens' rows, and the
// codecs, which know how a lane gets fragments of the A operand out of packed weights. A codec
// serves both kernels: in the narrow one a lane loads words from memory straight to registers, in
// the wide one it finds them in a stage of 128 inputs in shared memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/flat_parts.h"
#include "kernels/cuda/int4_dequant.cuh"
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/vector_load.cuh"
#include "kernels/quant/cuda_layout.h"

namespace incipit::kernels::cuda {

inline constexpr int kWarp = 32;
inline constexpr int32_t kStageCols = 128;  // inputs of a stage of the wide kernel

struct DeviceLimits {
  int n_processors = 0;
  int shared_bytes = 0;  // of a block
};
inline const DeviceLimits& device_limits() {
  static const DeviceLimits limits = [] {
    DeviceLimits l;
    int device = 0;
    CUDA_CHECK(cudaGetDevice(&device));
    CUDA_CHECK(cudaDeviceGetAttribute(&l.n_processors, cudaDevAttrMultiProcessorCount, device));
    CUDA_CHECK(
        cudaDeviceGetAttribute(&l.shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
    return l;
  }();
  return limits;
}

// Blocks are balanced over the multiprocessors: each has an equal share of the memory's bandwidth,
// so one with four blocks where others have three ends last (gate and up of 1 row on an H100: 24 us
// against 22). Of a tile count per block of at most `most`, the largest that wastes least.
inline int balanced_tiles(int64_t n_tiles, int64_t blocks_a_tile, int least, int most) {
  int best = most;
  int64_t best_load = INT64_MAX;
  for (int tiles = most; tiles >= least; --tiles) {
    const int64_t n_blocks = ceil_div(n_tiles, tiles) * blocks_a_tile;
    const int64_t load = ceil_div(n_blocks, device_limits().n_processors) * tiles;
    if (load < best_load) {
      best = tiles;
      best_load = load;
    }
  }
  return best;
}

// The largest carve-out of shared memory, the same for every kernel of a step, so that blocks of
// two kernels can be on a multiprocessor together. (The driver's own choice did as well between
// these products on an H100: 1.56 and 1.58 ms for 32 layers of 1 row.)
template <class Kernel>
void prepare_kernel(Kernel kernel, int shared_bytes) {
  CUDA_CHECK(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes));
  CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                                  cudaSharedmemCarveoutMaxShared));
}

// A packed matrix as the kernels take it.
struct FlatWeights {
  const std::byte* data = nullptr;
  int64_t tile_bytes = 0;
  int32_t scales_at = 0;  // bytes from the tile's start
  int32_t zeros_at = 0;   // 0: symmetric
  int32_t n_rows = 0;     // outputs
  int32_t n_tiles = 0;
  int32_t cols = 0;
  int32_t group = 0;
  FlatParts parts;

  // Inputs of a tile, padding included.
  HOST_DEVICE int32_t padded_cols() const {
    return static_cast<int32_t>(round_up(cols, CudaTile::kColsPadding));
  }
};

// The B operand: rows of fp16, and what their norm needs.
struct FlatRows {
  const uint16_t* values = nullptr;  // [*, cols]
  const int32_t* rows = nullptr;     // which rows; null: 0, 1, 2, ...
  int32_t n_rows = 0;
  const float* square_sums = nullptr;  // [*, cols / 16]; null: no norm
  float norm_eps = 0;

  __device__ __forceinline__ int64_t row_of(int token) const {
    return rows != nullptr ? rows[token] : token;
  }
};

// d = a b, without an accumulator to clear.
__device__ __forceinline__ void mma_from_zero(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                              uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%10, %10, %10, %10};"
      : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(0.0f));
}

__device__ __forceinline__ uint4 load_shared(uint32_t address) {
  uint4 v;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "r"(address));
  return v;
}
__device__ __forceinline__ uint32_t load_shared_word(uint32_t address) {
  uint32_t v;
  asm volatile("ld.shared.u32 %0, [%1];" : "=r"(v) : "r"(address));
  return v;
}

// 4 bytes from global to shared memory, as copy_async() has 16; these few stay in L1.
__device__ __forceinline__ void copy_async_word(uint32_t to_shared, const void* from,
                                                uint32_t bytes) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to_shared), "l"(from),
               "r"(bytes)
               : "memory");
}

template <int kIndex>
__device__ __forceinline__ uint32_t component(const uint4& v) {
  static_assert(kIndex >= 0 && kIndex < 4);
  if constexpr (kIndex == 0) return v.x;
  if constexpr (kIndex == 1) return v.y;
  if constexpr (kIndex == 2) return v.z;
  return v.w;
}

// Scales of rows g and g + 8.
struct RowPairScale {
  float low;
  float high;
};
__device__ __forceinline__ RowPairScale row_pair_scale(uint32_t halves) {
  const float2 f = __half22float2(as_half2(halves));
  return {f.x, f.y};
}
__device__ __forceinline__ void add_group(float (&acc)[4], const float (&part)[4],
                                          const RowPairScale& scale) {
  acc[0] = __fmaf_rn(scale.low, part[0], acc[0]);
  acc[1] = __fmaf_rn(scale.low, part[1], acc[1]);
  acc[2] = __fmaf_rn(scale.high, part[2], acc[2]);
  acc[3] = __fmaf_rn(scale.high, part[3], acc[3]);
}

// Codecs. A stage is 128 inputs; of a tile a lane has kStageWords times 16 bytes of it, 512 bytes
// apart for the warp (F16: from its two rows). A stage has four blocks of 32 inputs, a block two
// steps of 16.

struct Int4Codec {
  static constexpr int kStageWords = 2;
  static constexpr bool kScaled = true;

  // A of step kStep of block kBlock, out of the word that holds it.
  template <int kBlock, int kStep>
  static __device__ __forceinline__ void dequantize(const uint4& word, const ZeroPoints& zeros,
                                                    uint32_t (&a)[4]) {
    dequantize_word(component<kBlock % 2 * 2 + kStep>(word), zeros, a);
  }
};

// Symmetric, groups of 128: what this engine's own quantiser and most checkpoints have.
struct Int4Group128 : Int4Codec {
  static constexpr int kGroupBlocks = 4;
  static constexpr int kStageScaleBytes = 128;  // of a tile: the quad that holds the stage's groups
  static constexpr bool kZeroPoints = false;

  static __device__ __forceinline__ int32_t quad_of_stage(const FlatWeights&, int32_t stage) {
    return stage / CudaTile::kQuadGroups;
  }
  static __device__ __forceinline__ int32_t place_in_quad(const FlatWeights&, int32_t block) {
    return block / kGroupBlocks % CudaTile::kQuadGroups;
  }
};

// Groups of 32, 64 or 128, with zeros or without: scaled every 32 inputs whatever the group is.
struct Int4Any : Int4Codec {
  static constexpr int kGroupBlocks = 1;
  static constexpr int kStageScaleBytes = 192;
  static constexpr bool kZeroPoints = true;

  static __device__ __forceinline__ int32_t quad_of_stage(const FlatWeights& w, int32_t stage) {
    return stage * kStageCols / w.group / CudaTile::kQuadGroups;
  }
  static __device__ __forceinline__ int32_t place_in_quad(const FlatWeights& w, int32_t block) {
    return block * 32 / w.group % CudaTile::kQuadGroups;
  }
};

// INT8 with one scale an output, which the end of the product applies.
struct Int8Codec {
  static constexpr int kStageWords = 4;
  static constexpr int kGroupBlocks = 4;
  static constexpr int kStageScaleBytes = 0;
  static constexpr bool kScaled = false;
  static constexpr bool kZeroPoints = false;

  // Bytes under 0x64 are 1024 + q + 128 in fp16.
  template <int kBlock, int kStep>
  static __device__ __forceinline__ void dequantize(const uint4& word, const ZeroPoints&,
                                                    uint32_t (&a)[4]) {
    const half2 bias = as_half2(0x64806480u);  // 1152
    const uint32_t low = component<2 * kStep>(word);
    const uint32_t high = component<2 * kStep + 1>(word);
    a[0] = as_bits(__hsub2(as_half2(__byte_perm(low, 0x64646464u, 0x4240)), bias));
    a[1] = as_bits(__hsub2(as_half2(__byte_perm(high, 0x64646464u, 0x4240)), bias));
    a[2] = as_bits(__hsub2(as_half2(__byte_perm(low, 0x64646464u, 0x4341)), bias));
    a[3] = as_bits(__hsub2(as_half2(__byte_perm(high, 0x64646464u, 0x4341)), bias));
  }
};

// Row-major fp16 (a head that must stay exact): the permuted order of inputs in a step makes 16
// consecutive bytes of a row what a lane needs of it. Words 2 b and 2 b + 1 are block b of rows g
// and g + 8. Narrow kernel only.
struct F16Codec {
  static constexpr int kStageWords = 8;
  static constexpr int kGroupBlocks = 4;
  static constexpr bool kScaled = false;
  static constexpr bool kZeroPoints = false;
};

}  // namespace incipit::kernels::cuda
