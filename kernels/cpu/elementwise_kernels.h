// The per-ISA row operations between the matrix products. elementwise_kernels.cpp is compiled once
// per ISA and reached through elementwise_kernels_for(); the same bits on every ISA. Plain data
// only: seen by code compiled for different instruction sets. Any length; pointers need no
// alignment.
#pragma once

#include <stdint.h>

#include "kernels/cpu/isa.h"

namespace incipit::kernels {

struct Candidate;

// One row of the fused q, k, v product, rotated and appended.
struct RopeAppendRow {
  const float* qkv;  // [(n_heads + 2 n_kv_heads) head_dim]
  const float* cos;  // [head_dim / 2] of the row's position
  const float* sin;
  int32_t n_heads, n_kv_heads, head_dim;
  float* q;          // out: [n_heads * head_dim]
  uint16_t* k_page;  // out: [n_kv_heads, head_dim, 16], column `slot`
  uint16_t* v_page;  // out: [n_kv_heads, 16, head_dim], row `slot`
  int32_t slot;
};

struct ElementwiseKernels {
  // out[i] = fp16 bits as float
  void (*widen)(const uint16_t* in, int32_t n, float* out);
  // out[i] = in[i] as fp16 bits, to nearest even; beyond fp16 +-65504, NaN 65504
  void (*narrow)(const float* in, int32_t n, uint16_t* out);
  // out[i] = weight[i] * (x[i] / sqrt(mean(x^2) + eps)), the mean in float over 64 running sums
  // that are added as a tree
  void (*rms_norm)(const float* x, const float* weight, float eps, int32_t n, float* out);
  // Values beyond fp16 are stored as +-65504, NaN as 65504: what is in a page stays finite.
  void (*rope_append)(const RopeAppendRow& row);
  // out[i] = gate[i] / (1 + e^-gate[i]) * up[i]; out may be gate
  void (*silu_mul)(const float* gate, const float* up, int32_t n, float* out);
  // The n_candidates largest of logits[0 .. vocab), see TopCandidatesParams. NaN counts, and is
  // returned, as -inf.
  void (*top_candidates)(const float* logits, int32_t vocab, int32_t n_candidates, Candidate* out);
};

const ElementwiseKernels& elementwise_kernels_for(Isa isa);

}  // namespace incipit::kernels
