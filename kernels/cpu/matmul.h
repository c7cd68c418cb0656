// The matrix products of the CPU backend: y = W x (or y += W x) for 1 .. n rows. Called by the CPU
// steps on the engine's thread. Each (row, output) is computed by one thread in one fixed order:
// results are bit-identical for any number of rows, threads and for every instruction set.
//
// The *_tiles functions do one thread's share and start nothing, for a caller that is already
// inside a parallel region; an output tile is kOutputTile outputs.
#pragma once

#include <cstdint>

#include "kernels/common/thread_pool.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/quantized_rows.h"
#include "kernels/quant/int4_layout.h"
#include "kernels/quant/int8_layout.h"

namespace incipit::kernels {

inline constexpr int32_t kOutputTile = 32;

enum class MatmulStore { kOverwrite, kAdd };

struct Int4MatmulParams {
  Int4View<CpuTile> w;  // [n_out, cols]
  QuantizedRows x;      // [n_rows, cols], quantised with group = w.shape.group
  float* y = nullptr;   // [n_rows, y_stride], n_out used
  int64_t y_stride = 0;
  MatmulStore store = MatmulStore::kOverwrite;
};

struct Int8MatmulParams {
  Int8View<CpuTile> w;  // [n_out, cols]
  QuantizedRows x;      // [n_rows, cols], quantised with group = kInt8HeadGroup
  float* y = nullptr;   // [n_rows, y_stride]
  int64_t y_stride = 0;
};

// Float activations times fp16 weights: the head when it is not quantised.
struct F16MatmulParams {
  const uint16_t* w = nullptr;  // [n_out, cols], fp16
  int32_t n_out = 0;
  int32_t cols = 0;
  int32_t n_rows = 0;
  const float* x = nullptr;  // [n_rows, x_stride]
  int64_t x_stride = 0;
  float* y = nullptr;  // [n_rows, y_stride]
  int64_t y_stride = 0;
};

int64_t n_output_tiles(int32_t n_out);

void int4_matmul(const Int4MatmulParams& params, Isa isa, ThreadPool& pool);
void int8_matmul(const Int8MatmulParams& params, Isa isa, ThreadPool& pool);
void f16_matmul(const F16MatmulParams& params, Isa isa, ThreadPool& pool);

void int4_matmul_tiles(const Int4MatmulParams& params, int64_t tile_begin, int64_t tile_end,
                       Isa isa);
void int8_matmul_tiles(const Int8MatmulParams& params, int64_t tile_begin, int64_t tile_end,
                       Isa isa);
void f16_matmul_tiles(const F16MatmulParams& params, int64_t tile_begin, int64_t tile_end, Isa isa);

// Bytes of weights that one product reads, and the multiply-adds it does: for benches.
int64_t bytes_moved(const Int4MatmulParams& params);
int64_t bytes_moved(const Int8MatmulParams& params);
int64_t multiply_adds(int64_t n_rows, int64_t n_out, int64_t cols);

}  // namespace incipit::kernels
