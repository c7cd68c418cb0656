// Attention of a step of more than kFlatRows rows: FlashAttention-2 (Dao 2023) over pages. Bound by
// the tensor cores.
//
// Grid [kv heads, items from the last (most keys) to the first, chunks], block 4 warps. A block has
// 128 queries: (row, head) pairs of one KV head, so a tile of 64 keys serves all its query heads; a
// warp has 32 of them, which reads a tile from shared memory half as often as 16 would. Keys and
// values have two tiles each in shared memory (96 KB with the queries at head_dim 128: one block on
// sm_86, two on sm_90, where two blocks hide each other's softmax). More than one chunk only if the
// items are too few blocks (plan_attention); then merge_attention_chunks() follows.
//
// The kernel is in prefill_attention.cuh, over the type of the pages; this file has that of fp16
// pages, prefill_attention_int8.cu that of INT8.
#include "kernels/common/check.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/prefill_attention.cuh"

namespace incipit::kernels::cuda {

namespace {

template <int kDim>
struct HalfBlocks {
  static constexpr int kHeadDim = kDim;
  static constexpr int kTileBytes = kBlockKeys * kDim * 2;

  struct KeyScales {};

  __device__ static __forceinline__ void load(const AttentionArgs& args, bool is_values,
                                              const TilePages& pages, int kv_head, uint32_t to) {
    constexpr int kUnits = kDim / 8;
    constexpr int kPageUnits = kPageTokens * kUnits;
    const uint16_t* const from = is_values ? args.v_pages : args.k_pages;
#pragma unroll
    for (int i = 0; i < kBlockPages; ++i) {
      const uint16_t* const page = from + page_offset<kDim>(args, pages.ids[i], kv_head);
#pragma unroll
      for (int n = 0; n < kPageUnits / kPrefillThreads; ++n) {
        const int unit = static_cast<int>(threadIdx.x) + n * kPrefillThreads;
        copy_async(to + i * kPageTokens * kDim * 2 + swizzled<kDim>(unit / kUnits, unit % kUnits),
                   page + unit * 8);
      }
    }
    copy_async_commit();
  }

  __device__ static __forceinline__ KeyScales score(uint32_t queries, uint32_t tile, int lane,
                                                    float (&scores)[2][kBlockKeys / 8][4]) {
    const uint32_t keys = tile + key_lane_offset<kDim>(lane);
#pragma unroll
    for (int step = 0; step < kDim / 16; ++step) {
      uint32_t q[2][4];
#pragma unroll
      for (int m = 0; m < 2; ++m) {
        load_matrices(q[m], (queries + m * 16 * kDim * 2) ^ (step << 5));
      }
#pragma unroll
      for (int page = 0; page < kBlockPages; ++page) {
        uint32_t k[4];
        load_matrices(k, (keys + page * kPageTokens * kDim * 2) ^ (step << 5));
#pragma unroll
        for (int m = 0; m < 2; ++m) {
          mma_16x8x16(scores[m][2 * page], q[m], k[0], k[1]);
          mma_16x8x16(scores[m][2 * page + 1], q[m], k[2], k[3]);
        }
      }
    }
    return {};
  }

  // What scores are before they are masked.
  __device__ static __forceinline__ void prepare(float (&)[kBlockKeys / 8][4], float,
                                                 const KeyScales&) {}
  __device__ static __forceinline__ float2 update(float (&scores)[kBlockKeys / 8][4],
                                                  float scale_log2, const KeyScales&,
                                                  SoftmaxState& state) {
    return update_softmax(scores, scale_log2, state);
  }

  // out += weights v
  __device__ static __forceinline__ void add(uint32_t tile, int lane,
                                             const uint32_t (&weights)[2][kBlockPages][4],
                                             float (&out)[2][kDim / 8][4]) {
    const uint32_t values = tile + value_lane_offset<kDim>(lane);
#pragma unroll
    for (int page = 0; page < kBlockPages; ++page) {
#pragma unroll
      for (int step = 0; step < kDim / 16; ++step) {
        uint32_t v[4];
        load_matrices_transposed(v, (values + page * kPageTokens * kDim * 2) ^ (step << 5));
#pragma unroll
        for (int m = 0; m < 2; ++m) {
          mma_16x8x16(out[m][2 * step], weights[m][page], v[0], v[1]);
          mma_16x8x16(out[m][2 * step + 1], weights[m][page], v[2], v[3]);
        }
      }
    }
  }

  // A row's largest score in base 2.
  __device__ static __forceinline__ float base2(float largest, float scale_log2) {
    return largest * scale_log2;
  }
};

PrefillKernel kernel_of(KvType type, int32_t head_dim) {
  if (type == KvType::kInt8) return int8_prefill_kernel(head_dim);
  return head_dim == 128 ? prefill_kernel<HalfBlocks<128>>() : prefill_kernel<HalfBlocks<64>>();
}

}  // namespace

void prepare_prefill_attention(KvType type);  // called by prepare_attention(), flat_attention.cu
void prepare_prefill_attention(KvType type) {
  for (const int32_t head_dim : {64, 128}) {
    const PrefillKernel prefill = kernel_of(type, head_dim);
    allow_shared(prefill.kernel, prefill.shared_bytes);
  }
}

void prefill_attention(const CudaAttentionParams& params, const AttentionLimits& limits,
                       const AttentionScratch& scratch, const LaunchContext& context) {
  CHECK(params.heads.head_dim == 64 || params.heads.head_dim == 128);
  CHECK_EQ(params.bounds.block_queries, kPrefillQueries);
  if (params.bounds.max_items == 0) return;
  const AttentionArgs args = attention_args(params, limits, scratch);
  const PrefillKernel prefill = kernel_of(params.kv.type, params.heads.head_dim);
  const dim3 grid(static_cast<uint32_t>(args.n_kv_heads),
                  static_cast<uint32_t>(params.bounds.max_items),
                  static_cast<uint32_t>(params.bounds.max_chunks));
  launch(context, prefill.kernel, grid, dim3(kPrefillThreads),
         static_cast<size_t>(prefill.shared_bytes), args);
  if (params.bounds.max_chunks > 1) {
    merge_attention_chunks(args, params.rows.n_rows, params.heads.head_dim, context);
  }
}

}  // namespace incipit::kernels::cuda
