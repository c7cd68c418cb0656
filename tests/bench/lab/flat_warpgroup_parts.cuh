// Parts of flat_warpgroup.cuh: how it is tiled, and how weights and tokens come.
#pragma once

#include "kernels/cuda/flat_narrow.cuh"
#include "tests/bench/lab/flat_warpgroup.h"
#include "tests/bench/lab/wgmma_tokens.cuh"

namespace incipit::kernels::cuda {

inline constexpr int kMostTokenStages = 32;

template <int kTokensOfImage, int kWarpgroupsOfBlock, int kRingOfWarp, int kStepsOfSet,
          FlatMath kMathOfBlock>
struct WarpgroupTiling {
  static constexpr int kTokens = kTokensOfImage;
  static constexpr int kWarpgroups = kWarpgroupsOfBlock;
  static constexpr int kRing = kRingOfWarp;
  static constexpr FlatMath kMath = kMathOfBlock;
  static constexpr int kTokenTiles = kTokens / 8;
  static constexpr int kSums = kTokens / 2;  // of a thread
  static constexpr int kWarps = kWarpgroups * 4;
  static constexpr int kThreads = kWarps * kWarp;
  static constexpr int kTileBytes = kTokens * TokenColumns::kLineBytes;
  static constexpr int kGroupBytes = 2 * kTileBytes;
  static constexpr int kSlotBytes = kNarrowStageBytes<Int4Group128>;
  static constexpr int kRingBytes = kRing * kSlotBytes;
  static constexpr int kSumsBytes = kWarps * kTokenTiles * kWarp * 16;
  // Steps of 16 inputs of a set of A registers, of which there are two. Sets of four leave the
  // tensor cores longer alone; sets of two leave registers to more blocks.
  static constexpr int kSetSteps = kStepsOfSet;
  static constexpr int kSets = 8 / kSetSteps;  // of a group
  // Who says that a stage of tokens has been read: each warpgroup, or each warp.
  static constexpr int kReaders = kMath == FlatMath::kWarpgroup ? kWarpgroups : kWarps;
  static constexpr int kBlocksOfOne = kTokens <= 32 ? 6 : 4;
  static constexpr int kBlocksOfTwo = kTokens <= 32 ? 3 : 2;
  static constexpr int kBlocksOfFour = kTokens <= 16 ? 2 : 1;
  static constexpr int kMinBlocks = kWarpgroups == 1   ? kBlocksOfOne
                                    : kWarpgroups == 2 ? kBlocksOfTwo
                                                       : kBlocksOfFour;
};

struct WarpgroupArgs {
  const std::byte* image;
  int parts;   // of a block
  int tiles;   // of a block
  int stages;  // of the ring of tokens
  bool multicast;
};

// What a block has.
struct WarpgroupBlock {
  int rank;     // in its cluster
  int n_ranks;  // blocks with the other parts, and itself
  int first_tile, end_tile;
  int out_tiles;  // that its warps have room for
  int first_part;
  int n_groups;  // of 128 inputs, of a part

  template <class Tiling>
  static __device__ __forceinline__ WarpgroupBlock find(const FlatWeights& w,
                                                        const WarpgroupArgs& args) {
    WarpgroupBlock block;
    block.rank = static_cast<int>(blockIdx.x);
    block.n_ranks = args.multicast ? 1 : static_cast<int>(gridDim.x);
    const int of_tiles =
        static_cast<int>(args.multicast ? blockIdx.y * 2 + blockIdx.x : blockIdx.y);
    block.first_tile = of_tiles * args.tiles;
    block.end_tile = min(block.first_tile + args.tiles, w.n_tiles);
    block.out_tiles = Tiling::kWarps / args.parts;
    block.first_part = args.multicast ? 0 : block.rank * args.parts;
    block.n_groups = w.parts.cols / kStageCols;
    return block;
  }
};

// A warp's weights: rings of groups in shared memory, of which a lane reads what it copied itself.
template <class Tiling>
class WarpWeights {
 public:
  __device__ __forceinline__ WarpWeights(const FlatWeights& w, int tile, int part, int n_groups,
                                         bool exists, uint32_t ring, int lane)
      : stream_(w, tile, part * n_groups, lane),
        n_groups_(exists ? n_groups : 0),
        lane_(lane),
        ring_(ring),
        slot_(ring) {
#pragma unroll
    for (int i = 0; i < Tiling::kRing; ++i) {
      if (i < n_groups_) stream_.copy(i, true, ring + i * Tiling::kSlotBytes, lane);
      copy_async_commit();
    }
    stream_.advance(Tiling::kRing);
    asked_ = Tiling::kRing;
  }

  // The slot that holds the current group. Until wait() it may still be on its way.
  __device__ __forceinline__ uint32_t slot() const {
    return slot_;
  }
  __device__ __forceinline__ void wait() const {
    copy_async_wait<Tiling::kRing - 1>();
  }
  // The current group has been read: asks for another in its place.
  __device__ __forceinline__ void next() {
    if (asked_ < n_groups_) stream_.copy(0, true, slot_, lane_);
    copy_async_commit();
    stream_.advance(1);
    ++asked_;
    slot_ += Tiling::kSlotBytes;
    if (slot_ == ring_ + Tiling::kRingBytes) slot_ = ring_;
  }
  __device__ __forceinline__ RowPairScale scale() const {
    return row_pair_scale(load_shared_word(slot_ + kNarrowScalesAt<Int4Group128> + lane_ * 4));
  }
  // Half of the group's words.
  __device__ __forceinline__ void load_word(int half, uint32_t (&word)[4]) const {
    const uint4 v = load_shared(slot_ + half * static_cast<int>(CudaTile::kWordBytes) + lane_ * 16);
    word[0] = v.x, word[1] = v.y, word[2] = v.z, word[3] = v.w;
  }

 private:
  NarrowStream<Int4Group128> stream_;
  int n_groups_;
  int lane_;
  uint32_t ring_;
  uint32_t slot_;
  int asked_ = 0;
};

// Where the stages of tokens are, for those that read them.
template <class Tiling>
struct TokenRing {
  uint32_t s_stages;
  uint32_t s_full;
  uint32_t s_empty;
  int stage_bytes;
  int n_stages;
  int rank;
  bool multicast;
  int stage = 0;
  uint32_t parity = 0;

  __device__ __forceinline__ void init() const {
    for (int i = 0; i < n_stages; ++i) {
      barrier_init(s_full + 8 * i, 1);
      barrier_init(s_empty + 8 * i, Tiling::kReaders * (multicast ? 2 : 1));
    }
    barrier_init_done();
  }
  __device__ __forceinline__ uint32_t wait() const {
    bounded_wait(s_full + 8 * stage, parity);
    return s_stages + stage * stage_bytes;
  }
  // The current stage has been read by this reader, whose thread `reader_thread` this is. Said only
  // when somebody waits: a stage that is not filled again might belong to a block that has gone.
  __device__ __forceinline__ void leave(int reader_thread, bool is_used_again) {
    if (is_used_again && reader_thread < (multicast ? 2 : 1))
      barrier_arrive(
          address_in(s_empty + 8 * stage, static_cast<uint32_t>(multicast ? reader_thread : rank)));
    if (++stage == n_stages) stage = 0, parity ^= 1;
  }
};

// One thread of the block brings the tokens: 128 inputs of each of the block's parts into `stage`.
template <class Tiling>
__device__ __forceinline__ void copy_columns(const WarpgroupArgs& args, const WarpgroupBlock& block,
                                             const TokenRing<Tiling>& ring, int stage, int group) {
  const std::byte* const from =
      args.image + (int64_t{block.first_part} * block.n_groups + group) * Tiling::kGroupBytes;
  const uint32_t full = ring.s_full + 8 * stage;
  const uint32_t to = ring.s_stages + stage * ring.stage_bytes;
  barrier_expect(full, ring.stage_bytes);
  if (args.multicast) {
    const int half = block.rank * Tiling::kTileBytes;
    bulk_load_to_all(to + half, from + half, Tiling::kTileBytes, full, 3);
    return;
  }
  const int64_t part_bytes = int64_t{block.n_groups} * Tiling::kGroupBytes;
#pragma unroll 1
  for (int part = 0; part < args.parts; ++part)
    bulk_load(to + part * Tiling::kGroupBytes, from + part * part_bytes, Tiling::kGroupBytes, full);
}

// Before `group` is waited for: fills the stage that was read two groups ago, so that the other
// warpgroups may be that far behind without being waited for. (Of two stages, the last one.)
template <class Tiling>
__device__ __forceinline__ void refill_columns(const WarpgroupArgs& args,
                                               const WarpgroupBlock& block,
                                               const TokenRing<Tiling>& ring, int group) {
  const int behind = ring.n_stages > 2 ? 2 : 1;
  const int next = group - behind + ring.n_stages;
  if (group < behind || next >= block.n_groups) return;
  int stage = ring.stage - behind;
  uint32_t parity = ring.parity;
  if (stage < 0) stage += ring.n_stages, parity ^= 1;
  bounded_wait(ring.s_empty + 8 * stage, parity);
  copy_columns(args, block, ring, stage, next);
}

}  // namespace incipit::kernels::cuda
