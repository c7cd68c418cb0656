// Keys and values to their pages, where the product before has not put them there itself: of large
// steps (rope_append), and to INT8 pages of flat ones (quantize_rows). A thread has values
// d .. d + 7 of a head and those half a head further: what RoPE turns together. Grid over the heads
// of a row, and over rows; 256 and 128 threads. No dynamic shared memory.
#include "kernels/common/check.h"
#include "kernels/common/math.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/kv_quantize.cuh"
#include "kernels/cuda/pdl.cuh"
#include "kernels/cuda/row_values.cuh"

namespace incipit::kernels::cuda {

namespace {

constexpr int kRopeThreads = 256;
// All keys and values of a row at the Llama-3-8B shape: 16 heads of 8 threads.
constexpr int kQuantizeThreads = 128;

// Where the token of `row` stands in the pages of kv head `head`.
__device__ __forceinline__ int64_t slot_of(const RowBatch& rows, const HeadShape& heads,
                                           int32_t row, int32_t position, int32_t head) {
  const int64_t page =
      rows.page_tables[int64_t{rows.sequence_of_row[row]} * rows.page_table_stride +
                       position / kPageTokens];
  return ((page * heads.n_kv_heads + head) * kPageTokens + position % kPageTokens) * heads.head_dim;
}

// The block of kv head `head` in the page of that position.
__device__ __forceinline__ std::byte* block_of(const RowBatch& rows, const HeadShape& heads,
                                               int32_t row, int32_t position, int32_t head,
                                               uint16_t* pages) {
  const int64_t page =
      rows.page_tables[int64_t{rows.sequence_of_row[row]} * rows.page_table_stride +
                       position / kPageTokens];
  return reinterpret_cast<std::byte*>(pages) +
         (page * heads.n_kv_heads + head) * KvInt8Layout::head_bytes(heads.head_dim);
}

template <KvType kType>
__global__ void __launch_bounds__(kRopeThreads) rope_append_kernel(RopeAppendParams params) {
  pdl_wait();
  pdl_launch_next();
  const HeadShape& heads = params.heads;
  const int32_t half = heads.head_dim / 2;
  const int32_t n_parts = half / kVector;
  const int32_t n_heads = heads.n_heads + 2 * heads.n_kv_heads;
  const int32_t item = static_cast<int32_t>(blockIdx.x * kRopeThreads + threadIdx.x);
  if (item >= n_heads * n_parts) return;
  const auto row = static_cast<int32_t>(blockIdx.y);
  const int32_t head = item / n_parts;
  const int32_t d = item % n_parts * kVector;
  const int32_t position = params.rows.positions[row];
  const bool is_q = head < heads.n_heads;
  if (position < 0 && !is_q) return;

  float a[kVector], b[kVector];
  const uint16_t* const from = params.qkv + (int64_t{row} * n_heads + head) * heads.head_dim + d;
  load_halves(from, a);
  load_halves(from + half, b);
  if (head < heads.n_heads + heads.n_kv_heads) {
    float c[kVector], s[kVector];
    const int64_t angle = int64_t{position < 0 ? 0 : position} * half + d;
    load_floats(params.rope_cos + angle, c);
    load_floats(params.rope_sin + angle, s);
#pragma unroll
    for (int i = 0; i < kVector; ++i) {
      // A product beyond fp16 is an infinity here; limited, the turn has no NaN.
      const float low = limited(a[i]);
      const float high = limited(b[i]);
      a[i] = low * c[i] - high * s[i];
      b[i] = high * c[i] + low * s[i];
    }
  }
  if constexpr (kType == KvType::kInt8) {
    if (!is_q) {
#pragma unroll
      for (int i = 0; i < kVector; ++i) {
        a[i] = limited(a[i]);
        b[i] = limited(b[i]);
      }
      const bool is_v = head >= heads.n_heads + heads.n_kv_heads;
      const int32_t kv_head = head - heads.n_heads - (is_v ? heads.n_kv_heads : 0);
      uint16_t* const pages = is_v ? params.kv.v_pages : params.kv.k_pages;
      quantize_token(a, b, is_v, heads.head_dim, item % n_parts, position % kPageTokens,
                     block_of(params.rows, heads, row, position, kv_head, pages));
      return;
    }
  }
  uint16_t* to = nullptr;
  if (is_q) {
    to = params.q + (int64_t{row} * heads.n_heads + head) * heads.head_dim;
  } else if (head < heads.n_heads + heads.n_kv_heads) {
    to = params.kv.k_pages + slot_of(params.rows, heads, row, position, head - heads.n_heads);
  } else {
    to = params.kv.v_pages +
         slot_of(params.rows, heads, row, position, head - heads.n_heads - heads.n_kv_heads);
  }
  store_halves(a, to + d);
  store_halves(b, to + d + half);
}

__global__ void __launch_bounds__(kQuantizeThreads)
    quantize_rows_kernel(QuantizeRowsParams params) {
  pdl_launch_next();
  if (!params.inputs_settled) pdl_wait();
  const HeadShape& heads = params.heads;
  const int32_t n_parts = heads.head_dim / (2 * kVector);
  const int32_t item = static_cast<int32_t>(blockIdx.x * kQuantizeThreads + threadIdx.x);
  const auto row = static_cast<int32_t>(blockIdx.y);
  const int32_t position = params.rows.positions[row];
  if (item >= 2 * heads.n_kv_heads * n_parts || position < 0) {
    pdl_wait();
    return;
  }
  const int32_t head = item / n_parts;
  const int32_t part = item % n_parts;
  const bool is_v = head >= heads.n_kv_heads;
  const int32_t kv_head = head - (is_v ? heads.n_kv_heads : 0);
  std::byte* const block = block_of(params.rows, heads, row, position, kv_head,
                                    is_v ? params.to.v_pages : params.to.k_pages);
  const uint16_t* const from =
      (is_v ? params.from.v_pages : params.from.k_pages) +
      ((int64_t{row} * heads.n_kv_heads + kv_head) * kPageTokens + position % kPageTokens) *
          heads.head_dim +
      part * kVector;
  if (params.inputs_settled) pdl_wait();
  float a[kVector], b[kVector];
  load_halves(from, a);
  load_halves(from + heads.head_dim / 2, b);
  quantize_token(a, b, is_v, heads.head_dim, part, position % kPageTokens, block);
}

// What store and shuffles of a head want: whole groups of lanes.
void check_heads(const HeadShape& heads) {
  CHECK(heads.head_dim == 64 || heads.head_dim == 128);
}

}  // namespace

void rope_append(const RopeAppendParams& params, const LaunchContext& context) {
  const HeadShape& heads = params.heads;
  CHECK_EQ(heads.head_dim % (2 * kVector), 0);
  if (params.kv.type == KvType::kInt8) check_heads(heads);
  if (params.rows.n_rows == 0) return;
  const int64_t n_items =
      int64_t{heads.n_heads + 2 * heads.n_kv_heads} * heads.head_dim / (2 * kVector);
  const dim3 grid(static_cast<unsigned>(ceil_div(n_items, kRopeThreads)),
                  static_cast<unsigned>(params.rows.n_rows));
  launch(context,
         params.kv.type == KvType::kInt8 ? &rope_append_kernel<KvType::kInt8>
                                         : &rope_append_kernel<KvType::kF16>,
         grid, kRopeThreads, 0, params);
}

void quantize_rows(const QuantizeRowsParams& params, const LaunchContext& context) {
  const HeadShape& heads = params.heads;
  check_heads(heads);
  CHECK(params.from.type == KvType::kF16 && params.to.type == KvType::kInt8);
  if (params.rows.n_rows == 0) return;
  const int64_t n_items = int64_t{2} * heads.n_kv_heads * heads.head_dim / (2 * kVector);
  const dim3 grid(static_cast<unsigned>(ceil_div(n_items, kQuantizeThreads)),
                  static_cast<unsigned>(params.rows.n_rows));
  launch(context, quantize_rows_kernel, grid, kQuantizeThreads, 0, params);
}

}  // namespace incipit::kernels::cuda
