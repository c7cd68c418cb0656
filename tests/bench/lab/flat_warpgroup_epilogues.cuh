// Epilogues of flat products that leave the next product's tokens as an image (TokenColumns): the
// arithmetic of kernels/cuda/flat_epilogues.cuh, to the bit, with one store of two inputs where
// that has two of one.
//
// In the engine, a step of 8 to 64 rows would have all of its activations as images (of 8, 16, 32
// or 64 tokens, those past the last row stale), one of fewer rows none: AddEpilogue,
// GateUpEpilogue, embed_rows and prepare_rows, and attention (store_chunk of rows with one chunk,
// merge_chunks) would take the kind of place as a template argument. Who reads rows otherwise: the
// head, which gathers some of them: it would copy their lines, 128 bytes of each tile, or the last
// layer's AddEpilogue writes rows.
#pragma once

#include "kernels/cuda/flat_epilogues.cuh"
#include "kernels/cuda/hopper.cuh"

namespace incipit::kernels::cuda {

// The tokens of a step as wgmma wants them in shared memory: TokenImage of large_mixed.h with as
// many tokens a tile as the step has (8, 16, 32 or 64): [cols / 64][tokens] lines of 128 bytes.
// Consecutive inputs are consecutive tiles, so any run of inputs is one bulk copy.
struct TokenColumns {
  static constexpr int32_t kCols = 64;
  static constexpr int32_t kLineBytes = 128;

  HOST_DEVICE static constexpr int64_t bytes(int32_t n_tokens, int32_t cols) {
    return round_up(cols, CudaTile::kColsPadding) / kCols * n_tokens * kLineBytes;
  }
  // Byte of an input of a token. Of 8 c + 4 s + 2 h + l in 32 inputs, c is the word of a piece of
  // 16 bytes, 2 s + h the piece, and piece i stands at i ^ (token % 8).
  HOST_DEVICE static constexpr int64_t place(int32_t n_tokens, int32_t token, int32_t input) {
    const int32_t piece = input % kCols / 32 * 4 + input % 8 / 2;
    return (int64_t{input / kCols} * n_tokens + token) * kLineBytes + (piece ^ token % 8) * 16 +
           input % 32 / 8 * 4 + input % 2 * 2;
  }
};
static_assert(TokenColumns::place(8, 0, 0) == 0 && TokenColumns::place(8, 0, 8) == 4);
static_assert(TokenColumns::place(8, 1, 2) == 128 && TokenColumns::place(8, 1, 4) == 128 + 3 * 16);
static_assert(TokenColumns::place(16, 9, 64 + 37) == 16 * 128 + 9 * 128 + (6 ^ 1) * 16 + 2);

// Stores an output's values for tokens 2 c and 2 c + 1, of the eight outputs from `first_output` on
// that the warp's rows g are: transposed, a lane has outputs 2 c and 2 c + 1 of token g.
__device__ __forceinline__ void store_columns(std::byte* image, int32_t n_tokens, int first_output,
                                              int first_token, int n_rows, const float (&values)[2],
                                              int lane) {
  const uint32_t pair = saturated_half(values[0]) | uint32_t{saturated_half(values[1])} << 16;
  const uint32_t of_token = transposed(pair);
  const int token = first_token + lane / 4;
  if (token >= n_rows) return;
  std::byte* const to = image + TokenColumns::place(n_tokens, token, first_output + lane % 4 * 2);
  *reinterpret_cast<uint32_t*>(to) = of_token;
}

// x += W in, and the rows for the next norm.
struct ImageAddEpilogue : AddEpilogue {
  std::byte* image;
  int32_t n_tokens;  // of the image

  __device__ __forceinline__ void finish(const Inputs& in, int tile, int first_token, int n_rows,
                                         const float (&d)[4], const float*, int lane) const {
    const int row = tile * CudaTile::kRows + lane / 4;
    float normed_low[2];
    float normed_high[2];
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
      normed_low[i] = __fmul_rn(low, in.norm_low);
      normed_high[i] = __fmul_rn(high, in.norm_high);
      float square = __fmaf_rn(high, high, __fmul_rn(low, low));
      for (int mask = 4; mask < kWarp; mask *= 2) square += __shfl_xor_sync(~0u, square, mask);
      if (is_row && lane / 4 == 0)
        next.square_sums[int64_t{token} * (hidden / CudaTile::kRows) + tile] = square;
    }
    const int first_output = tile * CudaTile::kRows;
    store_columns(image, n_tokens, first_output, first_token, n_rows, normed_low, lane);
    store_columns(image, n_tokens, first_output + 8, first_token, n_rows, normed_high, lane);
  }
};

struct ImageGateUpEpilogue {
  std::byte* image;
  int32_t n_tokens;  // of the image

  struct Inputs {};
  __device__ __forceinline__ Inputs load(int, int, int, int) const { return {}; }

  __device__ __forceinline__ void finish(const Inputs&, int tile, int first_token, int n_rows,
                                         const float (&d)[4], const float* s_norm, int lane) const {
    float act[2];
    for (int i = 0; i < 2; ++i) {
      const float norm = s_norm[min(first_token + lane % 4 * 2 + i, n_rows - 1)];
      const float gate = __fmul_rn(d[i], norm);
      const float up = __fmul_rn(d[i + 2], norm);
      const float silu = __fdividef(gate, __fadd_rn(1.0f, __expf(-gate)));
      act[i] = __fmul_rn(silu, up);
    }
    store_columns(image, n_tokens, tile * 8, first_token, n_rows, act, lane);
  }
};

}  // namespace incipit::kernels::cuda
