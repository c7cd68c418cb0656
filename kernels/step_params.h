// Parameters of the fused steps of a Llama layer. The reference, the CPU and the CUDA entry points
// take the same structs; `Layout` is the weight layout of the backend, so a matrix packed for
// another backend does not compile. Shape letters: n_rows tokens of this step (any mix of
// sequences), hidden, ffn, vocab, n_heads, n_kv_heads, head_dim. Activations are row-major, 64-byte
// aligned at the base pointer; the residual stream is float, what attention takes and gives is
// Activation<Layout>. No step allocates.
#pragma once

#include <cstdint>

#include "kernels/common/kv_type.h"
#include "kernels/quant/cuda_layout.h"
#include "kernels/quant/int4_layout.h"
#include "kernels/quant/int8_layout.h"

namespace incipit::kernels {

inline constexpr int kPageTokens = 16;  // tokens in a KV page

// Queries, and what attention makes of them: float on the CPU, fp16 bits on CUDA.
template <class Layout>
struct ActivationOf {
  using Type = float;
};
template <>
struct ActivationOf<CudaTile> {
  using Type = uint16_t;
};
template <class Layout>
using Activation = typename ActivationOf<Layout>::Type;

// Which token each row is, and where its sequence's keys and values live.
struct RowBatch {
  int32_t n_rows = 0;
  const int32_t* positions = nullptr;        // [n_rows], absolute position in its sequence
  const int32_t* sequence_of_row = nullptr;  // [n_rows], index into page_tables
  const int32_t* page_tables =
      nullptr;  // [n_sequences, page_table_stride], page i holds positions 16 i .. 16 i + 15
  int32_t page_table_stride = 0;
};

// One layer's pages. fp16 bit patterns; always finite (the pool is zeroed once). The order inside a
// page of keys is the backend's own: CUDA has them as it has values. Of type kInt8 the pointers are
// to the bytes of kernels/quant/kv_int8_layout.h.
struct KvLayerView {
  uint16_t* k_pages = nullptr;  // CPU: [n_pages, n_kv_heads, head_dim, kPageTokens]: tokens
                                // innermost, 16 scores are 16 lanes
  uint16_t* v_pages = nullptr;  // [n_pages, n_kv_heads, kPageTokens, head_dim]
  KvType type = KvType::kF16;
};

struct HeadShape {
  int32_t n_heads = 0;     // query heads; a multiple of n_kv_heads
  int32_t n_kv_heads = 0;  // query head h reads kv head h / (n_heads / n_kv_heads)
  int32_t head_dim = 0;    // 64 or 128
};

struct EmbedParams {
  int32_t n_rows = 0;
  int32_t hidden = 0;
  const int32_t* token_ids = nullptr;  // [n_rows], each in 0 .. vocab - 1
  const uint16_t* table = nullptr;     // [vocab, hidden], fp16; CUDA: in host memory
  float* x = nullptr;                  // out: [n_rows, hidden], the residual stream
  // The norm that reads x next, for a backend that prepares rows for it; may be null.
  const float* next_norm_weight = nullptr;  // [hidden]
};

// q, k, v = W rmsnorm(x); RoPE on q and k (pairs i, i + head_dim/2); k and v are written to their
// pages as fp16, or rounded to INT8 there.
template <class Layout>
struct QkvRopeAppendParams {
  RowBatch rows;
  int32_t hidden = 0;
  HeadShape heads;
  const float* x = nullptr;            // [n_rows, hidden]
  const float* norm_weight = nullptr;  // [hidden]
  float norm_eps = 0;
  Int4View<Layout> w_qkv;  // [(n_heads + 2 n_kv_heads) head_dim, hidden]: rows of q, then k, then v
  const float* rope_cos = nullptr;  // [n_positions, head_dim / 2]
  const float* rope_sin = nullptr;  // [n_positions, head_dim / 2]
  Activation<Layout>* q = nullptr;  // out: [n_rows, n_heads * head_dim]
  KvLayerView kv;                   // out: the rows' slots
};

// Causal attention of each row over positions 0 .. positions[row] of its sequence.
template <class Layout>
struct AttentionParamsOf {
  RowBatch rows;
  HeadShape heads;
  const Activation<Layout>* q = nullptr;  // [n_rows, n_heads * head_dim]
  KvLayerView kv;
  float scale = 0;                    // 1 / sqrt(head_dim)
  Activation<Layout>* out = nullptr;  // [n_rows, n_heads * head_dim]
};
using AttentionParams = AttentionParamsOf<CpuTile>;

// x += W attention
template <class Layout>
struct OutProjAddParams {
  int32_t n_rows = 0;
  int32_t hidden = 0;
  int32_t attention_dim = 0;                      // n_heads * head_dim
  const Activation<Layout>* attention = nullptr;  // [n_rows, attention_dim]
  Int4View<Layout> w_out;                         // [hidden, attention_dim]
  float* x = nullptr;                             // in, out: [n_rows, hidden]
  const float* next_norm_weight = nullptr;        // as in EmbedParams
};

// x += W_down (silu(W_gate n) * W_up n), n = rmsnorm(x)
template <class Layout>
struct MlpAddParams {
  int32_t n_rows = 0;
  int32_t hidden = 0;
  int32_t ffn = 0;
  const float* norm_weight = nullptr;  // [hidden]
  float norm_eps = 0;
  Int4View<Layout> w_gate_up;               // [2 ffn, hidden]: rows of gate, then of up
  Int4View<Layout> w_down;                  // [hidden, ffn]
  float* x = nullptr;                       // in, out: [n_rows, hidden]
  const float* next_norm_weight = nullptr;  // as in EmbedParams
};

// logits[i] = W rmsnorm(x[rows[i]])
template <class Layout>
struct LmHeadParams {
  int32_t n_logit_rows = 0;
  int32_t hidden = 0;
  int32_t vocab = 0;
  const int32_t* rows = nullptr;       // [n_logit_rows], which rows of x
  const float* x = nullptr;            // [*, hidden]
  const float* norm_weight = nullptr;  // [hidden]
  float norm_eps = 0;
  Int8View<Layout> w_int8;          // [vocab, hidden]; used when w_int8.data is set
  const uint16_t* w_f16 = nullptr;  // [vocab, hidden] row-major fp16; used otherwise
  float* normed = nullptr;          // scratch and out: [n_logit_rows, hidden], the final-norm rows
  float* logits = nullptr;          // out: [n_logit_rows, vocab]
};

struct Candidate {
  int32_t token = 0;
  float logit = 0;
};

// The kMaxCandidates largest logits of each row, descending; equal logits in ascending token order.
struct TopCandidatesParams {
  int32_t n_logit_rows = 0;
  int32_t vocab = 0;
  int32_t n_candidates = 0;       // <= vocab
  const float* logits = nullptr;  // [n_logit_rows, vocab]
  Candidate* out = nullptr;       // [n_logit_rows, n_candidates]
};

}  // namespace incipit::kernels
