// Parts of the product in large_mixed.cu: how it is tiled, how weights and tokens come, and what
// becomes of the sums. sm_90a alone.
#pragma once

#include <cuda_fp16.h>

#include "kernels/cuda/hopper.cuh"
#include "kernels/cuda/int4_dequant.cuh"
#include "kernels/cuda/large_mixed.h"
#include "kernels/cuda/row_values.cuh"
#include "kernels/cuda/vector_load.cuh"

namespace incipit::kernels::cuda {

enum class MixedEnd { kHalf, kAdd, kSiluMul };

struct MixedParams {
  Int4View<CudaTile> w;
  const std::byte* tokens;  // image
  int32_t n_rows;
  void* out;  // fp16 [n_rows, w.rows]; float, the same; or an image
  RowOrder order;
  HeadOrder heads;
};

inline constexpr int kMixedWarps = 8;  // that multiply, 16 outputs each
inline constexpr int kMixedOutputs = kMixedWarps * 16;
inline constexpr int kMixedMath = kMixedWarps * 32;  // threads
inline constexpr int kMixedThreads =
    kMixedMath + 128;  // and a warpgroup of which one thread copies

// kSplit: the two blocks of a cluster have halves of the inputs; else neighbouring outputs.
template <int kTokensOfBlock, bool kSplitInputs>
struct MixedTiling {
  static constexpr int kTokens = kTokensOfBlock;
  static constexpr bool kSplit = kSplitInputs;
  static constexpr int kStages = 4;  // of two images each: 256 tokens, or 128 inputs
  static constexpr int kStageBytes = 2 * TokenImage::kBytes;
  static constexpr bool kStageIsGroup = kTokens == TokenImage::kTokens;
  static constexpr int kStagingBytes = kTokens * kMixedOutputs * 2;
  static constexpr int kRing = 3;  // groups of weights
  static constexpr int kScalesAt = 2 * CudaTile::kWordBytes;
  static constexpr int kGroupBytes = kScalesAt + 128;
  static constexpr int kRingBytes = kRing * kGroupBytes;  // of a warp
  static constexpr int kStagingAt = kStages * kStageBytes;
  static constexpr int kRingsAt = kStagingAt + kStagingBytes;
  static constexpr int kSharedBytes = kRingsAt + kMixedWarps * kRingBytes + 1024;
  // full and empty of each stage; staging free and full, of kSplit.
  static constexpr int kBarriers = 2 * kStages + 2;
  static_assert(kSharedBytes + 1024 <= 227 * 1024);
};

HOST_DEVICE constexpr int64_t mixed_out_pairs(int32_t rows) {
  return ceil_div(rows, 2 * kMixedOutputs);
}

// What the clusters take by turns: a tile of tokens and one (kSplit) or two of outputs. Tokens
// first, so that clusters beside one another have the same weights.
template <class Tiling>
struct MixedWork {
  int rank;  // in the cluster
  int first, step, n_items;
  int n_token_tiles;
  int first_group, n_groups;  // of the inputs

  __device__ __forceinline__ explicit MixedWork(const MixedParams& p) {
    rank = static_cast<int>(blockIdx.x % 2);
    first = static_cast<int>(blockIdx.x / 2);
    step = static_cast<int>(gridDim.x / 2);
    n_token_tiles = (p.n_rows + Tiling::kTokens - 1) / Tiling::kTokens;
    // Always an even number of tiles: an image has an even number of columns.
    n_items = static_cast<int>(mixed_out_pairs(p.w.shape.rows)) * n_token_tiles;
    if (Tiling::kSplit) n_items *= 2;
    first_group = 0;
    n_groups = p.w.shape.n_groups();
    if (Tiling::kSplit) {
      const int half = (n_groups + 1) / 2;
      first_group = rank * half;
      n_groups = rank == 0 ? half : n_groups - half;
    }
  }
  __device__ __forceinline__ int token_tile(int item) const { return item % n_token_tiles; }
  __device__ __forceinline__ int out_tile(int item) const {
    return Tiling::kSplit ? item / n_token_tiles : item / n_token_tiles * 2 + rank;
  }
};

// A warp's weights, each lane its own 16 bytes of a word: they come by cp.async, two groups of 128
// inputs ahead, across the ends of tiles. Nobody else reads them, so no barrier is needed.
template <class Tiling>
class MixedWeights {
 public:
  __device__ __forceinline__ MixedWeights(const MixedParams& p, const MixedWork<Tiling>& work,
                                          uint32_t s_ring, int warp, int lane)
      : p_(p), work_(work), lane_(lane), warp_(warp), item_(work.first), s_ring_(s_ring) {
    find_tile();
    prefetch();
    prefetch();
  }

  // Waits for the next group and asks for one more; returns where the group is.
  __device__ __forceinline__ uint32_t next() {
    copy_async_wait<1>();
    const uint32_t at = s_ring_ + use_ * Tiling::kGroupBytes;
    use_ = use_ + 1 == Tiling::kRing ? 0 : use_ + 1;
    prefetch();
    return at;
  }

 private:
  __device__ __forceinline__ void find_tile() {
    const Int4Shape& shape = p_.w.shape;
    const int tile = min(work_.out_tile(item_) * kMixedWarps + warp_,
                         static_cast<int>(CudaTile::n_tiles(shape)) - 1);
    g_tile_ = p_.w.data + tile * CudaTile::tile_bytes(shape);
    group_ = work_.first_group;
  }
  __device__ __forceinline__ void prefetch() {
    if (item_ < work_.n_items) {
      const uint32_t to = s_ring_ + fill_ * Tiling::kGroupBytes;
      const std::byte* const from = g_tile_ + group_ * (2 * CudaTile::kWordBytes) + lane_ * 16;
      copy_async(to + lane_ * 16, from);
      copy_async(to + CudaTile::kWordBytes + lane_ * 16, from + CudaTile::kWordBytes);
      const std::byte* const scale = g_tile_ + CudaTile::quant_bytes(p_.w.shape) +
                                     group_ / 4 * CudaTile::kScaleQuadBytes + lane_ / 4 * 16 +
                                     group_ % 4 * 4;
      asm volatile(
          "cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(to + Tiling::kScalesAt + lane_ * 4),
          "l"(scale)
          : "memory");
      if (++group_ == work_.first_group + work_.n_groups) {
        item_ += work_.step;
        find_tile();
      }
    }
    fill_ = fill_ + 1 == Tiling::kRing ? 0 : fill_ + 1;
    copy_async_commit();
  }

  const MixedParams& p_;
  const MixedWork<Tiling>& work_;
  int lane_, warp_;
  int item_, group_ = 0;
  const std::byte* g_tile_ = nullptr;
  uint32_t s_ring_;
  int use_ = 0, fill_ = 0;
};

// A of four wgmma: 16 outputs x 64 inputs of a warp.
__device__ __forceinline__ void expand_word(uint32_t at, uint32_t scale_pair, uint32_t (&a)[4][4]) {
  uint32_t word[4];
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(word[0]), "=r"(word[1]), "=r"(word[2]), "=r"(word[3])
               : "r"(at));
  const half2 scale_g = __low2half2(as_half2(scale_pair));
  const half2 scale_g8 = __high2half2(as_half2(scale_pair));
  const ZeroPoints zeros = symmetric_zero_points();
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    uint32_t q[4];
    dequantize_word(word[j], zeros, q);
    a[j][0] = as_bits(__hmul2(as_half2(q[0]), scale_g));
    a[j][1] = as_bits(__hmul2(as_half2(q[1]), scale_g8));
    a[j][2] = as_bits(__hmul2(as_half2(q[2]), scale_g));
    a[j][3] = as_bits(__hmul2(as_half2(q[3]), scale_g8));
  }
}

// The thread that copies. Of a stage, each block of the cluster brings one image to both; with
// kSplit each has its own.
template <class Tiling>
__device__ __forceinline__ void copy_tokens(const MixedParams& p, const MixedWork<Tiling>& work,
                                            uint32_t s_stages, uint32_t s_full, uint32_t s_empty) {
  const int n_columns = TokenImage::n_columns(p.w.shape.cols);
  const int last_image = (p.n_rows + TokenImage::kTokens - 1) / TokenImage::kTokens - 1;
  constexpr int kColumns = Tiling::kStageIsGroup ? 2 : 1;  // of a stage
  const int first_column = work.first_group * 2;
  const int n_stages = work.n_groups * 2 / kColumns;
  int stage = 0;
  uint32_t parity = 1;  // all stages are empty at first
  for (int item = work.first; item < work.n_items; item += work.step) {
    const int token_tile = work.token_tile(item);
    const int image =
        Tiling::kStageIsGroup ? token_tile : min(2 * token_tile + work.rank, last_image);
    const std::byte* from =
        p.tokens + (int64_t{image} * n_columns + first_column) * TokenImage::kBytes;
    if (Tiling::kStageIsGroup && !Tiling::kSplit) from += work.rank * TokenImage::kBytes;
    for (int i = 0; i < n_stages; ++i) {
      const uint32_t to = s_stages + stage * Tiling::kStageBytes;
      barrier_wait(s_empty + 8 * stage, parity);
      barrier_expect(s_full + 8 * stage, Tiling::kStageBytes);
      if constexpr (Tiling::kSplit) {
        bulk_load(to, from, Tiling::kStageBytes, s_full + 8 * stage);
      } else {
        bulk_load_to_all(to + work.rank * TokenImage::kBytes, from, TokenImage::kBytes,
                         s_full + 8 * stage, 3);
      }
      from += kColumns * TokenImage::kBytes;
      if (++stage == Tiling::kStages) stage = 0, parity ^= 1;
    }
  }
}

__device__ __forceinline__ void math_barrier() {
  named_barrier<kMixedMath>(1);
}
__device__ __forceinline__ uint32_t half_pair(float low, float high) {
  return as_bits(__floats2half2_rn(low, high));
}

// Of kSplit: the sums of half of the tokens, out of both blocks. Thread i has the same place in
// both, so what a thread gives is what thread i over there takes.
__device__ __forceinline__ void exchange(uint32_t s_staging, uint32_t s_free, uint32_t s_got,
                                         uint32_t parity, int rank, int thread,
                                         const float (&sums)[64], float (&mine)[32]) {
  const uint32_t peer = static_cast<uint32_t>(rank ^ 1);
  if (thread == 0) bulk_store_wait();
  math_barrier();
  if (thread == 0) barrier_publish(address_in(s_free, peer));
  barrier_wait_published(s_free, parity);
  const uint32_t to = address_in(s_staging, peer) + thread * 16;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    float give[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      mine[4 * i + j] = rank == 0 ? sums[4 * i + j] : sums[32 + 4 * i + j];
      give[j] = rank == 0 ? sums[32 + 4 * i + j] : sums[4 * i + j];
    }
    asm volatile(
        "st.shared::cluster.v4.f32 [%0], {%1, %2, %3, %4};" ::"r"(to + i * kMixedMath * 16),
        "f"(give[0]), "f"(give[1]), "f"(give[2]), "f"(give[3])
        : "memory");
  }
  barrier_publish(address_in(s_got, peer));
  barrier_wait_published(s_got, parity);
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    float4 v;
    asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
                 : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w)
                 : "r"(s_staging + thread * 16 + i * kMixedMath * 16)
                 : "memory");
    mine[4 * i] += v.x, mine[4 * i + 1] += v.y, mine[4 * i + 2] += v.z, mine[4 * i + 3] += v.w;
  }
}

// The block's place in the outputs, and what of the thread follows from it.
struct MixedPlace {
  int first_token, out_tile;
  uint32_t s_staging;
  int thread;  // of those that multiply

  __device__ __forceinline__ int warp() const { return thread / 32 % 4; }  // of the warpgroup
  __device__ __forceinline__ int group() const { return thread / 128; }
  __device__ __forceinline__ int lane() const { return thread % 32; }
  __device__ __forceinline__ int first_row() const {  // of the warpgroup
    return out_tile * kMixedOutputs + group() * 64;
  }
};

// Sums to fp16 rows: transposed through shared memory, [token][64 outputs] of a warpgroup in eight
// pieces of 8 outputs, piece i at i ^ (token % 8).
template <int kTokens>
__device__ __forceinline__ void store_halves(const MixedParams& p, const MixedPlace& place,
                                             const float (&sums)[kTokens / 2]) {
  const int lane = place.lane();
  const uint32_t staging = place.s_staging + place.group() * kTokens * 128;
  const int piece = place.warp() * 2 + lane / 8 % 2;
  const uint32_t to = staging + (lane / 16 * 8 + lane % 8) * 128 + (piece ^ lane % 8) * 16;
  math_barrier();  // staging is free
#pragma unroll
  for (int n = 0; n < kTokens / 8; n += 2) {
    const float* const s = sums + 4 * n;
    store_transposed(to + n * 1024, half_pair(s[0], s[1]), half_pair(s[2], s[3]),
                     half_pair(s[4], s[5]), half_pair(s[6], s[7]));
  }
  math_barrier();
  const int own = place.thread % 8;
  const int row = place.first_row() + own * 8;
  if (row >= p.w.shape.rows) return;
  __half* const out =
      static_cast<__half*>(p.out) + logical_row(p.order, p.heads, p.w.shape.rows, row);
#pragma unroll 4
  for (int i = 0; i < kTokens / 16; ++i) {
    const int token = i * 16 + place.thread % 128 / 8;
    if (place.first_token + token >= p.n_rows) return;
    uint4 v;
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "r"(staging + token * 128 + (own ^ token % 8) * 16));
    *reinterpret_cast<uint4*>(out + int64_t{place.first_token + token} * p.w.shape.rows) = v;
  }
}

// x += sums, kTokens / 2 at a time: [token][64 outputs] of a warpgroup in eight pieces of 8 floats,
// piece i at i ^ (token / 2 % 4).
template <int kTokens>
__device__ __forceinline__ void add_sums(const MixedParams& p, const MixedPlace& place,
                                         const float (&sums)[kTokens / 2]) {
  constexpr int kPart = kTokens / 2;
  const int lane = place.lane();
  const int c = lane % 4;
  const uint32_t staging = place.s_staging + place.group() * kPart * 256;
  const uint32_t to = staging + 2 * c * 256 + lane / 4 * 4;
  const int four = place.thread % 16;  // floats of a token
  const int row = place.first_row() + four * 4;
  float* const out = static_cast<float*>(p.out) + row;
#pragma unroll
  for (int part = 0; part < 2; ++part) {
    const int first_token = place.first_token + part * kPart;
    math_barrier();  // staging is free
#pragma unroll
    for (int n = 0; n < kPart / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int piece = place.warp() * 2 + i / 2;
        asm volatile("st.shared.f32 [%0], %1;" ::"r"(to + (8 * n + i % 2) * 256 + (piece ^ c) * 32),
                     "f"(sums[(part * kPart / 8 + n) * 4 + i])
                     : "memory");
      }
    }
    math_barrier();
    constexpr int kBatch = 4;
#pragma unroll
    for (int first = 0; first < kPart / 8; first += kBatch) {
      float4 x[kBatch];
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int token = first_token + (first + i) * 8 + place.thread % 128 / 16;
        if (token < p.n_rows && row < p.w.shape.rows)
          x[i] = *reinterpret_cast<const float4*>(out + int64_t{token} * p.w.shape.rows);
      }
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int in_part = (first + i) * 8 + place.thread % 128 / 16;
        const int token = first_token + in_part;
        if (token >= p.n_rows || row >= p.w.shape.rows) continue;
        float4 v;
        asm volatile(
            "ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
            : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w)
            : "r"(staging + in_part * 256 + (four / 2 ^ in_part / 2 % 4) * 32 + four % 2 * 16));
        v.x += x[i].x, v.y += x[i].y, v.z += x[i].z, v.w += x[i].w;
        *reinterpret_cast<float4*>(out + int64_t{token} * p.w.shape.rows) = v;
      }
    }
  }
}

__device__ __forceinline__ float silu_mul_of(float gate, float up) {
  return limited(gate / (1.0f + __expf(-gate)) * up);
}

// The image of silu(gate) * up: the block's 64 of a token are one line of a tile.
template <int kTokens>
__device__ __forceinline__ void store_image(const MixedParams& p, const MixedPlace& place,
                                            const float (&sums)[kTokens / 2]) {
  const int lane = place.lane();
  const int g = lane / 4;
  const int piece = (place.group() * 4 + lane % 4) ^ g;
  const uint32_t to = place.s_staging + g * 128 + piece * 16 + place.warp() * 4;
  // Past the last row stand what fills the image up.
  const bool is_there = place.first_row() + place.warp() * 16 < p.w.shape.rows;
  if (place.thread == 0) bulk_store_wait();
  math_barrier();  // staging is free
#pragma unroll
  for (int n = 0; n < kTokens / 8; ++n) {
    const float* const s = sums + 4 * n;
    uint32_t act = half_pair(silu_mul_of(s[0], s[2]), silu_mul_of(s[1], s[3]));
    act = transposed(is_there ? act : 0);
    asm volatile("st.shared.u32 [%0], %1;" ::"r"(to + n * 1024), "r"(act) : "memory");
  }
  bulk_store_ready();
  math_barrier();
  if (place.thread != 0) return;
  const int n_columns = TokenImage::n_columns(p.w.shape.rows / 2);
  constexpr int kLines = kTokens < TokenImage::kTokens ? kTokens : TokenImage::kTokens;
  for (int part = 0; part < kTokens / kLines; ++part) {
    const int token = place.first_token + part * kLines;
    if (token >= p.n_rows) break;
    bulk_store(static_cast<std::byte*>(p.out) +
                   (int64_t{token / TokenImage::kTokens} * n_columns + place.out_tile) *
                       TokenImage::kBytes +
                   token % TokenImage::kTokens * 128,
               place.s_staging + part * kLines * 128, kLines * 128);
  }
  bulk_store_commit();
}

}  // namespace incipit::kernels::cuda
