#include "engine/quantize/causal_attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cpu/gemm.h"

namespace incipit::engine {
namespace {

constexpr int64_t kRows = 128;  // queries whose scores are made at a time

// One head of every token, rotated, [n_tokens, head_dim].
void rotate_head(const CausalAttention& p, const float* from, std::vector<float>& out) {
  const int64_t stride = int64_t{p.n_heads + 2 * p.n_kv_heads} * p.head_dim;
  const int32_t half = p.head_dim / 2;
  out.resize(static_cast<size_t>(int64_t{p.n_tokens} * p.head_dim));
  for (int64_t t = 0; t < p.n_tokens; ++t) {
    const float* const head = from + t * stride;
    float* const to = out.data() + t * p.head_dim;
    for (int32_t i = 0; i < half; ++i) {
      const float c = p.cos[t * half + i], s = p.sin[t * half + i];
      to[i] = head[i] * c - head[i + half] * s;
      to[i + half] = head[i + half] * c + head[i] * s;
    }
  }
}

// Scores of one query become the weights of its tokens; those after it count nothing.
void softmax(float* scores, int64_t n_seen, int64_t n_tokens, float scale) {
  const float largest = *std::max_element(scores, scores + n_seen);
  float sum = 0;
  for (int64_t i = 0; i < n_seen; ++i) {
    scores[i] = std::exp(scale * (scores[i] - largest));
    sum += scores[i];
  }
  for (int64_t i = 0; i < n_seen; ++i) scores[i] /= sum;
  std::fill(scores + n_seen, scores + n_tokens, 0.0F);
}

// One query head; everything on the calling thread.
void attend_head(const CausalAttention& p, int32_t head, kernels::ThreadPool& alone) {
  const int64_t stride = int64_t{p.n_heads + 2 * p.n_kv_heads} * p.head_dim;
  const int32_t kv_head = head / (p.n_heads / p.n_kv_heads);
  std::vector<float> q, k;
  rotate_head(p, p.qkv + int64_t{head} * p.head_dim, q);
  rotate_head(p, p.qkv + int64_t{p.n_heads + kv_head} * p.head_dim, k);
  const float* const v = p.qkv + int64_t{p.n_heads + p.n_kv_heads + kv_head} * p.head_dim;
  const float scale = 1 / std::sqrt(static_cast<float>(p.head_dim));
  std::vector<float> scores;
  for (int64_t first = 0; first < p.n_tokens; first += kRows) {
    const int64_t last = std::min<int64_t>(first + kRows, p.n_tokens), n = last - first;
    scores.resize(static_cast<size_t>(n * last));
    kernels::gemm({.m = n,
                   .n = last,
                   .k = p.head_dim,
                   .a = kernels::row_major(q.data() + first * p.head_dim, p.head_dim),
                   .b = kernels::transposed(k.data(), p.head_dim),
                   .c = scores.data(),
                   .c_stride = last},
                  alone);
    for (int64_t i = 0; i < n; ++i) {
      softmax(scores.data() + i * last, first + i + 1, last, scale);
    }
    const int64_t out_stride = int64_t{p.n_heads} * p.head_dim;
    kernels::gemm({.m = n,
                   .n = p.head_dim,
                   .k = last,
                   .a = kernels::row_major(scores.data(), last),
                   .b = kernels::row_major(v, stride),
                   .c = p.out + first * out_stride + int64_t{head} * p.head_dim,
                   .c_stride = out_stride},
                  alone);
  }
}

}  // namespace

void causal_attention(const CausalAttention& params, kernels::ThreadPool& pool) {
  pool.parallel_for(params.n_heads, 1, [&](int64_t begin, int64_t end) {
    kernels::ThreadPool alone(1);
    for (int64_t head = begin; head < end; ++head) {
      attend_head(params, static_cast<int32_t>(head), alone);
    }
  });
}

}  // namespace incipit::engine
