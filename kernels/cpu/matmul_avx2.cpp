// The matrix products with AVX2. Half a line of weights is 8 outputs x 4 inputs per nibble: the
// unsigned operand of vpmaddubsw; the signed one is a broadcast dword of one plane of one row. The
// 16-bit sums of a chunk (8 quads, two products each) stay below 8 * 2 * 15 * 127 = 30480, so they
// are widened once a chunk: vpmaddwd with 128 for the hi plane and 1 for the lo plane adds both
// into one exact int32 sum. A block is up to 4 rows x 8 outputs: 8 short sums, 4 int32 sums.
//
// Nothing here may leave an inline function behind for other objects: no std templates.
#include <immintrin.h>

#include "kernels/cpu/matmul_blocks.h"
#include "kernels/cpu/matmul_kernels.h"

namespace incipit::kernels::avx2 {

namespace {

constexpr int32_t kRows = CpuTile::kRows;
constexpr int kOctets = kRows / 8;
constexpr int32_t kMaxBlockRows = 4;
constexpr int32_t kChunkLineBytes = 512;  // INT4 lines of a tile for 32 inputs
// Second-level caches with AVX2 start at 256 KiB.
constexpr int64_t kPrefetchBytes = 2048;  // as measured for AVX-512
constexpr CacheBudget kBudget = {64 * 1024, 160 * 1024};

__m256i broadcast_quad(const int8_t* quad) {
  int32_t bits;
  __builtin_memcpy(&bits, quad, sizeof(bits));
  return _mm256_set1_epi32(bits);
}

template <int kBlockRows>
struct ShortSums {
  __m256i hi[kBlockRows];
  __m256i lo[kBlockRows];
};

template <int kBlockRows>
inline __attribute__((always_inline)) void add_quad(ShortSums<kBlockRows>& sums, __m256i w,
                                                    const int8_t* x, int quad) {
#pragma GCC unroll 4
  for (int r = 0; r < kBlockRows; ++r) {
    const int8_t* line = x + r * 2 * kQuantChunk + quad * 4;
    sums.hi[r] = _mm256_add_epi16(sums.hi[r], _mm256_maddubs_epi16(w, broadcast_quad(line)));
    sums.lo[r] =
        _mm256_add_epi16(sums.lo[r], _mm256_maddubs_epi16(w, broadcast_quad(line + kQuantChunk)));
  }
}

// Both lines of a pair (or of a quad), read by the first octet of the tile for all four.
inline __attribute__((always_inline)) void prefetch_pair(const uint8_t* line) {
  const auto* ahead = reinterpret_cast<const char*>(line + kPrefetchBytes);
  _mm_prefetch(ahead, _MM_HINT_T0);
  _mm_prefetch(ahead + 64, _MM_HINT_T0);
}

// sums[r] = sum of q * v over a group, for the 8 outputs whose half lines start at `lines`.
template <int kBlockRows>
inline __attribute__((always_inline)) void sum_int4_group(__m256i* sums, const uint8_t* lines,
                                                          const int8_t* x, int64_t chunk_stride,
                                                          int32_t n_chunks, Prefetch prefetch) {
  const __m256i nibble = _mm256_set1_epi8(0x0f);
  const __m256i weight_of_hi = _mm256_set1_epi16(128);
  const __m256i weight_of_lo = _mm256_set1_epi16(1);
#pragma GCC unroll 8
  for (int r = 0; r < kBlockRows; ++r) sums[r] = _mm256_setzero_si256();
  for (int32_t c = 0; c < n_chunks; ++c, lines += kChunkLineBytes, x += chunk_stride) {
    ShortSums<kBlockRows> shorts;
#pragma GCC unroll 8
    for (int r = 0; r < kBlockRows; ++r) shorts.hi[r] = shorts.lo[r] = _mm256_setzero_si256();
#pragma GCC unroll 4
    for (int pair = 0; pair < 4; ++pair) {
      if (prefetch == Prefetch::kAhead) prefetch_pair(lines + pair * 128);
      const __m256i w = _mm256_load_si256(reinterpret_cast<const __m256i*>(lines + pair * 128));
      add_quad(shorts, _mm256_and_si256(w, nibble), x, 2 * pair);
      add_quad(shorts, _mm256_and_si256(_mm256_srli_epi16(w, 4), nibble), x, 2 * pair + 1);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kBlockRows; ++r) {
      const __m256i planes = _mm256_add_epi32(_mm256_madd_epi16(shorts.hi[r], weight_of_hi),
                                              _mm256_madd_epi16(shorts.lo[r], weight_of_lo));
      sums[r] = _mm256_add_epi32(sums[r], planes);
    }
  }
}

// The same for INT8 lines, whose bytes are q + 128. |q| times the activation with q's sign stays
// below 2 * 127 * 127 = 32258 in 16 bits; the sums need no correction for the bias.
template <int kBlockRows>
inline __attribute__((always_inline)) void sum_int8_group(__m256i* sums, const uint8_t* lines,
                                                          const int8_t* x, int64_t chunk_stride,
                                                          Prefetch prefetch) {
  const __m256i weight_of_hi = _mm256_set1_epi16(128);
  const __m256i weight_of_lo = _mm256_set1_epi16(1);
#pragma GCC unroll 8
  for (int r = 0; r < kBlockRows; ++r) sums[r] = _mm256_setzero_si256();
  for (int32_t c = 0; c < kInt8HeadGroup / kQuantChunk; ++c, lines += 1024, x += chunk_stride) {
    for (int quad = 0; quad < 8; ++quad) {
      if (prefetch == Prefetch::kAhead) prefetch_pair(lines + quad * 128);
      const __m256i biased =
          _mm256_load_si256(reinterpret_cast<const __m256i*>(lines + quad * 128));
      const __m256i q = _mm256_xor_si256(biased, _mm256_set1_epi8(-128));
      const __m256i magnitude = _mm256_abs_epi8(q);
#pragma GCC unroll 8
      for (int r = 0; r < kBlockRows; ++r) {
        const int8_t* line = x + r * 2 * kQuantChunk + quad * 4;
        const __m256i hi =
            _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(broadcast_quad(line), q));
        const __m256i lo = _mm256_maddubs_epi16(
            magnitude, _mm256_sign_epi8(broadcast_quad(line + kQuantChunk), q));
        const __m256i planes = _mm256_add_epi32(_mm256_madd_epi16(hi, weight_of_hi),
                                                _mm256_madd_epi16(lo, weight_of_lo));
        sums[r] = _mm256_add_epi32(sums[r], planes);
      }
    }
  }
}

// Lanes below n as an AVX2 mask.
__m256i lanes_below(int64_t n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const auto limit = static_cast<int32_t>(n > 8 ? 8 : n);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(limit), lane);
}

template <int kBlockRows>
inline __attribute__((always_inline)) void load_sums(const BlockPart& part,
                                                     __m256 (&acc)[kOctets][kBlockRows]) {
  for (int o = 0; o < kOctets; ++o) {
    for (int r = 0; r < kBlockRows; ++r) {
      const float* carry = part.carry + r * kRows + o * 8;
      acc[o][r] = part.group_begin == 0 ? _mm256_setzero_ps() : _mm256_load_ps(carry);
    }
  }
}

template <int kBlockRows>
inline __attribute__((always_inline)) void store_sums(const __m256 (&acc)[kOctets][kBlockRows],
                                                      const BlockPart& part) {
  for (int o = 0; o < kOctets; ++o) {
    for (int r = 0; r < kBlockRows; ++r) {
      _mm256_store_ps(part.carry + r * kRows + o * 8, acc[o][r]);
    }
  }
}

// A part of y[part.row + r][outputs of the tile] for a block of rows.
template <int kBlockRows>
void int4_block(const Int4MatmulParams& p, const BlockPart& part, Prefetch prefetch) {
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

  __m256 acc[kOctets][kBlockRows];
  load_sums<kBlockRows>(part, acc);
  for (int32_t group = part.group_begin; group < part.group_end; ++group) {
    const uint8_t* scales = record + quant_bytes;
#pragma GCC unroll 8
    for (int o = 0; o < kOctets; ++o) {
      __m256i sums[kBlockRows];
      sum_int4_group<kBlockRows>(sums, record + o * 32, x, chunk_stride, n_chunks,
                                 o == 0 ? prefetch : Prefetch::kNone);
      const __m256 scale =
          _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(scales + o * 16)));
      __m256i zero = _mm256_set1_epi32(kSymmetricZero);
      if (s.has_zeros) {
        zero = _mm256_cvtepu8_epi32(_mm_loadl_epi64(
            reinterpret_cast<const __m128i*>(scales + CpuTile::kScaleBytes + o * 8)));
      }
#pragma GCC unroll 8
      for (int r = 0; r < kBlockRows; ++r) {
        const __m256i minus = _mm256_mullo_epi32(zero, _mm256_set1_epi32(x_sums[r]));
        const __m256 sum = _mm256_cvtepi32_ps(_mm256_sub_epi32(sums[r], minus));
        acc[o][r] =
            _mm256_fmadd_ps(sum, _mm256_mul_ps(scale, _mm256_set1_ps(x_scales[r])), acc[o][r]);
      }
    }
    record += record_bytes;
    x += chunk_stride * n_chunks;
    x_scales += p.x.n_rows;
    x_sums += p.x.n_rows;
  }

  if (part.group_end != p.x.n_groups) return store_sums<kBlockRows>(acc, part);
#pragma GCC unroll 8
  for (int o = 0; o < kOctets; ++o) {
    const int64_t first = part.tile * kRows + o * 8;
    if (first >= s.rows) break;
    const __m256i mask = lanes_below(s.rows - first);
#pragma GCC unroll 8
    for (int r = 0; r < kBlockRows; ++r) {
      float* y = p.y + (part.row + r) * p.y_stride + first;
      __m256 value = acc[o][r];
      if (p.store == MatmulStore::kAdd) value = _mm256_add_ps(_mm256_maskload_ps(y, mask), value);
      _mm256_maskstore_ps(y, mask, value);
    }
  }
}

template <int kBlockRows>
void int8_block(const Int8MatmulParams& p, const BlockPart& part, Prefetch prefetch) {
  const int64_t chunk_stride = int64_t{p.x.n_rows} * 2 * kQuantChunk;
  const int64_t quant_bytes = int64_t{p.x.n_groups} * kInt8HeadGroup * kRows;
  constexpr int32_t kChunks = kInt8HeadGroup / kQuantChunk;
  const uint8_t* tile = reinterpret_cast<const uint8_t*>(p.w.data) +
                        part.tile * (quant_bytes + Int8Layout<CpuTile>::kScaleBytes);
  const uint8_t* lines = tile + int64_t{part.group_begin} * kInt8HeadGroup * kRows;
  const auto* scales = reinterpret_cast<const float*>(tile + quant_bytes);
  const int8_t* x =
      p.x.planes + part.group_begin * kChunks * chunk_stride + int64_t{part.row} * 2 * kQuantChunk;
  const float* x_scales = p.x.scales + int64_t{part.group_begin} * p.x.n_rows + part.row;

  __m256 acc[kOctets][kBlockRows];
  load_sums<kBlockRows>(part, acc);
  for (int32_t group = part.group_begin; group < part.group_end; ++group) {
#pragma GCC unroll 8
    for (int o = 0; o < kOctets; ++o) {
      __m256i sums[kBlockRows];
      sum_int8_group<kBlockRows>(sums, lines + o * 32, x, chunk_stride,
                                 o == 0 ? prefetch : Prefetch::kNone);
#pragma GCC unroll 8
      for (int r = 0; r < kBlockRows; ++r) {
        acc[o][r] =
            _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums[r]), _mm256_set1_ps(x_scales[r]), acc[o][r]);
      }
    }
    lines += kInt8HeadGroup * kRows;
    x += chunk_stride * kChunks;
    x_scales += p.x.n_rows;
  }

  if (part.group_end != p.x.n_groups) return store_sums<kBlockRows>(acc, part);
#pragma GCC unroll 8
  for (int o = 0; o < kOctets; ++o) {
    const int64_t first = part.tile * kRows + o * 8;
    if (first >= p.w.shape.rows) break;
    const __m256i mask = lanes_below(p.w.shape.rows - first);
    const __m256 scale = _mm256_load_ps(scales + o * 8);
#pragma GCC unroll 8
    for (int r = 0; r < kBlockRows; ++r) {
      _mm256_maskstore_ps(p.y + (part.row + r) * p.y_stride + first, mask,
                          _mm256_mul_ps(acc[o][r], scale));
    }
  }
}

using Int4Block = void (*)(const Int4MatmulParams&, const BlockPart&, Prefetch);
using Int8Block = void (*)(const Int8MatmulParams&, const BlockPart&, Prefetch);
constexpr Int4Block kInt4Blocks[] = {int4_block<1>, int4_block<2>, int4_block<3>, int4_block<4>};
constexpr Int8Block kInt8Blocks[] = {int8_block<1>, int8_block<2>, int8_block<3>, int8_block<4>};

void int4_tiles(const Int4MatmulParams& p, int64_t tile_begin, int64_t tile_end) {
  const int64_t tile_bytes = int64_t{p.x.n_groups} * CpuTile::record_bytes(p.w.shape);
  for_each_block<kMaxBlockRows>(p.x, tile_bytes, tile_begin, tile_end, kBudget,
                                [&](Prefetch prefetch, int32_t n_rows, const BlockPart& part) {
                                  kInt4Blocks[n_rows - 1](p, part, prefetch);
                                });
}

void int8_tiles(const Int8MatmulParams& p, int64_t tile_begin, int64_t tile_end) {
  const int64_t tile_bytes = int64_t{p.x.n_groups} * kInt8HeadGroup * kRows;
  for_each_block<kMaxBlockRows>(p.x, tile_bytes, tile_begin, tile_end, kBudget,
                                [&](Prefetch prefetch, int32_t n_rows, const BlockPart& part) {
                                  kInt8Blocks[n_rows - 1](p, part, prefetch);
                                });
}

// Sixteen lanes by column mod 16 (two vectors), then a fixed tree of additions.
float sum_lanes(__m256 low, __m256 high) {
  const __m256 eight = _mm256_add_ps(low, high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

inline __attribute__((always_inline)) void add_products(__m256* acc, const uint16_t* w,
                                                        const float* x) {
  const __m128i* halves = reinterpret_cast<const __m128i*>(w);
  acc[0] = _mm256_fmadd_ps(_mm256_cvtph_ps(_mm_loadu_si128(halves)), _mm256_loadu_ps(x), acc[0]);
  acc[1] =
      _mm256_fmadd_ps(_mm256_cvtph_ps(_mm_loadu_si128(halves + 1)), _mm256_loadu_ps(x + 8), acc[1]);
}

template <int kOuts>
inline __attribute__((always_inline)) void f16_block(const F16MatmulParams& p, int64_t out,
                                                     int64_t row) {
  const uint16_t* w = p.w + out * p.cols;
  const float* x = p.x + row * p.x_stride;
  __m256 acc[kOuts][2];
#pragma GCC unroll 8
  for (int o = 0; o < kOuts; ++o) acc[o][0] = acc[o][1] = _mm256_setzero_ps();
  int32_t col = 0;
  for (; col + 16 <= p.cols; col += 16) {
#pragma GCC unroll 8
    for (int o = 0; o < kOuts; ++o) add_products(acc[o], w + int64_t{o} * p.cols + col, x + col);
  }
  if (col < p.cols) {
    const auto rest = static_cast<size_t>(p.cols - col);
    float x16[16] = {};
    __builtin_memcpy(x16, x + col, rest * sizeof(float));
#pragma GCC unroll 8
    for (int o = 0; o < kOuts; ++o) {
      uint16_t w16[16] = {};
      __builtin_memcpy(w16, w + int64_t{o} * p.cols + col, rest * sizeof(uint16_t));
      add_products(acc[o], w16, x16);
    }
  }
#pragma GCC unroll 8
  for (int o = 0; o < kOuts; ++o) {
    p.y[row * p.y_stride + out + o] = sum_lanes(acc[o][0], acc[o][1]);
  }
}

void f16_tiles(const F16MatmulParams& p, int64_t tile_begin, int64_t tile_end) {
  const int64_t wanted = tile_end * kOutputTile;
  const int64_t end = wanted < p.n_out ? wanted : p.n_out;
  int64_t out = tile_begin * kOutputTile;
  for (; out + 4 <= end; out += 4) {
    for (int64_t row = 0; row < p.n_rows; ++row) f16_block<4>(p, out, row);
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

uint32_t max_lane(__m256i lanes) {
  __m128i m = _mm_max_epu32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
  m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0x4e));
  m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0xb1));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(m));
}

int32_t sum_of_lanes(__m256i lanes) {
  __m128i m = _mm_add_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
  m = _mm_add_epi32(m, _mm_shuffle_epi32(m, 0x4e));
  m = _mm_add_epi32(m, _mm_shuffle_epi32(m, 0xb1));
  return _mm_cvtsi128_si32(m);
}

// 4 x 8 int32 that fit in int8, to 32 bytes in order.
__m256i narrow(const __m256i* v) {
  const __m256i mixed =
      _mm256_packs_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3]));
  return _mm256_permutevar8x32_epi32(mixed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

// One chunk of 32 columns, n of them used; returns the sums of v by lane.
__m256i quantize_chunk(const float* x, int32_t n, __m256 inverse, int8_t* line) {
  __m256i hi[4];
  __m256i lo[4];
  __m256i sum = _mm256_setzero_si256();
  for (int i = 0; i < 4; ++i) {
    const __m256 x8 = _mm256_maskload_ps(x + i * 8, lanes_below(n - i * 8));
    const __m256i v = _mm256_cvtps_epi32(_mm256_mul_ps(x8, inverse));  // rounds to even
    hi[i] = _mm256_srai_epi32(_mm256_add_epi32(v, _mm256_set1_epi32(64)), 7);
    lo[i] = _mm256_sub_epi32(v, _mm256_slli_epi32(hi[i], 7));
    sum = _mm256_add_epi32(sum, v);
  }
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(line), narrow(hi));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(line + kQuantChunk), narrow(lo));
  return sum;
}

// x has n values (at most a group).
void quantize_group(const float* x, int32_t n, const QuantizedRows& out, int32_t group,
                    int32_t row) {
  __m256i absmax = _mm256_setzero_si256();
  for (int32_t col = 0; col < n; col += 8) {
    const __m256 x8 = _mm256_maskload_ps(x + col, lanes_below(n - col));
    absmax = _mm256_max_epu32(
        absmax, _mm256_and_si256(_mm256_castps_si256(x8), _mm256_set1_epi32(0x7fffffff)));
  }
  const GroupScale scale = scale_of_group(max_lane(absmax));
  // A group of zero inverse is zero whatever x holds: infinity * 0 would not be.
  const int32_t used = scale.inverse == 0.0f ? 0 : n;
  const __m256 inverse = _mm256_set1_ps(scale.inverse);
  const int32_t chunks = out.group / kQuantChunk;
  int8_t* line = out.planes + (int64_t{group} * chunks * out.n_rows + row) * 2 * kQuantChunk;
  __m256i sum = _mm256_setzero_si256();
  for (int32_t c = 0; c < chunks; ++c, line += int64_t{out.n_rows} * 2 * kQuantChunk) {
    const int32_t col = c * kQuantChunk;
    sum = _mm256_add_epi32(sum, quantize_chunk(x + col, used - col, inverse, line));
  }
  const int64_t at = int64_t{group} * out.n_rows + row;
  out.scales[at] = scale.scale;
  out.sums[at] = sum_of_lanes(sum);
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

}  // namespace incipit::kernels::avx2
