// The steps of GPTQ on the device that are neither products nor factors (dense_algebra.h has
// those): engine/quantize/gptq.h has the algorithm and its names. Float matrices, row-major;
// position p of an `order` [n] is column order[p]. Launches only; throw CudaError.
#pragma once

#include <cstdint>

#include "kernels/cuda/launch.h"
#include "kernels/quant/int4_layout.h"

namespace incipit::kernels::cuda {

// out [n] = the diagonal of matrix [n, n].
void gptq_diagonal(const float* matrix, int32_t n, float* out, const LaunchContext& context);

// out [n, n], lower triangle: rows and columns of `lower` (of which that triangle is read) in the
// given order, `added` to the diagonal.
void gptq_permute_lower(const float* lower, const int32_t* order, int32_t n, float added,
                        float* out, const LaunchContext& context);

// out [rows, cols]: the columns of `weights` in the given order.
void gptq_permute_columns(const float* weights, const int32_t* order, int32_t rows, int32_t cols,
                          float* out, const LaunchContext& context);

// Scales [rows, n_groups], fp16 bits: those of int4_scale() (engine/weights/round_to_nearest.h) for
// each row and group, to the bit. Groups of at most kMostGroup.
inline constexpr int32_t kMostGroup = 128;
struct GptqScales {
  const float* weights;     // [rows, cols]
  const float* importance;  // [cols], by column
  Int4Shape shape;
  uint16_t* scales;
};
void gptq_scales(const GptqScales& params, const LaunchContext& context);

// Rounds the columns at positions begin .. end - 1, from the last to the first.
struct GptqBlock {
  static constexpr int32_t kWidth = 128;  // most positions of a block
  Int4Shape shape;
  int32_t begin, end;
  const float* factor;     // L [cols, cols]
  const int32_t* order;    // [cols]
  const uint16_t* scales;  // [rows, n_groups]
  // [rows, kWidth]: sums of d_i L_ip over i >= end, for position begin + the column; null: zeros.
  const float* owed;
  float added;     // that is in the diagonal of H
  float* moved;    // [rows, cols] by position: weights in, what rounding changed (d) out
  uint8_t* q;      // [rows, cols] by column
  double* errors;  // [rows], added to: the squared error that these columns leave, damping counted
                   // out
};
void gptq_round_block(const GptqBlock& params, const LaunchContext& context);

// out [rows, cols] = (q - zero) scale. zeros null: all are kSymmetricZero.
struct Int4Expansion {
  Int4Shape shape;
  const uint8_t* q;        // [rows, cols]
  const uint16_t* scales;  // [rows, n_groups]
  const uint8_t* zeros;    // [rows, n_groups]
  float* out;
};
void int4_expand(const Int4Expansion& params, const LaunchContext& context);

}  // namespace incipit::kernels::cuda
