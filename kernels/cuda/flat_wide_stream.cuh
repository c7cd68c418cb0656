// How the wide flat product (flat_wide.cuh) is cut into blocks and warps, and how a block's stages
// of 128 inputs come to shared memory: weights, their scales, the tokens' rows, by cp.async.
#pragma once

#include "kernels/cuda/flat_operands.cuh"

namespace incipit::kernels::cuda {

// Whether two blocks of 78 KB run at once; where they do not, they may have all registers.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ != 800 && __CUDA_ARCH__ != 900 && __CUDA_ARCH__ != 1000
inline constexpr bool kHasLargeShared = false;
#else
inline constexpr bool kHasLargeShared = true;
#endif

inline constexpr int kWideTiles = 8;  // of 16 outputs, in a block

// kOutTiles x kTokenTiles tiles of 16 x 8 a warp, kTokenWarps warps beside each other.
template <int kOutTilesOfWarp, int kTokenTilesOfWarp, int kTokenWarps, int kStagesOfRing>
struct WideTiling {
  static constexpr int kOutTiles = kOutTilesOfWarp;
  static constexpr int kTokenTiles = kTokenTilesOfWarp;
  static constexpr int kStages = kStagesOfRing;
  static constexpr int kOutWarps = kWideTiles / kOutTiles;
  static constexpr int kWarps = kOutWarps * kTokenWarps;
  static constexpr int kThreads = kWarps * kWarp;
  static constexpr int kAllTokenTiles = kTokenTiles * kTokenWarps;
  static constexpr int kTokens = kAllTokenTiles * 8;
  static constexpr int kUnits = kWideTiles * kAllTokenTiles;  // tiles of 16 x 8 of a block
  static constexpr int kRowBytes = kStageCols * 2;
  // Few sums: registers for three blocks, which clusters need to be packed well.
  static constexpr int kBlocks = kOutTiles * kTokenTiles <= 2 ? 3 : kHasLargeShared ? 2 : 1;
  static constexpr bool kLoadsEarly = kOutTiles == 1;

  template <class Codec>
  static constexpr int kScalesAt = kWideTiles* Codec::kStageWords * 512;
  template <class Codec>
  static constexpr int kRowsAt = kScalesAt<Codec> + kWideTiles* Codec::kStageScaleBytes;
  template <class Codec>
  static constexpr int kStageBytes = kRowsAt<Codec> + kTokens* kRowBytes;
  template <class Codec>
  static constexpr int kSharedBytes = kStageBytes<Codec>* kStages;
};
using Wide8 = WideTiling<1, 1, 1, 6>;
using Wide16 = WideTiling<1, 2, 1, 5>;
using Wide32 = WideTiling<1, 4, 1, 4>;
using Wide64 = WideTiling<2, 4, 2, 3>;
// For matrices of one part. Two of these blocks fill a multiprocessor: of smaller ones some get
// three while the kernel before leaves, others one, and the step waits for the three (gate and up,
// 8 rows: 28.8 us, so 22.7). Where clusters of parts have to fit they cost more than they bring.
using WideDeep8 = WideTiling<1, 1, 1, 8>;
using WideDeep16 = WideTiling<1, 2, 1, 7>;
using WideHead16 = WideTiling<1, 2, 1, 4>;

// A thread's pieces of every stage: their places in memory are worked out once.
template <class Codec, class Tiling>
class WideStream {
 public:
  __device__ __forceinline__ WideStream(const FlatWeights& w, const FlatRows& in, int first_tile,
                                        int n_tiles, int32_t first_stage)
      : w_(w), in_(in), n_tiles_(n_tiles), first_stage_(first_stage) {
    weights_ = w.data + (first_tile + threadIdx.x / kTilePieces) * w.tile_bytes +
               int64_t{first_stage} * (kTilePieces * 16) + threadIdx.x % kTilePieces * 16;
    if constexpr (Codec::kStageScaleBytes > 0)
      scales_ = w.data + (first_tile + threadIdx.x / 8 % kWideTiles) * w.tile_bytes +
                threadIdx.x % 8 * 16;
  }

  // After pdl_wait().
  __device__ __forceinline__ void find_rows() {
#pragma unroll
    for (int i = 0; i < kRowPieces; ++i) {
      const int token = token_of(i);
      row_at_[i] = token < in_.n_rows ? static_cast<uint32_t>(in_.row_of(token)) * w_.cols : kNoRow;
    }
  }

  __device__ __forceinline__ void copy_weights(int32_t stage, uint32_t to) const {
#pragma unroll
    for (int i = 0; i < kWeightPieces; ++i) {
      if (i * kPieceTiles + static_cast<int>(threadIdx.x) / kTilePieces >= n_tiles_) continue;
      copy_async(to + (i * Tiling::kThreads + threadIdx.x) * 16,
                 weights_ + i * kPieceTiles * w_.tile_bytes + int64_t{stage} * (kTilePieces * 16));
    }
    if constexpr (Codec::kStageScaleBytes > 0) {
      const int64_t quad = Codec::quad_of_stage(w_, first_stage_ + stage);
      const int piece = threadIdx.x % 8;
      if (static_cast<int>(threadIdx.x) / 8 % kWideTiles >= n_tiles_) return;
      const uint32_t scales = to + Tiling::template kScalesAt<Codec> +
                              threadIdx.x / 8 % kWideTiles * Codec::kStageScaleBytes + piece * 16;
      if (threadIdx.x < 64) {
        copy_async(scales, scales_ + w_.scales_at + quad * CudaTile::kScaleQuadBytes);
      } else if (Codec::kZeroPoints && w_.zeros_at != 0 && threadIdx.x < 128 && piece < 4) {
        copy_async(scales + 128, scales_ + w_.zeros_at + quad * CudaTile::kZeroQuadBytes);
      }
    }
  }

  // [kTokens][128 inputs], pieces of odd rows swapped as in flat_narrow.cuh; what does not exist
  // is 0.
  __device__ __forceinline__ void copy_rows(int32_t stage, uint32_t to) const {
    if (Tiling::kTokens * 16 < Tiling::kThreads && threadIdx.x >= Tiling::kTokens * 16) return;
    const int piece = threadIdx.x % 16;
    const int32_t col = (first_stage_ + stage) * kStageCols + piece * 8;
#pragma unroll
    for (int i = 0; i < kRowPieces; ++i) {
      const int token = token_of(i);
      const bool is_input = row_at_[i] != kNoRow && col < w_.cols;
      copy_async(to + token * Tiling::kRowBytes + (piece ^ ((token & 1) << 2)) * 16,
                 in_.values + (is_input ? row_at_[i] + col : 0), is_input ? 16 : 0);
    }
  }

 private:
  static constexpr uint32_t kNoRow = ~0u;
  static constexpr int kTilePieces = Codec::kStageWords * kWarp;
  static constexpr int kWeightPieces = kWideTiles * kTilePieces / Tiling::kThreads;
  static constexpr int kPieceTiles = Tiling::kThreads / kTilePieces;  // tiles a piece is on
  static_assert(kPieceTiles > 0);
  static constexpr int kRowPieces =
      (Tiling::kTokens * 16 + Tiling::kThreads - 1) / Tiling::kThreads;

  static __device__ __forceinline__ int token_of(int i) {
    return i * (Tiling::kThreads / 16) + threadIdx.x / 16;
  }

  const FlatWeights& w_;
  const FlatRows& in_;
  int n_tiles_;  // of the block
  int32_t first_stage_;
  const std::byte* weights_;  // the first piece
  const std::byte* scales_ = nullptr;
  uint32_t row_at_[kRowPieces];  // of in.values; fewer than 2^32 of them (64 rows)
};

}  // namespace incipit::kernels::cuda
