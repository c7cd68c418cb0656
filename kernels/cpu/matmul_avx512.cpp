// The matrix products with AVX-512 VNNI. A 64-byte line of weights is 16 outputs x 4 inputs per
// nibble: the unsigned operand of vpdpbusd; the signed one is a broadcast dword of one plane of one
// row. A block is up to 6 rows x 32 outputs: 24 accumulators, 4 vectors of weights, 1 broadcast, so
// that one unpacking (6 operations for two lines) serves 48 products. With one row the two nibbles
// have accumulators of their own: four chains of dependent products would be bound by their
// latency.
//
// Nothing here may leave an inline function behind for other objects: no std templates.
#include <immintrin.h>

#include "kernels/cpu/matmul_blocks.h"
#include "kernels/cpu/matmul_kernels.h"

namespace incipit::kernels::avx512 {

namespace {

constexpr int32_t kRows = CpuTile::kRows;
constexpr int32_t kMaxBlockRows = 6;
constexpr int32_t kChunkLineBytes = 512;  // INT4 lines of a tile for 32 inputs
// Second-level caches with AVX-512 have 1 or 2 MiB.
constexpr CacheBudget kBudget = {256 * 1024, 640 * 1024};
// How far ahead of the stream of weights to prefetch. Llama-3-8B shapes, one row, one thread, huge
// pages, read bandwidth 16.5 GB/s: none 12.2, 1 KiB 14.9, 2 KiB 15.2, 4 KiB 13.0, 8 KiB 8.6 GB/s.
constexpr int64_t kPrefetchBytes = 2048;

__m512i broadcast_quad(const int8_t* quad) {
  int32_t bits;
  __builtin_memcpy(&bits, quad, sizeof(bits));
  return _mm512_set1_epi32(bits);
}

// Integer sums of a block: [row][half of the tile], hi and lo planes.
template <int kBlockRows>
struct BlockSums {
  __m512i hi[kBlockRows][2];
  __m512i lo[kBlockRows][2];
};

template <int kBlockRows>
inline __attribute__((always_inline)) void clear(BlockSums<kBlockRows>& sums) {
#pragma GCC unroll 8
  for (int r = 0; r < kBlockRows; ++r) {
#pragma GCC unroll 8
    for (int h = 0; h < 2; ++h) sums.hi[r][h] = sums.lo[r][h] = _mm512_setzero_si512();
  }
}

// Adds one quad of inputs; w0, w1 are its weights for the two halves of the tile.
template <int kBlockRows>
inline __attribute__((always_inline)) void add_quad(BlockSums<kBlockRows>& sums, __m512i w0,
                                                    __m512i w1, const int8_t* x, int quad) {
#pragma GCC unroll 8
  for (int r = 0; r < kBlockRows; ++r) {
    const int8_t* line = x + r * 2 * kQuantChunk + quad * 4;
    const __m512i hi = broadcast_quad(line);
    sums.hi[r][0] = _mm512_dpbusd_epi32(sums.hi[r][0], w0, hi);
    sums.hi[r][1] = _mm512_dpbusd_epi32(sums.hi[r][1], w1, hi);
    const __m512i lo = broadcast_quad(line + kQuantChunk);
    sums.lo[r][0] = _mm512_dpbusd_epi32(sums.lo[r][0], w0, lo);
    sums.lo[r][1] = _mm512_dpbusd_epi32(sums.lo[r][1], w1, lo);
  }
}

// The sums of one group: n_chunks chunks of 32 inputs. x is the first row's first line.
template <int kBlockRows, Prefetch kPrefetch>
inline __attribute__((always_inline)) void sum_int4_group(BlockSums<kBlockRows>& sums,
                                                          const uint8_t* lines, const int8_t* x,
                                                          int64_t chunk_stride, int32_t n_chunks) {
  const __m512i nibble = _mm512_set1_epi8(0x0f);
  BlockSums<kBlockRows> odd;  // the high nibbles' own chains, for blocks of few rows
  constexpr bool kSplit = kBlockRows <= 2;
  clear(sums);
  if constexpr (kSplit) clear(odd);
  for (int32_t c = 0; c < n_chunks; ++c, lines += kChunkLineBytes, x += chunk_stride) {
#pragma GCC unroll 4
    for (int pair = 0; pair < 4; ++pair) {
      const uint8_t* line = lines + pair * 128;
      if constexpr (kPrefetch == Prefetch::kAhead) {
        _mm_prefetch(reinterpret_cast<const char*>(line + kPrefetchBytes), _MM_HINT_T0);
        _mm_prefetch(reinterpret_cast<const char*>(line + kPrefetchBytes + 64), _MM_HINT_T0);
      }
      const __m512i w0 = _mm512_load_si512(line);
      const __m512i w1 = _mm512_load_si512(line + 64);
      add_quad(sums, _mm512_and_si512(w0, nibble), _mm512_and_si512(w1, nibble), x, 2 * pair);
      const __m512i high0 = _mm512_and_si512(_mm512_srli_epi16(w0, 4), nibble);
      const __m512i high1 = _mm512_and_si512(_mm512_srli_epi16(w1, 4), nibble);
      if constexpr (kSplit) {
        add_quad(odd, high0, high1, x, 2 * pair + 1);
      } else {
        add_quad(sums, high0, high1, x, 2 * pair + 1);
      }
    }
  }
  if constexpr (kSplit) {
#pragma GCC unroll 8
    for (int r = 0; r < kBlockRows; ++r) {
#pragma GCC unroll 8
      for (int h = 0; h < 2; ++h) {
        sums.hi[r][h] = _mm512_add_epi32(sums.hi[r][h], odd.hi[r][h]);
        sums.lo[r][h] = _mm512_add_epi32(sums.lo[r][h], odd.lo[r][h]);
      }
    }
  }
}

// The same for INT8 lines: a group of 128 inputs is 32 quads of two lines.
template <int kBlockRows, Prefetch kPrefetch>
inline __attribute__((always_inline)) void sum_int8_group(BlockSums<kBlockRows>& sums,
                                                          const uint8_t* lines, const int8_t* x,
                                                          int64_t chunk_stride) {
  clear(sums);
  for (int32_t c = 0; c < kInt8HeadGroup / kQuantChunk; ++c, lines += 1024, x += chunk_stride) {
#pragma GCC unroll 8
    for (int quad = 0; quad < 8; ++quad) {
      const uint8_t* line = lines + quad * 128;
      if constexpr (kPrefetch == Prefetch::kAhead) {
        _mm_prefetch(reinterpret_cast<const char*>(line + kPrefetchBytes), _MM_HINT_T0);
        _mm_prefetch(reinterpret_cast<const char*>(line + kPrefetchBytes + 64), _MM_HINT_T0);
      }
      add_quad(sums, _mm512_load_si512(line), _mm512_load_si512(line + 64), x, quad);
    }
  }
}

// The exact sum of a group as float: 128 hi + lo - zero_times_sum.
inline __attribute__((always_inline)) __m512 exact_sum(__m512i hi, __m512i lo,
                                                       __m512i zero_times_sum) {
  const __m512i planes = _mm512_add_epi32(_mm512_slli_epi32(hi, 7), lo);
  return _mm512_cvtepi32_ps(_mm512_sub_epi32(planes, zero_times_sum));
}

__m512 load_half_scales(const uint8_t* scales) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(scales)));
}

__mmask16 lanes_below(int64_t n) {
  return n >= 16 ? 0xffff : n <= 0 ? 0 : static_cast<__mmask16>((1u << n) - 1);
}

template <int kBlockRows>
inline __attribute__((always_inline)) void load_sums(const BlockPart& part,
                                                     __m512 (&acc)[kBlockRows][2]) {
#pragma GCC unroll 8
  for (int r = 0; r < kBlockRows; ++r) {
    const float* carry = part.carry + r * kRows;
    acc[r][0] = part.group_begin == 0 ? _mm512_setzero_ps() : _mm512_load_ps(carry);
    acc[r][1] = part.group_begin == 0 ? _mm512_setzero_ps() : _mm512_load_ps(carry + 16);
  }
}

template <int kBlockRows>
inline __attribute__((always_inline)) void store_sums(const __m512 (&acc)[kBlockRows][2],
                                                      const BlockPart& part) {
#pragma GCC unroll 8
  for (int r = 0; r < kBlockRows; ++r) {
    _mm512_store_ps(part.carry + r * kRows, acc[r][0]);
    _mm512_store_ps(part.carry + r * kRows + 16, acc[r][1]);
  }
}

// A part of y[part.row + r][outputs of the tile] for a block of rows.
template <int kBlockRows, Prefetch kPrefetch>
void int4_block(const Int4MatmulParams& p, const BlockPart& part) {
  const Int4Shape& s = p.w.shape;
  const int32_t n_chunks = s.group / kQuantChunk;
  const int64_t chunk_stride = int64_t{p.x.n_rows} * 2 * kQuantChunk;
  const int64_t quant_bytes = CpuTile::quant_bytes(s);
  const int64_t record_bytes = CpuTile::record_bytes(s);
  const uint8_t* record = reinterpret_cast<const uint8_t*>(p.w.data) +
                          (part.tile * p.x.n_groups + part.group_begin) * record_bytes;
  const int8_t* x =
      p.x.planes + part.group_begin * n_chunks * chunk_stride + int64_t{part.row} * 2 * kQuantChunk;
  const int64_t first_scale = int64_t{part.group_begin} * p.x.n_rows + part.row;
  const float* x_scales = p.x.scales + first_scale;
  const int32_t* x_sums = p.x.sums + first_scale;

  __m512 acc[kBlockRows][2];
  load_sums<kBlockRows>(part, acc);
  for (int32_t group = part.group_begin; group < part.group_end; ++group) {
    BlockSums<kBlockRows> sums;
    sum_int4_group<kBlockRows, kPrefetch>(sums, record, x, chunk_stride, n_chunks);
    const uint8_t* scales = record + quant_bytes;
    const __m512 scale0 = load_half_scales(scales);
    const __m512 scale1 = load_half_scales(scales + 32);
    __m512i zero0 = _mm512_set1_epi32(kSymmetricZero);
    __m512i zero1 = zero0;
    if (s.has_zeros) {
      const uint8_t* zeros = scales + CpuTile::kScaleBytes;
      zero0 = _mm512_cvtepu8_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(zeros)));
      zero1 = _mm512_cvtepu8_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(zeros + 16)));
    }
#pragma GCC unroll 8
    for (int r = 0; r < kBlockRows; ++r) {
      const __m512i x_sum = _mm512_set1_epi32(x_sums[r]);
      const __m512 x_scale = _mm512_set1_ps(x_scales[r]);
      __m512i minus0;
      __m512i minus1;
      if (s.has_zeros) {
        minus0 = _mm512_mullo_epi32(zero0, x_sum);
        minus1 = _mm512_mullo_epi32(zero1, x_sum);
      } else {
        minus0 = minus1 = _mm512_slli_epi32(x_sum, 3);
      }
      acc[r][0] = _mm512_fmadd_ps(exact_sum(sums.hi[r][0], sums.lo[r][0], minus0),
                                  _mm512_mul_ps(scale0, x_scale), acc[r][0]);
      acc[r][1] = _mm512_fmadd_ps(exact_sum(sums.hi[r][1], sums.lo[r][1], minus1),
                                  _mm512_mul_ps(scale1, x_scale), acc[r][1]);
    }
    record += record_bytes;
    x += chunk_stride * n_chunks;
    x_scales += p.x.n_rows;
    x_sums += p.x.n_rows;
  }

  if (part.group_end != p.x.n_groups) return store_sums<kBlockRows>(acc, part);

  const int64_t first = part.tile * kRows;
  const __mmask16 mask0 = lanes_below(s.rows - first);
  const __mmask16 mask1 = lanes_below(s.rows - first - 16);
#pragma GCC unroll 8
  for (int r = 0; r < kBlockRows; ++r) {
    float* y = p.y + (part.row + r) * p.y_stride + first;
    if (p.store == MatmulStore::kAdd) {
      acc[r][0] = _mm512_add_ps(_mm512_maskz_loadu_ps(mask0, y), acc[r][0]);
      acc[r][1] = _mm512_add_ps(_mm512_maskz_loadu_ps(mask1, y + 16), acc[r][1]);
    }
    _mm512_mask_storeu_ps(y, mask0, acc[r][0]);
    _mm512_mask_storeu_ps(y + 16, mask1, acc[r][1]);
  }
}

template <int kBlockRows, Prefetch kPrefetch>
void int8_block(const Int8MatmulParams& p, const BlockPart& part) {
  const int64_t chunk_stride = int64_t{p.x.n_rows} * 2 * kQuantChunk;
  const int64_t quant_bytes = int64_t{p.x.n_groups} * kInt8HeadGroup * kRows;
  constexpr int32_t kChunks = kInt8HeadGroup / kQuantChunk;
  const uint8_t* tile = reinterpret_cast<const uint8_t*>(p.w.data) +
                        part.tile * (quant_bytes + Int8Layout<CpuTile>::kScaleBytes);
  const uint8_t* lines = tile + int64_t{part.group_begin} * kInt8HeadGroup * kRows;
  const auto* scales = reinterpret_cast<const float*>(tile + quant_bytes);
  const int8_t* x =
      p.x.planes + part.group_begin * kChunks * chunk_stride + int64_t{part.row} * 2 * kQuantChunk;
  const int64_t first_scale = int64_t{part.group_begin} * p.x.n_rows + part.row;
  const float* x_scales = p.x.scales + first_scale;
  const int32_t* x_sums = p.x.sums + first_scale;

  __m512 acc[kBlockRows][2];
  load_sums<kBlockRows>(part, acc);
  for (int32_t group = part.group_begin; group < part.group_end; ++group) {
    BlockSums<kBlockRows> sums;
    sum_int8_group<kBlockRows, kPrefetch>(sums, lines, x, chunk_stride);
#pragma GCC unroll 8
    for (int r = 0; r < kBlockRows; ++r) {
      const __m512i minus = _mm512_slli_epi32(_mm512_set1_epi32(x_sums[r]), 7);  // the bias, 128
      const __m512 x_scale = _mm512_set1_ps(x_scales[r]);
      acc[r][0] =
          _mm512_fmadd_ps(exact_sum(sums.hi[r][0], sums.lo[r][0], minus), x_scale, acc[r][0]);
      acc[r][1] =
          _mm512_fmadd_ps(exact_sum(sums.hi[r][1], sums.lo[r][1], minus), x_scale, acc[r][1]);
    }
    lines += kInt8HeadGroup * kRows;
    x += chunk_stride * kChunks;
    x_scales += p.x.n_rows;
    x_sums += p.x.n_rows;
  }

  if (part.group_end != p.x.n_groups) return store_sums<kBlockRows>(acc, part);

  const int64_t first = part.tile * kRows;
  const __mmask16 mask0 = lanes_below(p.w.shape.rows - first);
  const __mmask16 mask1 = lanes_below(p.w.shape.rows - first - 16);
#pragma GCC unroll 8
  for (int r = 0; r < kBlockRows; ++r) {
    float* y = p.y + (part.row + r) * p.y_stride + first;
    _mm512_mask_storeu_ps(y, mask0, _mm512_mul_ps(acc[r][0], _mm512_load_ps(scales)));
    _mm512_mask_storeu_ps(y + 16, mask1, _mm512_mul_ps(acc[r][1], _mm512_load_ps(scales + 16)));
  }
}

using Int4Block = void (*)(const Int4MatmulParams&, const BlockPart&);
using Int8Block = void (*)(const Int8MatmulParams&, const BlockPart&);
constexpr auto kAhead = Prefetch::kAhead;
constexpr auto kNone = Prefetch::kNone;
// [the first block of a tile, the others][rows - 1]
constexpr Int4Block kInt4Blocks[2][kMaxBlockRows] = {
    {int4_block<1, kAhead>, int4_block<2, kAhead>, int4_block<3, kAhead>, int4_block<4, kAhead>,
     int4_block<5, kAhead>, int4_block<6, kAhead>},
    {int4_block<1, kNone>, int4_block<2, kNone>, int4_block<3, kNone>, int4_block<4, kNone>,
     int4_block<5, kNone>, int4_block<6, kNone>}};
constexpr Int8Block kInt8Blocks[2][kMaxBlockRows] = {
    {int8_block<1, kAhead>, int8_block<2, kAhead>, int8_block<3, kAhead>, int8_block<4, kAhead>,
     int8_block<5, kAhead>, int8_block<6, kAhead>},
    {int8_block<1, kNone>, int8_block<2, kNone>, int8_block<3, kNone>, int8_block<4, kNone>,
     int8_block<5, kNone>, int8_block<6, kNone>}};

void int4_tiles(const Int4MatmulParams& p, int64_t tile_begin, int64_t tile_end) {
  const int64_t tile_bytes = int64_t{p.x.n_groups} * CpuTile::record_bytes(p.w.shape);
  for_each_block<kMaxBlockRows>(p.x, tile_bytes, tile_begin, tile_end, kBudget,
                                [&](Prefetch which, int32_t n_rows, const BlockPart& part) {
                                  kInt4Blocks[which == Prefetch::kAhead ? 0 : 1][n_rows - 1](p,
                                                                                             part);
                                });
}

void int8_tiles(const Int8MatmulParams& p, int64_t tile_begin, int64_t tile_end) {
  const int64_t tile_bytes = int64_t{p.x.n_groups} * kInt8HeadGroup * kRows;
  for_each_block<kMaxBlockRows>(p.x, tile_bytes, tile_begin, tile_end, kBudget,
                                [&](Prefetch which, int32_t n_rows, const BlockPart& part) {
                                  kInt8Blocks[which == Prefetch::kAhead ? 0 : 1][n_rows - 1](p,
                                                                                             part);
                                });
}

// Sixteen lanes by column mod 16, then a fixed tree of additions.
float sum_lanes(__m512 lanes) {
  const __m256 eight =
      _mm256_add_ps(_mm512_castps512_ps256(lanes), _mm512_extractf32x8_ps(lanes, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

// kOuts outputs of one row at a time: as many chains as hide the latency of the fused multiply-add.
template <int kOuts>
inline __attribute__((always_inline)) void f16_block(const F16MatmulParams& p, int64_t out,
                                                     int64_t row) {
  const uint16_t* w = p.w + out * p.cols;
  const float* x = p.x + row * p.x_stride;
  __m512 acc[kOuts];
#pragma GCC unroll 8
  for (int o = 0; o < kOuts; ++o) acc[o] = _mm512_setzero_ps();
  int32_t col = 0;
  for (; col + 16 <= p.cols; col += 16) {
    const __m512 x16 = _mm512_loadu_ps(x + col);
#pragma GCC unroll 8
    for (int o = 0; o < kOuts; ++o) {
      const auto* w16 = reinterpret_cast<const __m256i*>(w + int64_t{o} * p.cols + col);
      acc[o] = _mm512_fmadd_ps(_mm512_cvtph_ps(_mm256_loadu_si256(w16)), x16, acc[o]);
    }
  }
  if (col < p.cols) {
    const auto mask = static_cast<__mmask16>((1u << (p.cols - col)) - 1);
    const __m512 x16 = _mm512_maskz_loadu_ps(mask, x + col);
#pragma GCC unroll 8
    for (int o = 0; o < kOuts; ++o) {
      const __m256i w16 = _mm256_maskz_loadu_epi16(mask, w + int64_t{o} * p.cols + col);
      acc[o] = _mm512_fmadd_ps(_mm512_cvtph_ps(w16), x16, acc[o]);
    }
  }
#pragma GCC unroll 8
  for (int o = 0; o < kOuts; ++o) p.y[row * p.y_stride + out + o] = sum_lanes(acc[o]);
}

void f16_tiles(const F16MatmulParams& p, int64_t tile_begin, int64_t tile_end) {
  const int64_t wanted = tile_end * kOutputTile;
  const int64_t end = wanted < p.n_out ? wanted : p.n_out;
  int64_t out = tile_begin * kOutputTile;
  for (; out + 8 <= end; out += 8) {
    for (int64_t row = 0; row < p.n_rows; ++row) f16_block<8>(p, out, row);
  }
  for (; out < end; ++out) {
    for (int64_t row = 0; row < p.n_rows; ++row) f16_block<1>(p, out, row);
  }
}

struct GroupScale {
  float inverse;
  float scale;
};

// From the largest |x| as integer bits: floats of one sign keep their order, NaN is largest.
GroupScale scale_of_group(uint32_t absmax_bits) {
  float absmax;
  __builtin_memcpy(&absmax, &absmax_bits, sizeof(absmax));
  if (absmax_bits >= 0x7f800000u) return {0.0f, __builtin_nanf("")};
  if (absmax < kQuantSmallest) return {0.0f, 0.0f};
  return {static_cast<float>(kQuantMax) / absmax, absmax / static_cast<float>(kQuantMax)};
}

// x has n values (at most a group), line is the group's first line of this row.
void quantize_group(const float* x, int32_t n, const QuantizedRows& out, int32_t group,
                    int32_t row) {
  __m512i absmax = _mm512_setzero_si512();
  for (int32_t col = 0; col < out.group; col += 16) {
    const __m512 x16 = _mm512_maskz_loadu_ps(lanes_below(n - col), x + col);
    absmax = _mm512_max_epu32(
        absmax, _mm512_and_si512(_mm512_castps_si512(x16), _mm512_set1_epi32(0x7fffffff)));
  }
  const GroupScale scale = scale_of_group(_mm512_reduce_max_epu32(absmax));
  // A group of zero inverse is zero whatever x holds: infinity * 0 would not be.
  const int32_t used = scale.inverse == 0.0f ? 0 : n;
  const __m512 inverse = _mm512_set1_ps(scale.inverse);
  __m512i sum = _mm512_setzero_si512();
  const int32_t chunks = out.group / kQuantChunk;
  int8_t* line = out.planes + (int64_t{group} * chunks * out.n_rows + row) * 2 * kQuantChunk;
  for (int32_t c = 0; c < chunks; ++c, line += int64_t{out.n_rows} * 2 * kQuantChunk) {
    for (int32_t i = 0; i < kQuantChunk; i += 16) {
      const int32_t col = c * kQuantChunk + i;
      const __m512 x16 = _mm512_maskz_loadu_ps(lanes_below(used - col), x + col);
      const __m512i v = _mm512_cvtps_epi32(_mm512_mul_ps(x16, inverse));  // rounds to even
      const __m512i hi = _mm512_srai_epi32(_mm512_add_epi32(v, _mm512_set1_epi32(64)), 7);
      const __m512i lo = _mm512_sub_epi32(v, _mm512_slli_epi32(hi, 7));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(line + i), _mm512_cvtepi32_epi8(hi));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(line + kQuantChunk + i),
                       _mm512_cvtepi32_epi8(lo));
      sum = _mm512_add_epi32(sum, v);
    }
  }
  const int64_t at = int64_t{group} * out.n_rows + row;
  out.scales[at] = scale.scale;
  out.sums[at] = _mm512_reduce_add_epi32(sum);
}

void quantize_rows(const float* x, int64_t x_stride, const QuantizedRows& out, int32_t row_begin,
                   int32_t row_end) {
  for (int32_t row = row_begin; row < row_end; ++row) {
    for (int32_t group = 0; group < out.n_groups; ++group) {
      const int32_t first = group * out.group;
      const int32_t rest = out.cols - first;
      quantize_group(x + row * x_stride + first, rest < out.group ? rest : out.group, out, group,
                     row);
    }
  }
}

}  // namespace

const MatmulKernels kMatmulKernels = {quantize_rows, int4_tiles, int8_tiles, f16_tiles};

}  // namespace incipit::kernels::avx512
