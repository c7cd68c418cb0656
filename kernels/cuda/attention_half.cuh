// fp16 pages as flat attention takes them (what a page type offers: flat_attention.cuh): a tile's
// keys or values, 32 rows of kHeadDim fp16, in a stage of a ring.
#pragma once

#include "kernels/cuda/attention_args.cuh"
#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/vector_load.cuh"

namespace incipit::kernels::cuda {

template <int kDim>
struct HalfPages {
  static constexpr int kHeadDim = kDim;
  static constexpr int kStageBytes = kTileKeys * kDim * 2;
  static constexpr int kNarrowStages = 3;

  struct KeyScales {};

  template <int kCopiers>
  __device__ static __forceinline__ void copy_stage(const AttentionArgs& args, int table, int key,
                                                    int end_key, int kv_head, bool is_values,
                                                    uint32_t stage) {
    const uint16_t* const from = is_values ? args.v_pages : args.k_pages;
    constexpr int kUnits = kDim / 8;
#pragma unroll
    for (int i = 0; i < kTilePages; ++i) {
      // Past the last page comes the last again: it is masked.
      const int first = min(key + i * kPageTokens, end_key - 1) / kPageTokens;
      const int page = args.page_tables[table + first];
      const uint16_t* const tokens = from + page_offset<kDim>(args, page, kv_head);
#pragma unroll
      for (int n = 0; n < kPageTokens * kUnits / kCopiers; ++n) {
        const int unit = opaque(static_cast<int>(threadIdx.x)) % kCopiers + n * kCopiers;
        copy_async(stage + swizzled<kDim>(i * kPageTokens + unit / kUnits, unit % kUnits),
                   tokens + unit * 8);
      }
    }
  }

  __device__ static __forceinline__ KeyScales score(uint32_t stage, float,
                                                    const uint32_t (&q)[kDim / 16][4],
                                                    float (&scores)[2 * kTilePages][4]) {
    score_tile<kDim>(stage, q, scores);
    return {};
  }
  __device__ static __forceinline__ void weigh(float scale_log2, const KeyScales&, int first_key,
                                               bool is_masked, const int* s_positions,
                                               float (&scores)[2 * kTilePages][4],
                                               SoftmaxState& state, float (&out)[kDim / 8][4],
                                               uint32_t (&weights)[kTilePages][4]) {
    weigh_tile<kDim>(scale_log2, first_key, is_masked, s_positions, scores, state, out, weights);
  }
  __device__ static __forceinline__ void add(uint32_t stage,
                                             const uint32_t (&weights)[kTilePages][4],
                                             float (&out)[kDim / 8][4]) {
    add_values<kDim>(stage, weights, out);
  }
  // A row's largest score in base 2.
  __device__ static __forceinline__ float base2(float largest, float scale_log2) {
    return __fmul_rn(largest, scale_log2);
  }
};

}  // namespace incipit::kernels::cuda
