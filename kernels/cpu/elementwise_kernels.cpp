// Norm, RoPE and append, SiLU, candidates; compiled once per ISA.
#include "kernels/cpu/elementwise_kernels.h"

#include "kernels/cpu/simd.h"
#include "kernels/cpu/simd_math.h"
#include "kernels/step_params.h"

namespace incipit::kernels::KERNELS_ISA {

namespace {

constexpr float kLargestHalf = 65504.0f;
constexpr int kMaxHeadDim = 128;

// The first n < 16 values at p, zeros after them.
SIMD_INLINE F32x16 load_first(const float* p, int n) {
  float lane[16] = {};
  for (int i = 0; i < n; ++i) lane[i] = p[i];
  return load(lane);
}
SIMD_INLINE F32x16 load_first(const uint16_t* p, int n) {
  uint16_t lane[16] = {};
  for (int i = 0; i < n; ++i) lane[i] = p[i];
  return load(lane);
}
SIMD_INLINE void store_first(float* p, int n, F32x16 a) {
  float lane[16];
  store(lane, a);
  for (int i = 0; i < n; ++i) p[i] = lane[i];
}

void widen(const uint16_t* in, int32_t n, float* out) {
  int i = 0;
  for (; i + 16 <= n; i += 16) store(out + i, load(in + i));
  if (i < n) store_first(out + i, n - i, load_first(in + i, n - i));
}

float sum_of_squares(const float* x, int32_t n) {
  F32x16 sum[4] = {splat(0.0f), splat(0.0f), splat(0.0f), splat(0.0f)};
  int i = 0;
  for (; i + 64 <= n; i += 64) {
    SIMD_UNROLL
    for (int j = 0; j < 4; ++j) {
      const F32x16 v = load(x + i + 16 * j);
      sum[j] = fma(v, v, sum[j]);
    }
  }
  for (; i < n; i += 16) {
    const F32x16 v = i + 16 <= n ? load(x + i) : load_first(x + i, n - i);
    sum[0] = fma(v, v, sum[0]);
  }
  return reduce_add(add(add(sum[0], sum[1]), add(sum[2], sum[3])));
}

void rms_norm(const float* x, const float* weight, float eps, int32_t n, float* out) {
  const float mean = sum_of_squares(x, n) / static_cast<float>(n);
  const F32x16 factor = splat(1.0f / __builtin_sqrtf(mean + eps));
  int i = 0;
  for (; i + 16 <= n; i += 16) store(out + i, mul(load(weight + i), mul(load(x + i), factor)));
  if (i < n) {
    const int rest = n - i;
    store_first(out + i, rest,
                mul(load_first(weight + i, rest), mul(load_first(x + i, rest), factor)));
  }
}

// out = one head turned by its position's angles; pairs are (i, i + head_dim / 2).
SIMD_INLINE void rotate(const float* in, const float* cos, const float* sin, int head_dim,
                        float* out) {
  const int half = head_dim / 2;
  for (int i = 0; i < half; i += 16) {
    const F32x16 a = load(in + i);
    const F32x16 b = load(in + half + i);
    const F32x16 c = load(cos + i);
    const F32x16 s = load(sin + i);
    store(out + i, sub(mul(a, c), mul(b, s)));
    store(out + half + i, add(mul(b, c), mul(a, s)));
  }
}

// The second operand is taken where the first is NaN (see min in simd.h).
SIMD_INLINE F32x16 saturate_to_half(F32x16 a) {
  return max(min(a, splat(kLargestHalf)), splat(-kLargestHalf));
}

void narrow(const float* in, int32_t n, uint16_t* out) {
  int i = 0;
  for (; i + 16 <= n; i += 16) store_half(out + i, saturate_to_half(load(in + i)));
  if (i == n) return;
  uint16_t lane[16];
  store_half(lane, saturate_to_half(load_first(in + i, n - i)));
  for (int j = 0; i + j < n; ++j) out[i + j] = lane[j];
}

void rope_append(const RopeAppendRow& row) {
  const int head_dim = row.head_dim;
  for (int h = 0; h < row.n_heads; ++h) {
    rotate(row.qkv + h * head_dim, row.cos, row.sin, head_dim, row.q + h * head_dim);
  }
  const float* const k = row.qkv + int64_t{row.n_heads} * head_dim;
  const float* const v = k + int64_t{row.n_kv_heads} * head_dim;
  float rotated[kMaxHeadDim];
  uint16_t halves[kMaxHeadDim];
  for (int h = 0; h < row.n_kv_heads; ++h) {
    rotate(k + h * head_dim, row.cos, row.sin, head_dim, rotated);
    for (int d = 0; d < head_dim; d += 16) {
      store_half(halves + d, saturate_to_half(load(rotated + d)));
    }
    uint16_t* const k_head = row.k_page + int64_t{h} * head_dim * kPageTokens + row.slot;
    for (int d = 0; d < head_dim; ++d) k_head[d * kPageTokens] = halves[d];
    uint16_t* const v_slot = row.v_page + (int64_t{h} * kPageTokens + row.slot) * head_dim;
    for (int d = 0; d < head_dim; d += 16) {
      store_half(v_slot + d, saturate_to_half(load(v + h * head_dim + d)));
    }
  }
}

SIMD_INLINE F32x16 silu_times(F32x16 gate, F32x16 up) {
  const F32x16 denominator = add(splat(1.0f), exp_saturated(sub(splat(0.0f), gate)));
  return mul(div(gate, denominator), up);
}

void silu_mul(const float* gate, const float* up, int32_t n, float* out) {
  int i = 0;
  for (; i + 16 <= n; i += 16) store(out + i, silu_times(load(gate + i), load(up + i)));
  if (i < n) {
    store_first(out + i, n - i, silu_times(load_first(gate + i, n - i), load_first(up + i, n - i)));
  }
}

// Puts (token, logit) behind all of out[0 .. n) that are as large; the last one falls out when `n`
// is n_candidates already. Tokens come in ascending order, so equal logits stay in that order.
SIMD_INLINE void insert(Candidate* out, int n, int n_candidates, int32_t token, float logit) {
  int i = n < n_candidates ? n : n_candidates - 1;
  for (; i > 0 && out[i - 1].logit < logit; --i) out[i] = out[i - 1];
  out[i].token = token;
  out[i].logit = logit;
}

void top_candidates(const float* logits, int32_t vocab, int32_t n_candidates, Candidate* out) {
  if (n_candidates <= 0) return;
  for (int32_t token = 0; token < n_candidates; ++token) {
    const float logit = logits[token];
    insert(out, token, n_candidates, token, logit == logit ? logit : -__builtin_inff());
  }
  const Candidate& last = out[n_candidates - 1];
  for (int32_t token = n_candidates; token < vocab; token += 16) {
    const int n = vocab - token < 16 ? vocab - token : 16;
    const F32x16 block = n == 16 ? load(logits + token) : load_first(logits + token, n);
    uint32_t larger = greater_mask(block, splat(last.logit)) & ((1u << n) - 1);
    for (; larger != 0; larger &= larger - 1) {
      const int32_t found = token + __builtin_ctz(larger);
      if (logits[found] > last.logit) {
        insert(out, n_candidates, n_candidates, found, logits[found]);
      }
    }
  }
}

}  // namespace

extern const ElementwiseKernels kElementwiseKernels;
const ElementwiseKernels kElementwiseKernels = {widen,       narrow,   rms_norm,
                                                rope_append, silu_mul, top_candidates};

}  // namespace incipit::kernels::KERNELS_ISA
