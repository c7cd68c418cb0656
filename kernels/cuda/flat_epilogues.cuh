// What follows a flat product, by one warp for 16 outputs and 8 tokens at a time: lane (g, c) has
// outputs g and g + 8 of the tile (what RowOrder put there) for tokens 2 c and 2 c + 1. load() gets
// what finish() needs from memory, so that its latency passes while the sums are made. Every
// multiplication that meets an addition is written as an intrinsic: the compiler must not contract
// one kernel's and leave another's, since both must give the same bits.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include "kernels/cuda/flat_matmul.h"
#include "kernels/cuda/flat_operands.cuh"

namespace incipit::kernels::cuda {

// fp16 limited to +-65504; NaN stays.
__device__ __forceinline__ uint16_t saturated_half(float value) {
  const float limit = 65504.0f;
  const float limited = value > limit ? limit : value < -limit ? -limit : value;
  return __half_as_ushort(__float2half_rn(limited));
}

// 1 / root of the mean square of each row, to s_norm[token]; one warp a row, in one order. Two rows
// of a warp are asked for before the first is added.
__device__ __forceinline__ void reduce_norms(const FlatRows& in, int32_t cols, int warp,
                                             int n_warps, int lane, float* s_norm) {
  if (in.square_sums == nullptr) return;
  const int32_t n_sums = cols / 16;
#pragma unroll 1
  for (int token = warp; token < in.n_rows; token += 2 * n_warps) {
    const int other = min(token + n_warps, in.n_rows - 1);
    const float* sums = in.square_sums + in.row_of(token) * n_sums;
    const float* other_sums = in.square_sums + in.row_of(other) * n_sums;
    float total = 0.0f;
    float other_total = 0.0f;
#pragma unroll 8
    for (int32_t i = lane; i < n_sums; i += kWarp) {
      total += sums[i];
      other_total += other_sums[i];
    }
    for (int mask = 1; mask < kWarp; mask *= 2) {
      total += __shfl_xor_sync(~0u, total, mask);
      other_total += __shfl_xor_sync(~0u, other_total, mask);
    }
    if (lane != 0) continue;
    const auto width = static_cast<float>(cols);
    s_norm[token] = __frsqrt_rn(__fadd_rn(__fdiv_rn(total, width), in.norm_eps));
    if (token + n_warps < in.n_rows)
      s_norm[other] = __frsqrt_rn(__fadd_rn(__fdiv_rn(other_total, width), in.norm_eps));
  }
}

struct RopeAppendEpilogue {
  RowBatch rows;
  HeadShape heads;
  const float* rope_cos;
  const float* rope_sin;
  uint16_t* q;
  uint16_t* k_pages;  // fp16, CUDA's order
  uint16_t* v_pages;

  // Where a token's row of kv head `head` is in `pages`.
  __device__ __forceinline__ uint16_t* slot(uint16_t* pages, int token, int position,
                                            int head) const {
    const int32_t* table =
        rows.page_tables + int64_t{rows.sequence_of_row[token]} * rows.page_table_stride;
    const int64_t page = table[position / kPageTokens];
    return pages + ((page * heads.n_kv_heads + head) * kPageTokens + position % kPageTokens) *
                       heads.head_dim;
  }

  // Of two tokens: where outputs g and g + 8 go (null: nowhere), and the angle of their pair.
  struct Inputs {
    uint16_t* to[2];
    float cos[2];
    float sin[2];
    int32_t apart;  // between the two outputs
  };

  __device__ __forceinline__ Inputs load(int tile, int first_token, int n_rows, int lane) const {
    Inputs in = {};
    const int row = tile * CudaTile::kRows;
    const int head = row / heads.head_dim;
    const int in_head = row % heads.head_dim;
    const bool is_v = head >= heads.n_heads + heads.n_kv_heads;
    const int half = heads.head_dim / 2;
    const int place = (is_v ? in_head : in_head / 2) + lane / 4;
    in.apart = is_v ? 8 : half;
    for (int i = 0; i < 2; ++i) {
      const int token = first_token + lane % 4 * 2 + i;
      in.cos[i] = 1.0f;
      if (token >= n_rows) continue;
      const int position = rows.positions[token];
      if (!is_v) {
        const int64_t angle = int64_t{position < 0 ? 0 : position} * half + place;
        in.cos[i] = rope_cos[angle];
        in.sin[i] = rope_sin[angle];
      }
      if (head < heads.n_heads) {
        in.to[i] = q + (int64_t{token} * heads.n_heads + head) * heads.head_dim + place;
      } else if (position >= 0) {
        in.to[i] = (is_v ? slot(v_pages, token, position, head - heads.n_heads - heads.n_kv_heads)
                         : slot(k_pages, token, position, head - heads.n_heads)) +
                   place;
      }
    }
    return in;
  }

  __device__ __forceinline__ void finish(const Inputs& in, int tile, int first_token, int,
                                         const float (&d)[4], const float* s_norm, int lane) const {
    const bool is_v = tile * CudaTile::kRows >= (heads.n_heads + heads.n_kv_heads) * heads.head_dim;
    for (int i = 0; i < 2; ++i) {
      if (in.to[i] == nullptr) continue;
      const float norm = s_norm[first_token + lane % 4 * 2 + i];
      const float low = __fmul_rn(d[i], norm);
      const float high = __fmul_rn(d[i + 2], norm);
      const float first = __fmaf_rn(low, in.cos[i], -__fmul_rn(high, in.sin[i]));
      const float second = __fmaf_rn(high, in.cos[i], __fmul_rn(low, in.sin[i]));
      in.to[i][0] = saturated_half(is_v ? low : first);
      in.to[i][in.apart] = saturated_half(is_v ? high : second);
    }
  }
};

struct AddEpilogue {
  int32_t hidden;
  float* x;
  const float* next_norm_weight;
  NormedRows next;

  struct Inputs {
    float low[2];  // x of outputs g and g + 8, of two tokens
    float high[2];
    float norm_low;
    float norm_high;
  };

  __device__ __forceinline__ Inputs load(int tile, int first_token, int n_rows, int lane) const {
    Inputs in = {};
    const int row = tile * CudaTile::kRows + lane / 4;
    for (int i = 0; i < 2; ++i) {
      const int token = first_token + lane % 4 * 2 + i;
      if (token >= n_rows) continue;
      in.low[i] = x[int64_t{token} * hidden + row];
      in.high[i] = x[int64_t{token} * hidden + row + 8];
    }
    if (next_norm_weight != nullptr) {
      in.norm_low = next_norm_weight[row];
      in.norm_high = next_norm_weight[row + 8];
    }
    return in;
  }

  __device__ __forceinline__ void finish(const Inputs& in, int tile, int first_token, int n_rows,
                                         const float (&d)[4], const float*, int lane) const {
    const int row = tile * CudaTile::kRows + lane / 4;
    for (int i = 0; i < 2; ++i) {
      const int token = first_token + lane % 4 * 2 + i;
      const bool is_row = token < n_rows;
      const int64_t at = int64_t{token} * hidden + row;
      const float low = __fadd_rn(in.low[i], d[i]);
      const float high = __fadd_rn(in.high[i], d[i + 2]);
      if (is_row) {
        x[at] = low;
        x[at + 8] = high;
      }
      if (next_norm_weight == nullptr) continue;
      float square = __fmaf_rn(high, high, __fmul_rn(low, low));
      for (int mask = 4; mask < kWarp; mask *= 2) square += __shfl_xor_sync(~0u, square, mask);
      if (!is_row) continue;
      next.values[at] = saturated_half(__fmul_rn(low, in.norm_low));
      next.values[at + 8] = saturated_half(__fmul_rn(high, in.norm_high));
      if (lane / 4 == 0)
        next.square_sums[int64_t{token} * (hidden / CudaTile::kRows) + tile] = square;
    }
  }
};

struct GateUpEpilogue {
  int32_t ffn;
  uint16_t* act;

  struct Inputs {};
  __device__ __forceinline__ Inputs load(int, int, int, int) const { return {}; }

  __device__ __forceinline__ void finish(const Inputs&, int tile, int first_token, int n_rows,
                                         const float (&d)[4], const float* s_norm, int lane) const {
    for (int i = 0; i < 2; ++i) {
      const int token = first_token + lane % 4 * 2 + i;
      if (token >= n_rows) continue;
      const float gate = __fmul_rn(d[i], s_norm[token]);
      const float up = __fmul_rn(d[i + 2], s_norm[token]);
      const float silu = __fdividef(gate, __fadd_rn(1.0f, __expf(-gate)));
      act[int64_t{token} * ffn + tile * 8 + lane / 4] = saturated_half(__fmul_rn(silu, up));
    }
  }
};

struct LogitsEpilogue {
  int32_t vocab;
  const std::byte* scales;  // of tile 0, 16 floats each tile_bytes; null: none
  int64_t tile_bytes;
  float* logits;

  struct Inputs {
    float scale[2];  // of outputs g and g + 8
  };
  __device__ __forceinline__ Inputs load(int tile, int, int, int lane) const {
    if (scales == nullptr) return {1.0f, 1.0f};
    const auto* of_tile = reinterpret_cast<const float*>(scales + tile * tile_bytes);
    return {of_tile[lane / 4], of_tile[lane / 4 + 8]};
  }

  __device__ __forceinline__ void finish(const Inputs& in, int tile, int first_token, int n_rows,
                                         const float (&d)[4], const float* s_norm, int lane) const {
    const int row = tile * CudaTile::kRows + lane / 4;
    for (int i = 0; i < 2; ++i) {
      const int token = first_token + lane % 4 * 2 + i;
      if (token >= n_rows) continue;
      float* to = logits + int64_t{token} * vocab + row;
      if (row < vocab) to[0] = __fmul_rn(__fmul_rn(d[i], in.scale[0]), s_norm[token]);
      if (row + 8 < vocab) to[8] = __fmul_rn(__fmul_rn(d[i + 2], in.scale[1]), s_norm[token]);
    }
  }
};

}  // namespace incipit::kernels::cuda
