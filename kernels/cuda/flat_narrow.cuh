// Flat product of a few tokens (up to 8, as many as fit in shared memory). Weights are the A
// operand of mma.m16n8k16, tokens the B operand (the "swap AB" of Machete and TensorRT-LLM);
// dequantisation is Marlin's.
//
// A warp owns one part of the inputs of one tile of 16 outputs, and streams it through a ring of
// its own in shared memory by cp.async: up to 8 KB a warp are on their way from before pdl_wait()
// until the part ends. A lane reads back only what it copied, so warps need no barrier. A ring in
// registers (4 KB) took 30 us for gate and up of 1 row on an H100, this one 22; registers that hold
// 8 KB would leave the next kernel no room.
//
// All rows lie in shared memory, 16-byte pieces of odd rows swapped in pairs of 64 bytes, so that
// eight lanes of two rows hit all banks once. Parts of a tile are added through shared memory, in
// order, by the tile's first warp.
//
// Grid: ceil(n_tiles / tiles_per_block); block: parts.n * tiles_per_block warps, at most 14;
// shared: narrow_shared_bytes(). All blocks must run at once and be spread evenly, and the next
// kernel's ought to fit beside them to ask for their weights early.
#pragma once

#include <type_traits>

#include "kernels/cuda/flat_epilogues.cuh"
#include "kernels/cuda/flat_operands.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/pdl.cuh"

namespace incipit::kernels::cuda {

inline constexpr int kNarrowWarps = 8;
inline constexpr int kNarrowRows = 8;
inline constexpr int kNarrowLimitThreads = 448;  // two blocks of so many: 72 registers a thread
inline constexpr int kNarrowMostWarps = 14;      // of one part, where the rows need the room
inline constexpr int kNarrowLargeShared = 128 * 1024;
inline constexpr int kNarrowStaticBytes = 5632;  // parts, norms, and what the system takes

// A row in shared memory: whole quads of stages.
HOST_DEVICE inline int32_t narrow_row_bytes(const FlatWeights& w) {
  return static_cast<int32_t>(round_up(w.cols, kFlatPartUnit)) * 2;
}
// A stage of a warp's ring: the lanes' words, and for Int4Group128 four bytes of scales a lane.
template <class Codec>
inline constexpr int kNarrowScalesAt = Codec::kStageWords * 512;
template <class Codec>
inline constexpr int kNarrowStageBytes = kNarrowScalesAt<Codec> +
                                         (std::is_same_v<Codec, Int4Group128> ? kWarp * 4 : 0);
// Stages of the longest ring, 8 KB of weights, and how many are asked for at once: 2 KB that follow
// each other.
template <class Codec>
inline constexpr int kNarrowRing = 16 / Codec::kStageWords;
template <class Codec>
inline constexpr int kNarrowUnrolled = Codec::kStageWords > 2 ? 1 : 2;

// A warp's way from memory to its ring, from stage `stage` of a tile on.
template <class Codec>
class NarrowStream {
 public:
  __device__ __forceinline__ NarrowStream(const FlatWeights& w, int tile, int32_t stage, int lane)
      : at_(w.data + tile * w.tile_bytes + int64_t{stage} * (Codec::kStageWords * 512) + lane * 16),
        scales_(w.data + tile * w.tile_bytes + w.scales_at + lane / 4 * 16),
        stage_(stage) {}
  // Asks for the stage `i` stages on; zeros when there is none.
  __device__ __forceinline__ void copy(int i, bool exists, uint32_t stage_at, int lane) const {
#pragma unroll
    for (int word = 0; word < Codec::kStageWords; ++word)
      copy_async(stage_at + word * 512 + lane * 16, at_ + (i * Codec::kStageWords + word) * 512,
                 exists ? 16 : 0);
    if constexpr (std::is_same_v<Codec, Int4Group128>) {
      const int32_t stage = stage_ + i;
      copy_async_word(stage_at + kNarrowScalesAt<Codec> + lane * 4,
                      scales_ + stage / 4 * CudaTile::kScaleQuadBytes + stage % 4 * 4,
                      exists ? 4 : 0);
    }
  }
  __device__ __forceinline__ void advance(int n) {
    at_ += n * Codec::kStageWords * 512;
    stage_ += n;
  }

 private:
  const std::byte* at_;
  const std::byte* scales_;
  int32_t stage_;
};

template <>
class NarrowStream<F16Codec> {
 public:
  __device__ __forceinline__ NarrowStream(const FlatWeights& w, int tile, int32_t stage, int lane)
      : left_(w.cols - stage * kStageCols - lane % 4 * 8) {
    const int low = min(tile * CudaTile::kRows + lane / 4, w.n_rows - 1);
    const int high = min(low + 8, w.n_rows - 1);
    low_ = w.data + (int64_t{low} * w.cols + w.cols - left_) * 2;
    high_ = w.data + (int64_t{high} * w.cols + w.cols - left_) * 2;
  }
  __device__ __forceinline__ void copy(int i, bool exists, uint32_t stage_at, int lane) const {
    const uint32_t to = stage_at + lane * 16;
#pragma unroll
    for (int block = 0; block < kStageCols / 32; ++block) {
      const int col = i * kStageCols + block * 32;
      const bool is_input = exists && col < left_;
      copy_async(to + block * 1024, low_ + (is_input ? col * 2 : 0), is_input ? 16 : 0);
      copy_async(to + block * 1024 + 512, high_ + (is_input ? col * 2 : 0), is_input ? 16 : 0);
    }
  }
  __device__ __forceinline__ void advance(int n) {
    low_ += n * kStageCols * 2;
    high_ += n * kStageCols * 2;
    left_ -= n * kStageCols;
  }

 private:
  int32_t left_;  // inputs of the row from this lane's first on
  const std::byte* low_;
  const std::byte* high_;
};

// A lane's words of a block, from its ring.
template <class Codec>
struct NarrowWord {
  uint4 word;
  __device__ __forceinline__ void load(uint32_t stage_at, int block) {
    if (block % (4 / Codec::kStageWords) == 0)
      word = load_shared(stage_at + block * Codec::kStageWords / 4 * 512);
  }
  template <int kBlock, int kStep>
  __device__ __forceinline__ void dequantize(const ZeroPoints& zeros, uint32_t (&a)[4]) const {
    Codec::template dequantize<kBlock, kStep>(word, zeros, a);
  }
};
template <>
struct NarrowWord<F16Codec> {
  uint4 low, high;
  __device__ __forceinline__ void load(uint32_t stage_at, int block) {
    low = load_shared(stage_at + block * 1024);
    high = load_shared(stage_at + block * 1024 + 512);
  }
  template <int kBlock, int kStep>
  __device__ __forceinline__ void dequantize(const ZeroPoints&, uint32_t (&a)[4]) const {
    a[0] = component<2 * kStep>(low);
    a[1] = component<2 * kStep>(high);
    a[2] = component<2 * kStep + 1>(low);
    a[3] = component<2 * kStep + 1>(high);
  }
};

// Two steps of 16 inputs.
template <int kBlock, class Word>
__device__ __forceinline__ void multiply_block(const Word& word, const ZeroPoints& zeros,
                                               const uint4& b, bool starts_group,
                                               float (&part)[4]) {
  uint32_t a[4];
  word.template dequantize<kBlock, 0>(zeros, a);
  if (starts_group) {
    mma_from_zero(part, a, b.x, b.y);
  } else {
    mma_16x8x16(part, a, b.x, b.y);
  }
  word.template dequantize<kBlock, 1>(zeros, a);
  mma_16x8x16(part, a, b.z, b.w);
}

// Scales and zeros of a lane's two rows.
template <class Codec>
class NarrowScales {
 public:
  __device__ __forceinline__ NarrowScales(const FlatWeights& w, int tile, int lane)
      : w_(w), scales_(w.data + tile * w.tile_bytes + w.scales_at), g_(lane / 4) {}

  __device__ __forceinline__ RowPairScale of_block(int32_t block) const {
    const auto* halves =
        reinterpret_cast<const uint32_t*>(scales_ + quad(block) * CudaTile::kScaleQuadBytes +
                                          g_ * 16 + Codec::place_in_quad(w_, block) * 4);
    return row_pair_scale(__ldg(halves));
  }
  __device__ __forceinline__ ZeroPoints zeros_of_block(int32_t block) const {
    if (w_.zeros_at == 0) return symmetric_zero_points();
    const auto* bytes = reinterpret_cast<const uchar2*>(
        scales_ - w_.scales_at + w_.zeros_at + quad(block) * CudaTile::kZeroQuadBytes + g_ * 8 +
        Codec::place_in_quad(w_, block) * 2);
    const uchar2 zeros = __ldg(bytes);
    return zero_points(zeros.x, zeros.y);
  }

 private:
  // Of blocks past the last group, which meet zeros, the last one's.
  __device__ __forceinline__ int32_t quad(int32_t block) const {
    return min(block * 32, w_.cols - 1) / w_.group / CudaTile::kQuadGroups;
  }
  const FlatWeights& w_;
  const std::byte* scales_;
  int g_;
};

// Rows to shared memory, row_bytes each, inputs past cols zero.
__device__ __forceinline__ void copy_rows(const FlatRows& in, int32_t cols, int32_t row_bytes,
                                          uint32_t s_rows) {
  const int32_t n_pieces = row_bytes / 16;
#pragma unroll 1
  for (int token = 0; token < in.n_rows; ++token) {
    const uint16_t* row = in.values + in.row_of(token) * cols;
    const uint32_t to = s_rows + token * row_bytes;
    for (int32_t piece = threadIdx.x; piece < n_pieces; piece += blockDim.x) {
      const bool is_input = piece * 8 < cols;
      copy_async(to + (piece ^ ((token & 1) << 2)) * 16, row + (is_input ? piece * 8 : 0),
                 is_input ? 16 : 0);
    }
  }
}

struct NarrowLaunch {
  int tiles_per_block = 1;
  int ring_stages = 0;  // kNarrowRing, half of it, or what a part has; 0: the rows do not fit
};

// Until the ring's oldest group has arrived. The instruction takes a constant.
template <class Codec>
__device__ __forceinline__ void wait_oldest(int ring_stages) {
  constexpr int kGroups = kNarrowRing<Codec> / kNarrowUnrolled<Codec>;
  if (ring_stages == kNarrowRing<Codec>) {
    copy_async_wait<kGroups - 1>();
  } else {
    copy_async_wait<kGroups / 2 - 1>();
  }
}

template <class Codec, class Epilogue>
__global__ void __launch_bounds__(kNarrowLimitThreads, 2)
    flat_narrow_kernel(const FlatWeights w, const FlatRows in, const NarrowLaunch shape,
                       const Epilogue epilogue) {
  extern __shared__ __align__(128) uint4 s_rings[];  // [warp][stage][word][lane], then the rows
  __shared__ float4 s_parts[kFlatMaxParts][kWarp];
  __shared__ float s_norm[kNarrowRows];
  constexpr int kUnrolled = kNarrowUnrolled<Codec>;
  constexpr int kStageBytes = kNarrowStageBytes<Codec>;
  const int lane = threadIdx.x % kWarp;
  const int warp = threadIdx.x / kWarp;
  const int part_idx = warp % w.parts.n;
  const int tile = blockIdx.x * shape.tiles_per_block + warp / w.parts.n;
  const int read_tile = min(tile, w.n_tiles - 1);
  const int32_t first = part_idx * w.parts.cols / kStageCols;
  const int32_t n_stages = min(w.parts.cols, w.padded_cols() - first * kStageCols) / kStageCols;
  const uint32_t rings = shared_address(s_rings);
  const uint32_t ring_bytes = shape.ring_stages * kStageBytes;
  const uint32_t ring = rings + warp * ring_bytes;
  const uint32_t rows = rings + blockDim.x / kWarp * ring_bytes;

  NarrowStream<Codec> stream(w, read_tile, first, lane);
#pragma unroll
  for (int i = 0; i < kNarrowRing<Codec>; ++i) {
    if (i < shape.ring_stages) stream.copy(i, i < n_stages, ring + i * kStageBytes, lane);
  }
  stream.advance(shape.ring_stages);
  const NarrowScales<Codec> scales(w, read_tile, lane);

  pdl_launch_next();
  pdl_wait();
  const int32_t row_bytes = narrow_row_bytes(w);
  copy_rows(in, w.cols, row_bytes, rows);
  copy_async_commit();
  // The ring's other groups are counted as if they had been committed one by one.
  for (int i = kUnrolled; i < shape.ring_stages; i += kUnrolled) copy_async_commit();
  const bool finishes = part_idx == 0 && tile < w.n_tiles;
  typename Epilogue::Inputs epilogue_inputs;
  if (finishes) epilogue_inputs = epilogue.load(tile, 0, in.n_rows, lane);
  reduce_norms(in, w.cols, warp, blockDim.x / kWarp, lane, s_norm);
  wait_oldest<Codec>(shape.ring_stages);
  __syncthreads();

  // Lanes of columns past the last row repeat its inputs; nobody reads those sums.
  const int row = min(lane / 4, in.n_rows - 1);
  uint32_t b_at = rows + row * row_bytes + ((row & 1) * 4 + lane % 4) * 16 + first * kStageCols * 2;
  uint32_t stage_at = ring;
  float acc[4] = {};
  float part[4] = {};
#pragma unroll 1
  for (int32_t stage = 0; stage < n_stages; stage += kUnrolled) {  // those past the last are zeros
    wait_oldest<Codec>(shape.ring_stages);
#pragma unroll
    for (int i = 0; i < kUnrolled; ++i) {
      const uint32_t at = stage_at + i * kStageBytes;
      NarrowWord<Codec> word;
#pragma unroll
      for (int block = 0; block < 4; ++block) {
        const int32_t of_tile = (first + stage + i) * 4 + block;
        word.load(at + lane * 16, block);
        const uint4 inputs =
            load_shared((block % 2 == 0 ? b_at : b_at ^ 64) + i * 256 + block / 2 * 128);
        const bool starts = block % Codec::kGroupBlocks == 0;
        ZeroPoints zeros = symmetric_zero_points();
        if constexpr (Codec::kZeroPoints) zeros = scales.zeros_of_block(of_tile);
        if (block % 2 == 0) {
          multiply_block<0>(word, zeros, inputs, starts, part);
        } else {
          multiply_block<1>(word, zeros, inputs, starts, part);
        }
        if (block % Codec::kGroupBlocks != Codec::kGroupBlocks - 1) continue;
        RowPairScale scale = {1.0f, 1.0f};
        if constexpr (std::is_same_v<Codec, Int4Group128>)
          scale = row_pair_scale(load_shared_word(at + kNarrowScalesAt<Codec> + lane * 4));
        if constexpr (Codec::kZeroPoints) scale = scales.of_block(of_tile);
        add_group(acc, part, scale);
      }
    }
#pragma unroll
    for (int i = 0; i < kUnrolled; ++i)
      stream.copy(i, stage + i + shape.ring_stages < n_stages, stage_at + i * kStageBytes, lane);
    copy_async_commit();
    stream.advance(kUnrolled);
    b_at += kUnrolled * kStageCols * 2;
    stage_at += kUnrolled * kStageBytes;
    if (stage_at == ring + ring_bytes) stage_at = ring;
  }

  if (w.parts.n > 1) {
    s_parts[warp][lane] = make_float4(acc[0], acc[1], acc[2], acc[3]);
    __syncthreads();
    if (part_idx != 0) return;
    for (int i = 1; i < w.parts.n; ++i) {
      const float4 other = s_parts[warp + i][lane];
      acc[0] = __fadd_rn(acc[0], other.x);
      acc[1] = __fadd_rn(acc[1], other.y);
      acc[2] = __fadd_rn(acc[2], other.z);
      acc[3] = __fadd_rn(acc[3], other.w);
    }
  }
  if (finishes) epilogue.finish(epilogue_inputs, tile, 0, in.n_rows, acc, s_norm, lane);
}

template <class Codec>
int narrow_shared_bytes(const FlatWeights& w, int32_t n_rows, const NarrowLaunch& shape) {
  return w.parts.n * shape.tiles_per_block * shape.ring_stages * kNarrowStageBytes<Codec> +
         n_rows * narrow_row_bytes(w);
}

// Two blocks, or as many as each multiprocessor gets, must run at once; where shared memory is
// small (and memory slow beside it) one will do. A long ring comes before small blocks.
template <class Codec>
NarrowLaunch narrow_launch(const FlatWeights& w, int32_t n_rows) {
  NarrowLaunch shape;
  if (n_rows > kNarrowRows) return shape;
  const DeviceLimits& limits = device_limits();
  const int32_t part_stages = w.parts.cols / kStageCols;
  for (int64_t at_once = 2; at_once >= (limits.shared_bytes < kNarrowLargeShared ? 1 : 2);
       --at_once) {
    for (const int ring : {kNarrowRing<Codec>, kNarrowRing<Codec> / 2}) {
      shape.ring_stages = std::min(ring, std::max(part_stages, kNarrowRing<Codec> / 2));
      for (const int most_tiles : {kNarrowWarps, kNarrowMostWarps, kNarrowWarps / 2}) {
        if (w.parts.n == 1) shape.tiles_per_block = balanced_tiles(w.n_tiles, 1, 4, most_tiles);
        const int64_t n_blocks = ceil_div(w.n_tiles, shape.tiles_per_block);
        const int64_t n_resident = std::min(at_once, ceil_div(n_blocks, limits.n_processors));
        const auto room = static_cast<int>(limits.shared_bytes / n_resident) - kNarrowStaticBytes;
        if (narrow_shared_bytes<Codec>(w, n_rows, shape) <= room) return shape;
      }
    }
  }
  shape.ring_stages = 0;
  return shape;
}

template <class Codec, class Epilogue>
void prepare_narrow() {
  prepare_kernel(flat_narrow_kernel<Codec, Epilogue>,
                 device_limits().shared_bytes - kNarrowStaticBytes);
}

template <class Codec, class Epilogue>
void launch_narrow(const FlatWeights& w, const FlatRows& in, const NarrowLaunch& shape,
                   const Epilogue& epilogue, const LaunchContext& context) {
  const auto n_blocks = static_cast<unsigned>(ceil_div(w.n_tiles, shape.tiles_per_block));
  const auto n_threads = static_cast<unsigned>(w.parts.n * shape.tiles_per_block * kWarp);
  launch(context, flat_narrow_kernel<Codec, Epilogue>, dim3(n_blocks), dim3(n_threads),
         static_cast<size_t>(narrow_shared_bytes<Codec>(w, in.n_rows, shape)), w, in, shape,
         epilogue);
}

}  // namespace incipit::kernels::cuda
