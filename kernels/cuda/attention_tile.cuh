// The arithmetic of attention on 16 query rows of a warp: scores and weighted values on the tensor
// cores (fp16 in, fp32 sums), softmax in base 2 with a running maximum (Milakov & Gimelshein 2018;
// Dao 2023). A key that a row may not see changes none of its bits: its weight is exactly 0, and a
// maximum that stays multiplies by exactly 1.
#pragma once

#include <cuda_fp16.h>

#include "kernels/cuda/mma.cuh"

namespace incipit::kernels::cuda {

// Rows of fp16 in shared memory: 16-byte units exchanged by the row's low bits, so that ldmatrix
// finds eight rows in eight different bank groups. Bases are 256-byte aligned.
template <int kHeadDim>
__device__ __forceinline__ uint32_t swizzled(int row, int unit) {
  return static_cast<uint32_t>(row * kHeadDim * 2 + ((unit ^ (row & 7)) << 4));
}
// Lane offsets for ldmatrix at unit 0; unit 2 i is at `offset ^ (i << 5)`.
template <int kHeadDim>
__device__ __forceinline__ uint32_t key_lane_offset(int lane) {
  return swizzled<kHeadDim>((lane & 7) + (lane >> 4) * 8, lane >> 3 & 1);
}
template <int kHeadDim>  // of values (transposed) and of queries
__device__ __forceinline__ uint32_t value_lane_offset(int lane) {
  return swizzled<kHeadDim>(lane & 15, lane >> 4);
}

// A value that the compiler computes again rather than keeps.
__device__ __forceinline__ int opaque(int x) {
  asm volatile("" : "+r"(x));
  return x;
}

// 2^x; exactly 1 at 0 and 0 at -infinity (PTX ISA, ex2).
__device__ __forceinline__ float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// A lane's two rows, g and g + 8. The maximum is of the raw dot products (INT8 pages: of what
// attention_int8.cuh says); the sum is the lane's part, of columns 2 c and 2 c + 1.
struct SoftmaxState {
  float largest[2] = {-INFINITY, -INFINITY};
  float sum[2] = {0, 0};
};

// Scores of keys first_key + 8 j + {2 c, 2 c + 1}: those beyond the rows' positions become -inf.
template <int kColumns>
__device__ __forceinline__ void mask_scores(float (&scores)[kColumns][4], int first_key,
                                            const int (&positions)[2]) {
  const int lane_key = first_key + (threadIdx.x & 3) * 2;
#pragma unroll
  for (int j = 0; j < kColumns; ++j) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (lane_key + j * 8 + (i & 1) > positions[i >> 1]) scores[j][i] = -INFINITY;
    }
  }
}

// Turns scores into weights relative to the new maximum. Returns what the rows' earlier sums have
// been, and their outputs must be, multiplied by.
template <int kColumns>
__device__ __forceinline__ float2 update_softmax(float (&scores)[kColumns][4], float scale_log2,
                                                 SoftmaxState& state) {
  float factor[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float largest = state.largest[half];
#pragma unroll
    for (int j = 0; j < kColumns; ++j) {
      largest = fmaxf(largest, fmaxf(scores[j][2 * half], scores[j][2 * half + 1]));
    }
    largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 1));
    largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 2));
    // A row that has seen no key yet: weights 2^-inf = 0.
    const float base = largest == -INFINITY ? 0.0f : largest;
    factor[half] = exp2_fast(__fmul_rn(__fsub_rn(state.largest[half], base), scale_log2));
    state.largest[half] = largest;
    const float offset = __fmul_rn(-base, scale_log2);
    float sum = 0;
#pragma unroll
    for (int j = 0; j < kColumns; ++j) {
#pragma unroll
      for (int i = 2 * half; i < 2 * half + 2; ++i) {
        scores[j][i] = exp2_fast(fmaf(scores[j][i], scale_log2, offset));
        sum += scores[j][i];
      }
    }
    state.sum[half] = fmaf(state.sum[half], factor[half], sum);
  }
  return {factor[0], factor[1]};
}

// A row's values times its factor; nothing to do when no row of the warp has a new maximum.
template <int kColumns>
__device__ __forceinline__ void rescale(float (&out)[kColumns][4], float2 factor) {
  if (!__any_sync(0xffffffffu, factor.x != 1.0f || factor.y != 1.0f)) return;
#pragma unroll
  for (int j = 0; j < kColumns; ++j) {
    out[j][0] = __fmul_rn(out[j][0], factor.x);
    out[j][1] = __fmul_rn(out[j][1], factor.x);
    out[j][2] = __fmul_rn(out[j][2], factor.y);
    out[j][3] = __fmul_rn(out[j][3], factor.y);
  }
}

__device__ __forceinline__ uint32_t half_pair(float low, float high) {
  const half2 pair = __floats2half2_rn(low, high);
  uint32_t bits;
  __builtin_memcpy(&bits, &pair, sizeof(bits));
  return bits;
}

// Weights of 16 keys as the A operand: columns 2 j and 2 j + 1 of the accumulators.
__device__ __forceinline__ void weights_of(const float (&low)[4], const float (&high)[4],
                                           uint32_t (&a)[4]) {
  a[0] = half_pair(low[0], low[1]);
  a[1] = half_pair(low[2], low[3]);
  a[2] = half_pair(high[0], high[1]);
  a[3] = half_pair(high[2], high[3]);
}

// Sum over the four lanes of a row.
__device__ __forceinline__ float row_sum(float x) {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

// Parts of a row's keys, each summed up from nothing, are brought together one after the other:
// what there is times `kept`, plus the part times `added`. Largest scores in base 2.
struct PartFactors {
  float kept;
  float added;
};
struct RowTotal {
  float largest = -INFINITY;
  float sum = 0;
  __device__ __forceinline__ PartFactors add(float part_largest, float part_sum) {
    const float now = fmaxf(largest, part_largest);
    const float base = now == -INFINITY ? 0.0f : now;
    const PartFactors factors = {exp2_fast(__fsub_rn(largest, base)),
                                 exp2_fast(__fsub_rn(part_largest, base))};
    largest = now;
    sum = fmaf(sum, factors.kept, __fmul_rn(part_sum, factors.added));
    return factors;
  }
};
__device__ __forceinline__ float add_part(float total, float part, const PartFactors& factors) {
  return fmaf(total, factors.kept, __fmul_rn(part, factors.added));
}

// A mean of fp16 values may pass the largest of them by rounding. NaN stays; -0 becomes 0.
__device__ __forceinline__ float to_half_range(float x) {
  x = x > 65504.0f ? 65504.0f : x;
  return (x < -65504.0f ? -65504.0f : x) + 0.0f;
}

// 32 keys, two pages one after the other in shared memory: four chains of products at a time, and
// one maximum for all of them.
inline constexpr int kTilePages = 2;
inline constexpr int kTileKeys = kTilePages * 16;

template <int kHeadDim>
__device__ __forceinline__ void score_tile(uint32_t keys, const uint32_t (&q)[kHeadDim / 16][4],
                                           float (&scores)[2 * kTilePages][4]) {
  keys += key_lane_offset<kHeadDim>(opaque(static_cast<int>(threadIdx.x)) & 31);
#pragma unroll
  for (int step = 0; step < kHeadDim / 16; ++step) {
#pragma unroll
    for (int page = 0; page < kTilePages; ++page) {
      uint32_t k[4];
      load_matrices(k, (keys + page * 32 * kHeadDim) ^ (step << 5));
      mma_16x8x16(scores[2 * page], q[step], k[0], k[1]);
      mma_16x8x16(scores[2 * page + 1], q[step], k[2], k[3]);
    }
  }
}

// Scores to weights; what the rows have is made relative to the new maximum.
template <int kHeadDim>
__device__ __forceinline__ void weigh_tile(float scale_log2, int first_key, bool is_masked,
                                           const int* s_positions,
                                           float (&scores)[2 * kTilePages][4], SoftmaxState& state,
                                           float (&out)[kHeadDim / 8][4],
                                           uint32_t (&weights)[kTilePages][4]) {
  if (is_masked) {
    const int row = static_cast<int>(threadIdx.x & 31) / 4;
    const int positions[2] = {s_positions[row], s_positions[row + 8]};
    mask_scores(scores, first_key, positions);
  }
  rescale(out, update_softmax(scores, scale_log2, state));
#pragma unroll
  for (int page = 0; page < kTilePages; ++page) {
    weights_of(scores[2 * page], scores[2 * page + 1], weights[page]);
  }
}

// out += weights v
template <int kHeadDim>
__device__ __forceinline__ void add_values(uint32_t values,
                                           const uint32_t (&weights)[kTilePages][4],
                                           float (&out)[kHeadDim / 8][4]) {
  values += value_lane_offset<kHeadDim>(opaque(static_cast<int>(threadIdx.x)) & 31);
#pragma unroll
  for (int page = 0; page < kTilePages; ++page) {
#pragma unroll
    for (int step = 0; step < kHeadDim / 16; ++step) {
      uint32_t v[4];
      load_matrices_transposed(v, (values + page * 32 * kHeadDim) ^ (step << 5));
      mma_16x8x16(out[2 * step], weights[page], v[0], v[1]);
      mma_16x8x16(out[2 * step + 1], weights[page], v[2], v[3]);
    }
  }
}

}  // namespace incipit::kernels::cuda
