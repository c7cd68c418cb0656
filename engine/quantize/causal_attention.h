// Causal attention of one whole sequence in float, rotation included: what the quantiser's forward
// pass needs of a Llama besides products, norms and activations. Any thread; may allocate.
#pragma once

#include <cstdint>

#include "kernels/common/thread_pool.h"

namespace incipit::engine {

struct CausalAttention {
  int32_t n_heads = 0;
  int32_t n_kv_heads = 0;
  int32_t head_dim = 0;
  int32_t n_tokens = 0;
  const float* qkv = nullptr;  // [n_tokens, (n_heads + 2 n_kv_heads) head_dim]: q, k, v
  const float* cos = nullptr;  // [n_tokens, head_dim / 2]
  const float* sin = nullptr;
  float* out = nullptr;  // [n_tokens, n_heads head_dim]
};
void causal_attention(const CausalAttention& params, kernels::ThreadPool& pool);

}  // namespace incipit::engine
