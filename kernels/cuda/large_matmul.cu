// INT4 to fp16: w = (q - zero) * scale, rounded once to fp16. Bound by writing: 4.1 bits come in
// and 16 go out.
//
// A warp takes four words of 16 x 64 weights, which follow each other in a tile: four loads of 16
// bytes a lane are in flight before the first is used. Of a word a lane has 8 consecutive inputs of
// rows g and g + 8, twice; neighbours exchange halves, so that eight lanes store the 128 bytes of a
// row. No shared memory. Grid over (tile, four words), 256 threads.
#include <cuda_fp16.h>

#include "kernels/common/check.h"
#include "kernels/common/math.h"
#include "kernels/cuda/int4_dequant.cuh"
#include "kernels/cuda/large_matmul.h"
#include "kernels/cuda/pdl.cuh"

namespace incipit::kernels::cuda {

namespace {

constexpr int kExpandThreads = 256;
constexpr int kWarps = kExpandThreads / 32;
constexpr int kWords = 4;  // of a warp

struct DequantizeParams {
  Int4View<CudaTile> w;
  RowOrder order;
  HeadOrder heads;  // of the slice's own rows
  WeightSlice slice;
  int32_t group_shift;  // log2 of the group
  int32_t n_runs;       // of kWords words in a row of the slice
  uint16_t* to;
};

// Scales and zero points of rows g and g + 8 for the group of one input.
struct GroupOfLane {
  half2 scale_g, scale_g8;
  ZeroPoints zeros;
};

template <bool kHasZeros>
__device__ __forceinline__ GroupOfLane load_group(const std::byte* scales, const std::byte* zeros,
                                                  int32_t group, int g) {
  const int64_t quad = group / CudaTile::kQuadGroups;
  const int in_quad = group % CudaTile::kQuadGroups;
  const half2 pair = *reinterpret_cast<const half2*>(scales + quad * CudaTile::kScaleQuadBytes +
                                                     g * 16 + in_quad * 4);
  GroupOfLane lane = {__low2half2(pair), __high2half2(pair), symmetric_zero_points()};
  if constexpr (kHasZeros) {
    const auto z = *reinterpret_cast<const uchar2*>(zeros + quad * CudaTile::kZeroQuadBytes +
                                                    g * 8 + in_quad * 2);
    lane.zeros = zero_points(z.x, z.y);
  }
  return lane;
}

__device__ __forceinline__ uint32_t scaled(uint32_t pair, half2 scale) {
  return as_bits(__hmul2(as_half2(pair), scale));
}

__device__ __forceinline__ uint4 from_neighbour(const uint4& v) {
  return make_uint4(__shfl_xor_sync(~0u, v.x, 4), __shfl_xor_sync(~0u, v.y, 4),
                    __shfl_xor_sync(~0u, v.z, 4), __shfl_xor_sync(~0u, v.w, 4));
}

// By value: a choice between places would put them into local memory.
__device__ __forceinline__ uint4 chosen(bool first, uint4 a, uint4 b) {
  return make_uint4(first ? a.x : b.x, first ? a.y : b.y, first ? a.z : b.z, first ? a.w : b.w);
}

// `mine` are the two halves of 64 inputs of this lane's row; the even row goes to `even`, the odd
// one to `odd`, and the lanes of an odd g store the second halves. past_end > 0: no row exists,
// == 0: the even one alone.
__device__ __forceinline__ void store_rows(const uint4 (&mine)[2], bool is_odd, uint16_t* even,
                                           uint16_t* odd, int32_t word_col, int32_t n_cols,
                                           int lane, int32_t past_end) {
  const uint4 other = from_neighbour(chosen(is_odd, mine[0], mine[1]));
  const int32_t col = word_col + (is_odd ? 32 : 0) + lane % 4 * 8;
  if (col >= n_cols) return;
  if (past_end <= 0) *reinterpret_cast<uint4*>(even + col) = chosen(is_odd, other, mine[0]);
  if (past_end < 0) *reinterpret_cast<uint4*>(odd + col) = chosen(is_odd, mine[1], other);
}

template <bool kHasZeros>
__global__ void __launch_bounds__(kExpandThreads) dequantize_kernel(DequantizeParams params) {
  const Int4Shape& shape = params.w.shape;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int g = lane / 4;
  const int64_t item = int64_t{blockIdx.x} * kWarps + warp;
  const auto tile = static_cast<int32_t>(item / params.n_runs);
  const auto first = static_cast<int32_t>(item % params.n_runs) * (kWords * CudaTile::kWordCols);
  const int32_t row_g = tile * CudaTile::kRows + g;  // in the slice
  if (tile * CudaTile::kRows >= params.slice.n_rows) return;

  const std::byte* const g_tile =
      params.w.data + CudaTile::tile_of(shape, params.slice.first_row + tile * CudaTile::kRows);
  const std::byte* const g_scales = g_tile + CudaTile::quant_bytes(shape);
  const std::byte* const g_zeros =
      g_scales + CudaTile::n_scale_quads(shape) * CudaTile::kScaleQuadBytes;
  const std::byte* const g_words =
      g_tile + (params.slice.first_col + first) / CudaTile::kWordCols * CudaTile::kWordBytes;
  uint4 words[kWords];
#pragma unroll
  for (int i = 0; i < kWords; ++i) {
    // Read once a step: marked as the first to go from L2, which the expanded slice should keep.
    const bool is_there = first + i * CudaTile::kWordCols < params.slice.n_cols;
    words[i] = make_uint4(0, 0, 0, 0);
    if (is_there)
      words[i] = __ldcs(reinterpret_cast<const uint4*>(g_words + i * CudaTile::kWordBytes) + lane);
  }

  pdl_wait();
  const int32_t n_cols = params.slice.n_cols;
  // Lanes of an even and an odd g share two rows: of the even row they store all 64 inputs, then of
  // the odd row, so that a store covers whole lines.
  const bool is_odd = g % 2 != 0;
  const auto row_pointer = [&](int32_t row) {
    return params.to +
           int64_t{logical_row(params.order, params.heads, params.slice.n_rows, row)} * n_cols;
  };
  const int32_t even_row = row_g - g % 2;
  uint16_t* const to[4] = {row_pointer(even_row), row_pointer(even_row + 1),
                           row_pointer(even_row + 8), row_pointer(even_row + 9)};
#pragma unroll
  for (int i = 0; i < kWords; ++i) {
    const int32_t word_col = first + i * CudaTile::kWordCols;
    uint4 row_g_halves[2], row_g8_halves[2];
    const uint32_t word[4] = {words[i].x, words[i].y, words[i].z, words[i].w};
#pragma unroll
    for (int b = 0; b < 2; ++b) {
      // Beyond the last input: any group, nothing is stored. (All lanes must exchange.)
      const int32_t col = params.slice.first_col + min(word_col + b * 32, n_cols - 1);
      const GroupOfLane group =
          load_group<kHasZeros>(g_scales, g_zeros, col >> params.group_shift, g);
      uint32_t low[4], high[4];  // inputs 0..3 and 4..7, of both rows by turns
      dequantize_word(word[2 * b], group.zeros, low);
      dequantize_word(word[2 * b + 1], group.zeros, high);
      row_g_halves[b] = make_uint4(scaled(low[0], group.scale_g), scaled(low[2], group.scale_g),
                                   scaled(high[0], group.scale_g), scaled(high[2], group.scale_g));
      row_g8_halves[b] =
          make_uint4(scaled(low[1], group.scale_g8), scaled(low[3], group.scale_g8),
                     scaled(high[1], group.scale_g8), scaled(high[3], group.scale_g8));
    }
    store_rows(row_g_halves, is_odd, to[0], to[1], word_col, n_cols, lane,
               row_g - g % 2 + 1 - params.slice.n_rows);
    store_rows(row_g8_halves, is_odd, to[2], to[3], word_col, n_cols, lane,
               row_g - g % 2 + 9 - params.slice.n_rows);
  }
}

int32_t log2_of(int32_t value) {
  int32_t shift = 0;
  while ((1 << shift) < value) ++shift;
  CHECK_EQ(1 << shift, value);
  return shift;
}

}  // namespace

void dequantize(const Int4View<CudaTile>& w, RowOrder order, const HeadOrder& heads,
                const WeightSlice& slice, uint16_t* to, const LaunchContext& context) {
  CHECK_EQ(slice.first_row % CudaTile::kRows, 0);
  CHECK_EQ(slice.first_col % CudaTile::kColsPadding, 0);
  CHECK_EQ(slice.n_cols % 8, 0);
  CHECK_LE(slice.first_row + slice.n_rows, w.shape.rows);
  CHECK_LE(slice.first_col + slice.n_cols, w.shape.cols);
  DequantizeParams params = {w, order, heads, slice, log2_of(w.shape.group), 0, to};
  params.heads.n_turned -= slice.first_row;
  params.n_runs =
      static_cast<int32_t>(ceil_div(slice.n_cols, int64_t{kWords} * CudaTile::kWordCols));
  const int64_t n_items = ceil_div(slice.n_rows, CudaTile::kRows) * params.n_runs;
  if (n_items == 0) return;
  launch(context, w.shape.has_zeros ? dequantize_kernel<true> : dequantize_kernel<false>,
         static_cast<unsigned>(ceil_div(n_items, kWarps)), kExpandThreads, 0, params);
}

}  // namespace incipit::kernels::cuda
