// The largest logits of each row, by sorting networks in registers (Batcher's bitonic sort, 1968).
// A logit and its token are one 64-bit key, so keys are distinct, their order is total, and the
// result does not depend on how a row is cut.
//
// select: grid (ceil(vocab / 1024), n_rows), 512 threads. A warp sorts 64 keys, two a lane; the
//   block's 16 lists are merged by pairs, keeping 64 of 128 each time: 126 blocks for one row of
//   128,256 logits, so nearly every multiprocessor has one.
// merge: grid n_rows, 1024 threads. A warp merges every 32nd list, then the block's are merged.
#include "kernels/common/check.h"
#include "kernels/common/math.h"
#include "kernels/cuda/pdl.cuh"
#include "kernels/cuda/top_candidates.h"

namespace incipit::kernels::cuda {

namespace {

using Key = unsigned long long;

constexpr int kList = kMostCandidates;  // keys of a sorted list
constexpr int kSelectWarps = 16;
constexpr int kSelectLogits = kSelectWarps * kList;
constexpr int kMergeWarps = 32;
constexpr uint32_t kNanBits = 0xffffffffu;

// Descending list; element i is `low` of lane i, element 32 + i is `high` of lane i.
struct List {
  Key low;
  Key high;
};

// Larger logit, larger key; of equal logits the smaller token has the larger key. Both zeros are
// equal, NaN is above all numbers. No key is 0.
__device__ __forceinline__ Key key_of(float logit, int32_t token) {
  const uint32_t bits = __float_as_uint(logit == 0.0f ? 0.0f : logit);
  const uint32_t ordered = isnan(logit)                ? kNanBits
                           : (bits & 0x80000000u) != 0 ? ~bits
                                                       : bits | 0x80000000u;
  return (Key{ordered} << 32) | ~static_cast<uint32_t>(token);
}

__device__ __forceinline__ Candidate candidate_of(Key key) {
  const auto ordered = static_cast<uint32_t>(key >> 32);
  const uint32_t bits = ordered == kNanBits            ? 0x7fffffffu
                        : (ordered & 0x80000000u) != 0 ? ordered & 0x7fffffffu
                                                       : ~ordered;
  return {static_cast<int32_t>(~static_cast<uint32_t>(key)), __uint_as_float(bits)};
}

__device__ __forceinline__ Key exchanged(Key key, int stride, bool keep_larger) {
  const Key other = __shfl_xor_sync(~0u, key, stride);
  return (key > other) == keep_larger ? key : other;
}

// Elements i and i + 32 put in order, then the strides 16 .. 1: a bitonic list becomes descending.
__device__ __forceinline__ void sort_bitonic(List& list, int lane) {
  const Key larger = max(list.low, list.high);
  list.high = min(list.low, list.high);
  list.low = larger;
#pragma unroll
  for (int stride = 16; stride > 0; stride /= 2) {
    const bool keep_larger = (lane & stride) == 0;
    list.low = exchanged(list.low, stride, keep_larger);
    list.high = exchanged(list.high, stride, keep_larger);
  }
}

__device__ __forceinline__ void sort(List& list, int lane) {
#pragma unroll
  for (int size = 2; size <= 32; size *= 2) {
#pragma unroll
    for (int stride = size / 2; stride > 0; stride /= 2) {
      const bool is_first = (lane & stride) == 0;
      const bool descends = size == 32 || (lane & size) == 0;
      list.low = exchanged(list.low, stride, is_first == descends);
      // The second half of 32 ascends, so that both together are bitonic.
      list.high = exchanged(list.high, stride, is_first == (size == 32 ? false : descends));
    }
  }
  sort_bitonic(list, lane);
}

// Keeps the 64 largest of both lists: of a descending and an ascending list the larger elements at
// each place are the larger half, and bitonic.
__device__ __forceinline__ void merge(List& list, const Key* other, int lane) {
  list.low = max(list.low, other[kList - 1 - lane]);
  list.high = max(list.high, other[kList / 2 - 1 - lane]);
  sort_bitonic(list, lane);
}

// The lists of the block's warps into that of warp 0.
template <int kWarps>
__device__ __forceinline__ void merge_warps(List& list, Key (&s_lists)[kWarps / 2][kList], int warp,
                                            int lane) {
#pragma unroll
  for (int half = kWarps / 2; half > 0; half /= 2) {
    if (warp >= half && warp < 2 * half) {
      s_lists[warp - half][lane] = list.low;
      s_lists[warp - half][lane + 32] = list.high;
    }
    __syncthreads();  // lists of the upper warps are read by the lower ones
    if (warp < half) merge(list, s_lists[warp], lane);
    __syncthreads();  // and have been read before the next ones come
  }
}

__global__ void __launch_bounds__(kSelectWarps * 32)
    select_candidates_kernel(const float* logits, int32_t vocab, Key* lists) {
  __shared__ Key s_lists[kSelectWarps / 2][kList];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int32_t first = static_cast<int32_t>(blockIdx.x) * kSelectLogits + warp * kList + lane;
  const float* const row = logits + int64_t{blockIdx.y} * vocab;
  pdl_wait();
  pdl_launch_next();
  List list;
  list.low = first < vocab ? key_of(row[first], first) : 0;
  list.high = first + 32 < vocab ? key_of(row[first + 32], first + 32) : 0;
  sort(list, lane);
  merge_warps<kSelectWarps>(list, s_lists, warp, lane);
  if (warp == 0) {
    Key* const to = lists + (int64_t{blockIdx.y} * gridDim.x + blockIdx.x) * kList;
    to[lane] = list.low;
    to[lane + 32] = list.high;
  }
}

__global__ void __launch_bounds__(kMergeWarps * 32)
    merge_candidates_kernel(const Key* lists, int32_t n_lists, int32_t n_candidates,
                            Candidate* out) {
  __shared__ Key s_lists[kMergeWarps / 2][kList];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const Key* const row = lists + int64_t{blockIdx.x} * n_lists * kList;
  pdl_wait();
  pdl_launch_next();
  List list = {0, 0};
  if (warp < n_lists) list = {row[warp * kList + lane], row[warp * kList + lane + 32]};
  for (int32_t i = warp + kMergeWarps; i < n_lists; i += kMergeWarps) {
    merge(list, row + int64_t{i} * kList, lane);
  }
  merge_warps<kMergeWarps>(list, s_lists, warp, lane);
  if (warp != 0) return;
  Candidate* const to = out + int64_t{blockIdx.x} * n_candidates;
  if (lane < n_candidates) to[lane] = candidate_of(list.low);
  if (lane + 32 < n_candidates) to[lane + 32] = candidate_of(list.high);
}

int64_t lists_of_row(int32_t vocab) {
  return ceil_div(vocab, kSelectLogits);
}

}  // namespace

int64_t top_candidates_scratch_bytes(int32_t max_logit_rows, int32_t vocab) {
  return max_logit_rows * lists_of_row(vocab) * kList * static_cast<int64_t>(sizeof(Key));
}

void top_candidates(const TopCandidatesParams& params, std::byte* scratch,
                    const LaunchContext& context) {
  CHECK_LE(params.n_candidates, kList);
  CHECK_LE(params.n_candidates, params.vocab);
  if (params.n_logit_rows == 0) return;
  auto* const lists = reinterpret_cast<Key*>(scratch);
  const auto n_lists = static_cast<int32_t>(lists_of_row(params.vocab));
  const auto n_rows = static_cast<unsigned>(params.n_logit_rows);
  launch(context, select_candidates_kernel, dim3(static_cast<unsigned>(n_lists), n_rows),
         kSelectWarps * 32, 0, params.logits, params.vocab, lists);
  launch(context, merge_candidates_kernel, n_rows, kMergeWarps * 32, 0, lists, n_lists,
         params.n_candidates, params.out);
}

}  // namespace incipit::kernels::cuda
