// Products of 1 to kFlatRows tokens with INT4 or INT8 weights, fused with what follows them in a
// Llama layer. Bound by reading the weights once: a step of 64 rows costs little more than one of a
// single row. Launches only; a plain C++ header.
//
// Flat regime, exact: the result of a row is the same bits whatever n_rows is and wherever the row
// stands. Sums over inputs have one order that only the matrix's shape decides (see
// flat_matmul.cu), and nothing is added by atomics.
#pragma once

#include <cstdint>

#include "kernels/cuda/launch.h"
#include "kernels/quant/cuda_layout.h"
#include "kernels/step_params.h"

namespace incipit::kernels::cuda {

inline constexpr int32_t kFlatRows = 64;

// The residual stream as the next product wants it: multiplied by the norm's weight, not yet
// divided by the root of the mean square (the product does that at its end, once an output).
// Written by the step that wrote the stream.
struct NormedRows {
  uint16_t* values = nullptr;    // [n_rows, hidden] fp16: x * norm_weight, limited to +-65504
  float* square_sums = nullptr;  // [n_rows, hidden / 16]: sum of x^2 over inputs 16 i .. 16 i + 15
};

// q, k, v = W rmsnorm(x); RoPE; k and v to their pages. Rows whose position is -1 are padding:
// their q is written, nothing else.
struct FlatQkvParams {
  RowBatch rows;  // device pointers; n_rows <= kFlatRows
  int32_t hidden = 0;
  HeadShape heads;
  NormedRows in;
  float norm_eps = 0;
  Int4View<CudaTile> w_qkv;         // RowOrder::kRopePairs
  const float* rope_cos = nullptr;  // [n_positions, head_dim / 2]
  const float* rope_sin = nullptr;
  uint16_t* q = nullptr;  // out: [n_rows, n_heads * head_dim] fp16, logical order
  KvLayerView kv;         // out: fp16 in CUDA's page layout, see attention.h
};

// x += W in; then the rows for the next norm.
struct FlatAddParams {
  int32_t n_rows = 0;
  int32_t n_in = 0;                         // inputs of w
  int32_t hidden = 0;                       // outputs
  const uint16_t* in = nullptr;             // [n_rows, n_in] fp16
  Int4View<CudaTile> w;                     // RowOrder::kPlain
  float* x = nullptr;                       // in, out: [n_rows, hidden]
  const float* next_norm_weight = nullptr;  // [hidden]; null: `next` is not written
  NormedRows next;                          // out
};

// act = silu(W_gate n) * W_up n, n = rmsnorm(x)
struct FlatGateUpParams {
  int32_t n_rows = 0;
  int32_t hidden = 0;
  int32_t ffn = 0;
  NormedRows in;
  float norm_eps = 0;
  Int4View<CudaTile> w_gate_up;  // RowOrder::kGateUp
  uint16_t* act = nullptr;       // out: [n_rows, ffn] fp16, limited to +-65504
};

// logits[i] = W rmsnorm(x[rows[i]]); one of the two heads. More rows than kFlatRows are taken in
// turns.
struct FlatHeadParams {
  int32_t n_logit_rows = 0;
  int32_t hidden = 0;
  int32_t vocab = 0;
  const int32_t* rows = nullptr;  // [n_logit_rows] device
  NormedRows in;                  // of all rows of the step
  float norm_eps = 0;
  Int8View<CudaTile> w_int8;        // used when data is set
  const uint16_t* w_f16 = nullptr;  // [vocab, hidden] row-major fp16
  float* logits = nullptr;          // out: [n_logit_rows, vocab]
};

// Scratch of the products: partial sums between blocks, and the counters that say which block is
// last (zero before and after each launch).
struct FlatScratch {
  float* partial_sums = nullptr;
  int32_t* counters = nullptr;
};
struct FlatScratchSize {
  int64_t partial_sum_bytes = 0;
  int64_t counter_bytes = 0;
};
FlatScratchSize flat_scratch_size(int32_t hidden, int32_t ffn, const HeadShape& heads,
                                  int32_t vocab);

// Raises the shared-memory limits of the kernels; once a device, before the first launch.
void prepare_flat_matmul();

void flat_qkv(const FlatQkvParams& params, const FlatScratch& scratch,
              const LaunchContext& context);
void flat_add(const FlatAddParams& params, const FlatScratch& scratch,
              const LaunchContext& context);
void flat_gate_up(const FlatGateUpParams& params, const FlatScratch& scratch,
                  const LaunchContext& context);
void flat_head(const FlatHeadParams& params, const FlatScratch& scratch,
               const LaunchContext& context);

}  // namespace incipit::kernels::cuda
