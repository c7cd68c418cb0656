// The matrix products in plain C++: for CPUs without AVX2, and the oracle that the vector kernels
// must equal bit for bit.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/common/half.h"
#include "kernels/cpu/matmul_kernels.h"

namespace incipit::kernels::scalar {

namespace {

constexpr int32_t kRows = CpuTile::kRows;

void quantize_group(const float* x, int32_t n, int32_t group_idx, int32_t row,
                    const QuantizedRows& out) {
  uint32_t absmax_bits = 0;  // as integers, floats of one sign keep their order and NaN is largest
  for (int32_t i = 0; i < n; ++i) {
    absmax_bits = std::max(absmax_bits, std::bit_cast<uint32_t>(x[i]) & 0x7fffffffu);
  }
  const float absmax = std::bit_cast<float>(absmax_bits);
  const bool finite = absmax_bits < 0x7f800000u;
  const bool used = finite && absmax >= kQuantSmallest;
  const float inverse = used ? static_cast<float>(kQuantMax) / absmax : 0.0f;
  int32_t sum = 0;
  for (int32_t chunk = 0; chunk < out.group / kQuantChunk; ++chunk) {
    int8_t* line = quantized_line(out, group_idx * (out.group / kQuantChunk) + chunk, row);
    for (int32_t i = 0; i < kQuantChunk; ++i) {
      const int32_t col = chunk * kQuantChunk + i;
      const auto v =
          used && col < n ? static_cast<int32_t>(std::lrintf(x[col] * inverse)) : int32_t{0};
      const int32_t hi = (v + 64) >> 7;
      line[i] = static_cast<int8_t>(hi);
      line[kQuantChunk + i] = static_cast<int8_t>(v - 128 * hi);
      sum += v;
    }
  }
  const int64_t at = int64_t{group_idx} * out.n_rows + row;
  out.sums[at] = sum;
  out.scales[at] = finite ? (used ? absmax / static_cast<float>(kQuantMax) : 0.0f)
                          : std::numeric_limits<float>::quiet_NaN();
}

void quantize_rows(const float* x, int64_t x_stride, const QuantizedRows& out, int32_t row_begin,
                   int32_t row_end) {
  for (int32_t row = row_begin; row < row_end; ++row) {
    for (int32_t group = 0; group < out.n_groups; ++group) {
      const int32_t first = group * out.group;
      quantize_group(x + row * x_stride + first, std::min(out.group, out.cols - first), group, row,
                     out);
    }
  }
}

// sums[o] += sum over the 32 inputs of a chunk of q * v, for the 32 outputs of a tile; `nibbles`
// are the chunk's 8 lines.
void add_int4_chunk(const uint8_t* nibbles, const int8_t* line, int32_t* sums) {
  for (int32_t pair = 0; pair < 4; ++pair) {
    for (int32_t nibble = 0; nibble < 2; ++nibble) {
      int32_t v[4];
      for (int32_t i = 0; i < 4; ++i) {
        const int32_t col = pair * 8 + nibble * 4 + i;
        v[i] = 128 * line[col] + line[kQuantChunk + col];
      }
      for (int32_t o = 0; o < kRows; ++o) {
        const uint8_t* byte = nibbles + pair * 128 + o * 4;  // the two lines of a pair are adjacent
        for (int32_t i = 0; i < 4; ++i) sums[o] += ((byte[i] >> (4 * nibble)) & 0x0f) * v[i];
      }
    }
  }
}

void int4_tile_row(const Int4MatmulParams& p, int64_t tile, int32_t row, float* acc) {
  const Int4Shape& s = p.w.shape;
  const int32_t chunks = s.group / kQuantChunk;
  std::fill(acc, acc + kRows, 0.0f);
  for (int32_t group = 0; group < p.x.n_groups; ++group) {
    const auto* record =
        reinterpret_cast<const uint8_t*>(p.w.data) + CpuTile::record_of(s, tile * kRows, group);
    const int64_t at = int64_t{group} * p.x.n_rows + row;
    int32_t sums[kRows] = {};
    for (int32_t c = 0; c < chunks; ++c) {
      add_int4_chunk(record + c * 512, quantized_line(p.x, group * chunks + c, row), sums);
    }
    const uint8_t* scales = record + CpuTile::quant_bytes(s);
    const uint8_t* zeros = scales + CpuTile::kScaleBytes;
    for (int32_t o = 0; o < kRows; ++o) {
      uint16_t scale = 0;
      std::memcpy(&scale, scales + 2 * o, sizeof(scale));
      const int32_t zero = s.has_zeros ? zeros[o] : kSymmetricZero;
      const int32_t sum = sums[o] - zero * p.x.sums[at];
      acc[o] = std::fma(static_cast<float>(sum), half_to_float(scale) * p.x.scales[at], acc[o]);
    }
  }
}

void int4_tiles(const Int4MatmulParams& p, int64_t tile_begin, int64_t tile_end) {
  for (int64_t tile = tile_begin; tile < tile_end; ++tile) {
    const int64_t first = tile * kRows;
    const int64_t n = std::min<int64_t>(kRows, p.w.shape.rows - first);
    for (int32_t row = 0; row < p.x.n_rows; ++row) {
      float acc[kRows];
      int4_tile_row(p, tile, row, acc);
      float* y = p.y + row * p.y_stride + first;
      for (int64_t o = 0; o < n; ++o) {
        y[o] = p.store == MatmulStore::kAdd ? y[o] + acc[o] : acc[o];
      }
    }
  }
}

void int8_tile_row(const Int8MatmulParams& p, int64_t tile, int32_t row, float* acc) {
  using Layout = Int8Layout<CpuTile>;
  const auto* lines =
      reinterpret_cast<const uint8_t*>(p.w.data) + tile * Layout::tile_bytes(p.w.shape);
  constexpr int32_t kChunks = kInt8HeadGroup / kQuantChunk;
  std::fill(acc, acc + kRows, 0.0f);
  for (int32_t group = 0; group < p.x.n_groups; ++group) {
    const int64_t at = int64_t{group} * p.x.n_rows + row;
    int32_t sums[kRows] = {};
    for (int32_t c = group * kChunks; c < (group + 1) * kChunks; ++c) {
      const int8_t* line = quantized_line(p.x, c, row);
      for (int32_t col = 0; col < kQuantChunk; ++col) {
        const int32_t v = 128 * line[col] + line[kQuantChunk + col];
        const uint8_t* byte = lines + (c * 8 + col / 4) * 128 + col % 4;
        for (int32_t o = 0; o < kRows; ++o) sums[o] += byte[4 * o] * v;
      }
    }
    for (int32_t o = 0; o < kRows; ++o) {
      const int32_t sum = sums[o] - Layout::kBias * p.x.sums[at];
      acc[o] = std::fma(static_cast<float>(sum), p.x.scales[at], acc[o]);
    }
  }
  for (int32_t o = 0; o < kRows; ++o) {
    float scale = 0;
    std::memcpy(&scale, lines + Layout::quant_bytes(p.w.shape) + 4 * o, sizeof(scale));
    acc[o] *= scale;
  }
}

void int8_tiles(const Int8MatmulParams& p, int64_t tile_begin, int64_t tile_end) {
  for (int64_t tile = tile_begin; tile < tile_end; ++tile) {
    const int64_t first = tile * kRows;
    const int64_t n = std::min<int64_t>(kRows, p.w.shape.rows - first);
    for (int32_t row = 0; row < p.x.n_rows; ++row) {
      float acc[kRows];
      int8_tile_row(p, tile, row, acc);
      std::copy_n(acc, n, p.y + row * p.y_stride + first);
    }
  }
}

// Sixteen lanes by column mod 16, then a fixed tree: the order of the vector kernels.
float f16_dot(const uint16_t* w, const float* x, int32_t cols) {
  float lanes[16] = {};
  for (int32_t base = 0; base < cols; base += 16) {
    for (int32_t i = 0; i < 16; ++i) {
      const bool inside = base + i < cols;
      lanes[i] = std::fma(inside ? half_to_float(w[base + i]) : 0.0f, inside ? x[base + i] : 0.0f,
                          lanes[i]);
    }
  }
  for (int32_t half = 8; half >= 1; half /= 2) {
    for (int32_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

void f16_tiles(const F16MatmulParams& p, int64_t tile_begin, int64_t tile_end) {
  const int64_t end = std::min<int64_t>(p.n_out, tile_end * kOutputTile);
  for (int64_t out = tile_begin * kOutputTile; out < end; ++out) {
    for (int64_t row = 0; row < p.n_rows; ++row) {
      p.y[row * p.y_stride + out] = f16_dot(p.w + out * p.cols, p.x + row * p.x_stride, p.cols);
    }
  }
}

}  // namespace

const MatmulKernels kMatmulKernels = {quantize_rows, int4_tiles, int8_tiles, f16_tiles};

}  // namespace incipit::kernels::scalar
