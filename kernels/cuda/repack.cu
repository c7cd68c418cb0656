// Repacking: one thread gathers the 16 bytes of a lane of the device's layout, nibble by nibble (or
// byte by byte) through both layouts' own functions; another grid writes scales, zeros and the
// tile's padding. Reads hit L1: a warp's 512 bytes come from about as many of the CPU's layout.
// Once a model is loaded nobody comes back here, so it is simple rather than fast (16 bytes written
// a thread; the copy from the host takes far longer).
//
// Grid: x over the lanes' words (or the bytes behind them) of a tile, y over tiles; 128 threads.
#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/repack.h"

namespace incipit::kernels::cuda {

namespace {

constexpr int kRepackThreads = 128;
constexpr int kLanes = 32;
constexpr int64_t kMaxGridTiles = 32768;  // gridDim.y has 16 bits; further tiles in turns

struct Int4Repack {
  Int4View<CpuTile> from;
  RowOrder order;
  HeadOrder heads;
  std::byte* to;
};

__device__ uint32_t byte_at(const std::byte* data, int64_t at) {
  return static_cast<uint32_t>(data[at]);
}

// The CPU's layout has a place for every row of a tile of 32 and every input of a group, padding
// included; what is past that gets the symmetric zero point.
__device__ uint32_t nibble_at(const Int4Repack& p, int64_t row, int64_t col) {
  const Int4Shape& s = p.from.shape;
  if (row < 0 || col >= int64_t{s.n_groups()} * s.group) return kSymmetricZero;
  return byte_at(p.from.data, CpuTile::byte_of(s, row, col)) >> CpuTile::shift_of(s, col) & 0x0fu;
}

// The logical row that stands at packed row `row`; -1: padding.
__device__ int64_t source_row(const Int4Repack& p, int64_t row) {
  if (row >= p.from.shape.rows) return -1;
  return logical_row(p.order, p.heads, p.from.shape.rows, static_cast<int32_t>(row));
}

__global__ void repack_int4_words_kernel(const Int4Repack p) {
  const Int4Shape& s = p.from.shape;
  const int64_t i = int64_t{blockIdx.x} * kRepackThreads + threadIdx.x;
  if (i >= CudaTile::quant_bytes(s) / 16) return;
  const int64_t lane = i % kLanes;
  const int64_t first_col = i / kLanes * CudaTile::kWordCols + lane % 4 * 8;
  for (int64_t tile = blockIdx.y; tile < CudaTile::n_tiles(s); tile += gridDim.y) {
    const int64_t row = tile * CudaTile::kRows + lane / 4;
    const int64_t rows[2] = {source_row(p, row), source_row(p, row + 8)};
    uint32_t words[4] = {};
    for (int64_t half = 0; half < 2; ++half) {
      for (int64_t block = 0; block < 2; ++block) {
        for (int64_t k = 0; k < 8; ++k) {
          const int64_t col = first_col + block * 32 + k;
          const int64_t nibble = k % 2 * 4 + k % 4 / 2 * 2 + half;
          words[block * 2 + k / 4] |= nibble_at(p, rows[half], col) << (nibble * 4);
        }
      }
    }
    auto* to = reinterpret_cast<uint4*>(p.to + tile * CudaTile::tile_bytes(s));
    to[i] = make_uint4(words[0], words[1], words[2], words[3]);
  }
}

// A thread a byte: scales, zeros, padding. Absent groups and rows have scale 0.
__global__ void repack_int4_scales_kernel(const Int4Repack p) {
  const Int4Shape& s = p.from.shape;
  const int64_t quads = CudaTile::n_scale_quads(s);
  const int64_t i = int64_t{blockIdx.x} * kRepackThreads + threadIdx.x;
  if (i >= CudaTile::tile_bytes(s) - CudaTile::quant_bytes(s)) return;
  const bool is_scale = i < quads * CudaTile::kScaleQuadBytes;
  const int64_t place = is_scale ? i / 2 : i - quads * CudaTile::kScaleQuadBytes;
  const int64_t group = place / 64 * 4 + place % 8 / 2;
  const int64_t row_in_tile = place % 64 / 8 + place % 2 * 8;
  for (int64_t tile = blockIdx.y; tile < CudaTile::n_tiles(s); tile += gridDim.y) {
    const int64_t row = source_row(p, tile * CudaTile::kRows + row_in_tile);
    const bool is_group = row >= 0 && group < s.n_groups();
    uint32_t value = 0;
    if (is_scale) {
      if (is_group) value = byte_at(p.from.data, CpuTile::scale_of(s, row, group) + i % 2);
    } else if (s.has_zeros && place < quads * CudaTile::kZeroQuadBytes) {
      value = is_group ? byte_at(p.from.data, CpuTile::zero_of(s, row, group)) : kSymmetricZero;
    }
    p.to[tile * CudaTile::tile_bytes(s) + CudaTile::quant_bytes(s) + i] =
        static_cast<std::byte>(value);
  }
}

// A thread the four bytes of one output and four inputs, or of a scale, or of padding.
__global__ void repack_int8_kernel(const Int8View<CpuTile> from, std::byte* to) {
  using To = Int8Layout<CudaTile>;
  using From = Int8Layout<CpuTile>;
  const Int8Shape& s = from.shape;
  const int64_t i = int64_t{blockIdx.x} * kRepackThreads + threadIdx.x;
  if (i >= To::tile_bytes(s) / 4) return;
  const int64_t lane = i / 4 % kLanes;
  const int64_t word = i % 4;
  const int64_t col = i / 128 * To::kWordCols + lane % 4 * 8 + word / 2 * 4;
  const int64_t scale = i - To::quant_bytes(s) / 4;
  for (int64_t tile = blockIdx.y; tile < To::n_tiles(s); tile += gridDim.y) {
    const int64_t first_row = tile * To::kRows;
    uint32_t bytes = 0;
    if (scale < 0) {
      const int64_t row = first_row + lane / 4 + word % 2 * 8;
      const int64_t at = From::byte_of(s, row, col);  // inputs col .. col + 3 follow each other
      bytes = byte_at(from.data, at) | byte_at(from.data, at + 2) << 8 |
              byte_at(from.data, at + 1) << 16 | byte_at(from.data, at + 3) << 24;
      if (row >= s.rows) bytes = 0x80808080u;
    } else if (scale < To::kRows && first_row + scale < s.rows) {
      bytes = *reinterpret_cast<const uint32_t*>(from.data + From::scale_of(s, first_row + scale));
    }
    reinterpret_cast<uint32_t*>(to + tile * To::tile_bytes(s))[i] = bytes;
  }
}

dim3 grid_of(int64_t items, int64_t n_tiles) {
  return dim3(static_cast<unsigned>(ceil_div(items, kRepackThreads)),
              static_cast<unsigned>(n_tiles < kMaxGridTiles ? n_tiles : kMaxGridTiles));
}

}  // namespace

void repack_int4(const Int4View<CpuTile>& from, RowOrder order, const HeadOrder& heads,
                 std::byte* to, cudaStream_t stream) {
  const Int4Shape& s = from.shape;
  const Int4Repack params = {from, order, heads, to};
  const int64_t n_tiles = CudaTile::n_tiles(s);
  repack_int4_words_kernel<<<grid_of(CudaTile::quant_bytes(s) / 16, n_tiles), kRepackThreads, 0,
                             stream>>>(params);
  CUDA_CHECK(cudaGetLastError());
  repack_int4_scales_kernel<<<grid_of(CudaTile::tile_bytes(s) - CudaTile::quant_bytes(s), n_tiles),
                              kRepackThreads, 0, stream>>>(params);
  CUDA_CHECK(cudaGetLastError());
}

void repack_int8(const Int8View<CpuTile>& from, std::byte* to, cudaStream_t stream) {
  using To = Int8Layout<CudaTile>;
  const Int8Shape& s = from.shape;
  repack_int8_kernel<<<grid_of(To::tile_bytes(s) / 4, To::n_tiles(s)), kRepackThreads, 0, stream>>>(
      from, to);
  CUDA_CHECK(cudaGetLastError());
}

}  // namespace incipit::kernels::cuda
