// The row operations between products, and the gathering of rows. Launches only; a plain C++
// header. All of them are bound by memory: 16 bytes a thread and access, every value read once from
// DRAM.
#pragma once

#include <cstdint>

#include "kernels/cuda/flat_matmul.h"
#include "kernels/cuda/launch.h"
#include "kernels/step_params.h"

namespace incipit::kernels::cuda {

// x = the embeddings (fp16 rows that the host gathered), then the rows for the first norm.
struct EmbedRowsParams {
  int32_t n_rows = 0;
  int32_t hidden = 0;
  const uint16_t* embeddings = nullptr;     // [n_rows, hidden] fp16, device
  float* x = nullptr;                       // out: [n_rows, hidden]
  const float* next_norm_weight = nullptr;  // [hidden]; null: `next` is not written
  NormedRows next;                          // out
};
void embed_rows(const EmbedRowsParams& params, const LaunchContext& context);

// The rows for a norm out of the stream, where no step before wrote them.
struct PrepareRowsParams {
  int32_t n_rows = 0;
  int32_t hidden = 0;
  const float* x = nullptr;
  const float* norm_weight = nullptr;
  NormedRows out;
};
void prepare_rows(const PrepareRowsParams& params, const LaunchContext& context);

// out[i] = rmsnorm(x[rows[i]]): in fp16, limited to +-65504, as large prefill wants it, or in float
// for who looks at the final norm.
struct NormRowsParams {
  int32_t n_rows = 0;
  int32_t hidden = 0;
  const int32_t* rows = nullptr;  // [n_rows] device; null: 0, 1, 2, ...
  const float* x = nullptr;
  const float* norm_weight = nullptr;
  float norm_eps = 0;
  uint16_t* out = nullptr;     // [n_rows, hidden]; or
  float* out_float = nullptr;  // [n_rows, hidden]
};
void norm_rows(const NormRowsParams& params, const LaunchContext& context);

// Large prefill: RoPE of q and k, q to its place, k and v to their pages. Rows whose position is -1
// are padding: their q is written, nothing else.
struct RopeAppendParams {
  RowBatch rows;  // device pointers
  HeadShape heads;
  const uint16_t* qkv = nullptr;  // [n_rows, (n_heads + 2 n_kv_heads) head_dim] fp16, logical order
  const float* rope_cos = nullptr;
  const float* rope_sin = nullptr;
  uint16_t* q = nullptr;  // out: [n_rows, n_heads * head_dim]
  KvLayerView kv;         // out, of either type
};
void rope_append(const RopeAppendParams& params, const LaunchContext& context);

// The keys and values of a flat step from staging (kernels/cuda/kv_staging.h) to INT8 pages.
struct QuantizeRowsParams {
  RowBatch rows;  // device pointers; padding is left out
  HeadShape heads;
  KvLayerView from;  // fp16: those of row i are in page i, in the slot of its position
  KvLayerView to;    // out: the rows' slots
  // Positions and page tables were there before the first kernel of the step
  // (StepInputs::kSettled).
  bool inputs_settled = false;
};
void quantize_rows(const QuantizeRowsParams& params, const LaunchContext& context);

// Large prefill: act = silu(gate) * up, limited to +-65504, for `width` outputs at a time.
struct SiluMulParams {
  int32_t n_rows = 0;
  int32_t width = 0;                  // a multiple of 8
  const uint16_t* gate_up = nullptr;  // [n_rows, 2 width] fp16: gate, then up
  uint16_t* act = nullptr;            // out: [n_rows, width] of rows act_stride apart
  int32_t act_stride = 0;
};
void silu_mul(const SiluMulParams& params, const LaunchContext& context);

// to[i] = from[rows[i]] for rows of whole 16 bytes: of the stream and of the queries at once.
struct GatherRowsParams {
  int32_t n_rows = 0;
  const int32_t* rows = nullptr;  // [n_rows] device
  int32_t hidden = 0;
  const float* x = nullptr;
  float* x_out = nullptr;  // [n_rows, hidden]
  int32_t q_width = 0;
  const uint16_t* q = nullptr;
  uint16_t* q_out = nullptr;  // [n_rows, q_width]
};
void gather_rows(const GatherRowsParams& params, const LaunchContext& context);

}  // namespace incipit::kernels::cuda
