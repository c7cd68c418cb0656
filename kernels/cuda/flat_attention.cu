// Attention of a step of up to kFlatRows rows: split over keys (Flash-Decoding: Dao et al. 2023),
// all query heads of a KV head together (Ainslie et al. 2023, GQA).
//
// A chunk of keys is four strips. Each strip is summed up, 32 keys at a time, from nothing; the
// strips are added in order, and so are the chunks. Two kernels do that, with the same bits for a
// row:
//
// narrow: up to 16 queries an item, as when sequences decode; bound by reading keys and values.
// Grid
//   [items, kv heads, chunks], block 4 warps, a strip each, with its own ring in shared memory (96
//   KB in all: once on sm_86, twice on sm_90), so warps meet once, at the end. The last block of an
//   item and KV head to finish merges the chunks.
// wide: 64 queries an item. Same grid, block 4 warps with 16 queries each, which share one ring and
//   take the strips in turn (48 KB: two blocks on sm_86 and sm_90, bound by registers).
//   merge_chunks_kernel merges: for the last block alone it would be too much to read.
//
// The kernels are in flat_attention.cuh, over the type of the pages; this file has those of fp16
// pages, flat_attention_int8.cu those of INT8.
//
// Where a product meets a sum, intrinsics say whether they are fused: the compiler may choose
// otherwise in each of the kernels.
#include "kernels/common/check.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_half.cuh"
#include "kernels/cuda/flat_attention.cuh"
#include "kernels/cuda/flat_matmul.h"

namespace incipit::kernels::cuda {

static_assert(kFlatAttentionRows == kFlatRows);

namespace {

// Grid: a warp for each (row, head).
template <int kHeadDim>
__global__ __launch_bounds__(kFlatThreads) void merge_chunks_kernel(
    const __grid_constant__ AttentionArgs args, int32_t n_rows) {
  __shared__ __align__(16) float s_chunks[kFlatWarps * kMergeBytes<kHeadDim> / 4];
  pdl_launch_next();
  pdl_wait();
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int head = static_cast<int>(blockIdx.x) * kFlatWarps + warp;
  if (head >= n_rows * args.n_heads) return;
  const int n_chunks = args.row_chunks[head / args.n_heads];
  if (n_chunks > 1) {
    merge_chunks<kHeadDim>(args, head, n_chunks, s_chunks + warp * kMergeBytes<kHeadDim> / 4);
  }
}

FlatKernels kernels_of(KvType type, int32_t head_dim) {
  if (type == KvType::kInt8) return int8_flat_kernels(head_dim);
  return head_dim == 128 ? flat_kernels<HalfPages<128>>() : flat_kernels<HalfPages<64>>();
}

}  // namespace

void merge_attention_chunks(const AttentionArgs& args, int32_t n_rows, int32_t head_dim,
                            const LaunchContext& context) {
  const dim3 grid(static_cast<uint32_t>(ceil_div(int64_t{n_rows} * args.n_heads, kFlatWarps)));
  launch(context, head_dim == 128 ? &merge_chunks_kernel<128> : &merge_chunks_kernel<64>, grid,
         dim3(kFlatThreads), 0, args, n_rows);
}

int64_t attention_scratch_bytes(const AttentionLimits& limits) {
  return partial_out_offset(limits) + partial_slots(limits) * limits.heads.head_dim * 4;
}

void prepare_prefill_attention(KvType type);  // prefill_attention.cu

void prepare_attention(KvType type) {
  kernels_of(type, 64).prepare();
  kernels_of(type, 128).prepare();
  allow_shared(&merge_chunks_kernel<64>, 0);
  allow_shared(&merge_chunks_kernel<128>, 0);
  prepare_prefill_attention(type);
}

void flat_attention(const CudaAttentionParams& params, const AttentionLimits& limits,
                    const AttentionScratch& scratch, const LaunchContext& context) {
  CHECK_LE(params.rows.n_rows, kFlatAttentionRows);
  CHECK(params.heads.head_dim == 64 || params.heads.head_dim == 128);
  const AttentionBounds& bounds = params.bounds;
  CHECK(bounds.block_queries == 16 || bounds.block_queries == 64);
  const bool is_narrow = bounds.block_queries == 16;
  const AttentionArgs args = attention_args(params, limits, scratch);
  const FlatKernels kernels = kernels_of(params.kv.type, params.heads.head_dim);
  const dim3 grid(static_cast<uint32_t>(bounds.max_items), static_cast<uint32_t>(args.n_kv_heads),
                  static_cast<uint32_t>(bounds.max_chunks));
  const int shared_bytes = is_narrow ? kernels.narrow_bytes : kernels.wide_bytes;
  launch(context, is_narrow ? kernels.narrow : kernels.wide, grid, dim3(kFlatThreads),
         static_cast<size_t>(shared_bytes), args);
  if (!is_narrow && bounds.max_chunks > 1) {
    merge_attention_chunks(args, params.rows.n_rows, params.heads.head_dim, context);
  }
}

}  // namespace incipit::kernels::cuda
