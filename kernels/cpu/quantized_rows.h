// Activations as the integer matmuls take them: each row and each group of columns (the weights'
// group) has one float scale; x = v * scale with v in -16256 .. 16256 (15 bits), stored as two int8
// planes, v = 128 hi + lo, hi in -127 .. 127, lo in -64 .. 63. The integer sums of a group are
// exact in int32, so a result does not depend on the instruction set, the number of rows or the
// threads.
//
// A view over scratch that the caller owns (no step allocates). Layout of `planes`: chunks of 32
// columns, [n_chunks][n_rows][hi 32 | lo 32]: one cache line a row and chunk, so that a kernel
// walks a block of rows with constant displacements whatever the group is. Columns are padded with
// zeros to whole groups.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/isa.h"

namespace incipit::kernels {

inline constexpr int32_t kQuantChunk = 32;      // columns in a chunk
inline constexpr int32_t kQuantMax = 16256;     // 127 * 128
inline constexpr int32_t kInt8HeadGroup = 128;  // the activation group of INT8 matmuls

inline constexpr float kQuantSmallest =
    1e-30f;  // a group below it is zero: 16256 / absmax is finite

struct QuantizedRows {
  int32_t n_rows = 0;
  int32_t cols = 0;
  int32_t group = 0;         // 32, 64 or 128
  int32_t n_groups = 0;      // ceil(cols / group)
  int8_t* planes = nullptr;  // [n_groups * group / 32][n_rows][64], 64-byte aligned
  float* scales = nullptr;   // [n_groups][n_rows]
  int32_t* sums = nullptr;   // [n_groups][n_rows]: sum of v over the group
};

// The 64 bytes of one row and chunk: hi 32, lo 32.
inline int8_t* quantized_line(const QuantizedRows& rows, int32_t chunk, int32_t row) {
  return rows.planes + (int64_t{chunk} * rows.n_rows + row) * 2 * kQuantChunk;
}

// Bytes of scratch that quantized_rows_in() lays out; grows with n_rows and cols.
int64_t quantized_rows_bytes(int32_t n_rows, int32_t cols, int32_t group);

// Lays a view over `scratch` (64-byte aligned, at least quantized_rows_bytes). Writes nothing.
QuantizedRows quantized_rows_in(std::byte* scratch, int32_t n_rows, int32_t cols, int32_t group);

// Quantises rows [row_begin, row_end) of x ([n_rows, x_stride] floats). scale = absmax / 16256,
// v = round_to_even(x * (16256 / absmax)). A group whose absmax is below 1e-30 becomes zero; one
// that holds an infinity or NaN gets a NaN scale, so that the damage is seen in the result.
void quantize_rows(const float* x, int64_t x_stride, const QuantizedRows& out, int32_t row_begin,
                   int32_t row_end, Isa isa);

}  // namespace incipit::kernels
