// The arithmetic of attention on INT8 pages (kernels/quant/kv_int8_layout.h). Bytes come to shared
// memory as they are and become fp16 fragments, exactly, on their way to the tensor cores; the
// order of sums is that of fp16 pages, so what is promised of those holds here too.
//
// With key k_j = a_j kq_j and value v_j = b_j vq_j of token j (a, b: scales), a row's output is
//   sum_j 2^(s a_j (q . kq_j)) b_j vq_j  /  sum_j 2^(s a_j (q . kq_j)),        s = scale_log2.
// b_j must enter before the weights become fp16, and scales range over forty binary orders: weights
// relative to the largest score would fall below fp16 wherever that score belongs to small values
// (as those of a sequence's first token, at which heads look when they look for nothing). So b_j
// goes into the exponent: t_j = s a_j (q . kq_j) + log2 b_j, and everything is relative to
// M = max t_j: the tensor cores get 2^(t_j - M) <= 1, of which the largest is 1, whatever the
// scales are, and the sum gets 2^(t_j - M) / b_j. As 2^-31 <= b_j < 2^9.1, the largest term of the
// sum is in 2^-9.1 .. 2^31: float holds all of it.
#pragma once

#include "kernels/cuda/attention_args.cuh"
#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/vector_load.cuh"
#include "kernels/quant/kv_int8_layout.h"

namespace incipit::kernels::cuda {

// Rows of kHeadDim bytes in shared memory: 16-byte units exchanged so that ldmatrix finds eight
// rows in eight different bank groups (two rows share 128 bytes at head_dim 64). Bases are 128-byte
// aligned.
template <int kHeadDim>
__device__ __forceinline__ uint32_t swizzled_bytes(int row, int unit) {
  constexpr int kUnits = kHeadDim / 16;
  constexpr int kRowsABank = 128 / kHeadDim;
  return static_cast<uint32_t>(row * kHeadDim + ((unit ^ (row / kRowsABank & (kUnits - 1))) << 4));
}
// Lane offsets for ldmatrix at unit 0: of four times 8 keys at one unit (unit i is at
// `offset ^ (i << 4)`), and of 16 tokens' values at two, transposed (at `offset ^ (i << 5)` those
// from 2 i on).
template <int kHeadDim>
__device__ __forceinline__ uint32_t key_lane_bytes(int lane) {
  return swizzled_bytes<kHeadDim>(lane, 0);
}
template <int kHeadDim>
__device__ __forceinline__ uint32_t value_lane_bytes(int lane) {
  return swizzled_bytes<kHeadDim>(lane & 15, lane >> 4);
}

// Two of four bytes q + 128 as a pair of fp16: 0x6400 + byte is 1024 + byte.
constexpr uint32_t kKeysLow = 0x4140;     // bytes 0 and 1
constexpr uint32_t kKeysHigh = 0x4342;    // bytes 2 and 3
constexpr uint32_t kValuesLow = 0x4240;   // bytes 0 and 2
constexpr uint32_t kValuesHigh = 0x4341;  // bytes 1 and 3
template <uint32_t kWhich>
__device__ __forceinline__ uint32_t widened(uint32_t bytes) {
  constexpr uint32_t kBiased = 0x64806480;  // 1152, twice
  const uint32_t biased = __byte_perm(bytes, 0x64646464u, kWhich);
  half2 values, bias;
  __builtin_memcpy(&values, &biased, sizeof(values));
  __builtin_memcpy(&bias, &kBiased, sizeof(bias));
  values = __hsub2(values, bias);
  uint32_t result;
  __builtin_memcpy(&result, &values, sizeof(result));
  return result;
}

__device__ __forceinline__ float2 load_shared_pair(uint32_t address) {
  float2 pair;
  asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];"
               : "=f"(pair.x), "=f"(pair.y)
               : "r"(address)
               : "memory");
  return pair;
}

// Of the lane's columns 8 j + 2 c and 8 j + 2 c + 1; `scales`: of column 0 in shared memory.
__device__ __forceinline__ float2 column_scales(uint32_t scales, int j) {
  return load_shared_pair(scales + (threadIdx.x & 3) * 8 + j * 32);
}
__device__ __forceinline__ float2 inverse_of(float2 log_b) {
  return make_float2(exp2_fast(-log_b.x), exp2_fast(-log_b.y));
}

// A dot product becomes t.
__device__ __forceinline__ void to_exponents(float2 a, float2 log_b, float scale_log2,
                                             float (&scores)[4]) {
  const float factor[2] = {__fmul_rn(a.x, scale_log2), __fmul_rn(a.y, scale_log2)};
  scores[0] = __fmaf_rn(scores[0], factor[0], log_b.x);
  scores[1] = __fmaf_rn(scores[1], factor[1], log_b.y);
  scores[2] = __fmaf_rn(scores[2], factor[0], log_b.x);
  scores[3] = __fmaf_rn(scores[3], factor[1], log_b.y);
}

// update_softmax() for exponents: the state's maximum is M, in base 2. inverse(j) is 1 / b of the
// lane's columns.
template <int kColumns, class Inverse>
__device__ __forceinline__ float2 update_softmax(float (&scores)[kColumns][4],
                                                 const Inverse& inverse, SoftmaxState& state) {
  float factor[2];
  float base[2];
  float sum[2] = {0, 0};
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float largest = state.largest[half];
#pragma unroll
    for (int j = 0; j < kColumns; ++j) {
      largest = fmaxf(largest, fmaxf(scores[j][2 * half], scores[j][2 * half + 1]));
    }
    largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 1));
    largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 2));
    base[half] = largest == -INFINITY ? 0.0f : largest;
    factor[half] = exp2_fast(__fsub_rn(state.largest[half], base[half]));
    state.largest[half] = largest;
  }
#pragma unroll
  for (int j = 0; j < kColumns; ++j) {
    const float2 inverse_b = inverse(j);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      scores[j][i] = exp2_fast(__fsub_rn(scores[j][i], base[i / 2]));
      sum[i / 2] = __fmaf_rn(scores[j][i], i % 2 == 0 ? inverse_b.x : inverse_b.y, sum[i / 2]);
    }
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    state.sum[half] = __fmaf_rn(state.sum[half], factor[half], sum[half]);
  }
  return {factor[0], factor[1]};
}

// A KV head's block of a page.
template <int kHeadDim>
__device__ __forceinline__ const std::byte* int8_block(const AttentionArgs& args,
                                                       const uint16_t* pages, int page,
                                                       int kv_head) {
  return reinterpret_cast<const std::byte*>(pages) +
         (int64_t{page} * args.n_kv_heads + kv_head) * KvInt8Layout::head_bytes(kHeadDim);
}

// INT8 pages as flat attention takes them: a stage is 32 rows of bytes and, with keys, the scales
// of the tile's keys, then the logarithms of those of its values.
template <int kDim>
struct Int8Pages {
  static constexpr int kHeadDim = kDim;
  static constexpr int kRowBytes = kTileKeys * kDim;
  static constexpr int kStageBytes = kRowBytes + 2 * kTileKeys * 4;
  // Nearly as many bytes on their way as with fp16 (96 KB of a block at head_dim 128): six stages
  // would be a little more than sm_86 has.
  static constexpr int kNarrowStages = 5;

  struct KeyScales {
    float2 inverse[2 * kTilePages];  // 1 / b; the stage may be filled again before they are used
  };

  template <int kCopiers>
  __device__ static __forceinline__ void copy_stage(const AttentionArgs& args, int table, int key,
                                                    int end_key, int kv_head, bool is_values,
                                                    uint32_t stage) {
    constexpr int kUnits = kDim / 16;
    constexpr int kPageUnits = kPageTokens * kUnits;
    int pages[kTilePages];
#pragma unroll
    for (int i = 0; i < kTilePages; ++i) {
      // Past the last page comes the last again: it is masked.
      pages[i] = args.page_tables[table + min(key + i * kPageTokens, end_key - 1) / kPageTokens];
    }
    const uint16_t* const from = is_values ? args.v_pages : args.k_pages;
    const int copier = opaque(static_cast<int>(threadIdx.x)) % kCopiers;
#pragma unroll
    for (int n = 0; n < kTilePages * kPageUnits / kCopiers; ++n) {
      const int unit = copier + n * kCopiers;
      const int page = unit < kPageUnits ? pages[0] : pages[1];
      copy_async(stage + swizzled_bytes<kDim>(unit / kUnits, unit % kUnits),
                 int8_block<kDim>(args, from, page, kv_head) + unit % kPageUnits * 16);
    }
    constexpr int kScaleUnits = KvInt8Layout::kScaleBytes / 16;  // of a page
    if (!is_values && copier < 2 * kTilePages * kScaleUnits) {
      const bool is_second = copier / kScaleUnits % kTilePages != 0;
      const uint16_t* const of = copier < kTilePages * kScaleUnits ? args.k_pages : args.v_pages;
      copy_async(stage + kRowBytes + copier * 16,
                 int8_block<kDim>(args, of, is_second ? pages[1] : pages[0], kv_head) +
                     kPageTokens * kDim + copier % kScaleUnits * 16);
    }
  }

  __device__ static __forceinline__ KeyScales score(uint32_t stage, float scale_log2,
                                                    const uint32_t (&q)[kDim / 16][4],
                                                    float (&scores)[2 * kTilePages][4]) {
    const uint32_t keys = stage + key_lane_bytes<kDim>(opaque(static_cast<int>(threadIdx.x)) & 31);
    static_assert(kTileKeys == 32);
#pragma unroll
    for (int step = 0; step < kDim / 16; ++step) {
      uint32_t k[4];  // of 8 keys each
      load_matrices(k, keys ^ (step << 4));
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        mma_16x8x16(scores[i], q[step], widened<kKeysLow>(k[i]), widened<kKeysHigh>(k[i]));
      }
    }
    KeyScales scales;
#pragma unroll
    for (int j = 0; j < 2 * kTilePages; ++j) {
      const float2 log_b = column_scales(stage + kRowBytes + kTileKeys * 4, j);
      to_exponents(column_scales(stage + kRowBytes, j), log_b, scale_log2, scores[j]);
      scales.inverse[j] = inverse_of(log_b);
    }
    return scales;
  }

  __device__ static __forceinline__ void weigh(float, const KeyScales& scales, int first_key,
                                               bool is_masked, const int* s_positions,
                                               float (&scores)[2 * kTilePages][4],
                                               SoftmaxState& state, float (&out)[kDim / 8][4],
                                               uint32_t (&weights)[kTilePages][4]) {
    if (is_masked) {
      const int row = static_cast<int>(threadIdx.x & 31) / 4;
      const int positions[2] = {s_positions[row], s_positions[row + 8]};
      mask_scores(scores, first_key, positions);
    }
    rescale(out, update_softmax(
                     scores, [&](int j) { return scales.inverse[j]; }, state));
#pragma unroll
    for (int page = 0; page < kTilePages; ++page) {
      weights_of(scores[2 * page], scores[2 * page + 1], weights[page]);
    }
  }

  __device__ static __forceinline__ void add(uint32_t stage,
                                             const uint32_t (&weights)[kTilePages][4],
                                             float (&out)[kDim / 8][4]) {
    const uint32_t values =
        stage + value_lane_bytes<kDim>(opaque(static_cast<int>(threadIdx.x)) & 31);
#pragma unroll
    for (int page = 0; page < kTilePages; ++page) {
#pragma unroll
      for (int pair = 0; pair < kDim / 32; ++pair) {
        uint32_t v[4];
        load_matrices_transposed(v, (values + page * kPageTokens * kDim) ^ (pair << 5));
#pragma unroll
        for (int step = 0; step < 2; ++step) {
          float(&low)[4] = out[4 * pair + 2 * step];
          float(&high)[4] = out[4 * pair + 2 * step + 1];
          mma_16x8x16(low, weights[page], widened<kValuesLow>(v[2 * step]),
                      widened<kValuesLow>(v[2 * step + 1]));
          mma_16x8x16(high, weights[page], widened<kValuesHigh>(v[2 * step]),
                      widened<kValuesHigh>(v[2 * step + 1]));
        }
      }
    }
  }

  // A row's largest exponent.
  __device__ static __forceinline__ float base2(float largest, float) {
    return largest;
  }
};

}  // namespace incipit::kernels::cuda
