// A one-layer model of random packed weights with its activations and pages, for tests that call
// the steps of a backend one by one or all in a row.
#pragma once

#include <cmath>

#include "tests/support/kernel_inputs.h"
#include "tests/support/paged_batch.h"

namespace incipit::kernels {

struct LayerShape {
  const char* name;
  int32_t hidden, ffn, vocab;
  HeadShape heads;
  int32_t group;
  bool has_zeros;

  int32_t q_width() const { return heads.n_heads * heads.head_dim; }
  int32_t kv_width() const { return heads.n_kv_heads * heads.head_dim; }
  int32_t qkv_width() const { return q_width() + 2 * kv_width(); }
};

inline void PrintTo(const LayerShape& shape, std::ostream* out) {
  *out << shape.name;
}

struct LayerWeights {
  LayerShape shape;
  Packed<Int4View<CpuTile>> qkv, out, gate_up, down;
  Packed<Int8View<CpuTile>> head;
  std::vector<uint16_t> head_f16;   // [vocab, hidden]
  std::vector<uint16_t> embedding;  // [vocab, hidden]
  std::vector<float> norm;          // [hidden], used for every norm
  std::vector<float> cos, sin;      // [n_positions, head_dim / 2]
  float eps = 1e-5f;
};

inline std::vector<uint16_t> random_halves(int64_t n, float deviation, std::mt19937& random) {
  std::normal_distribution<float> value(0.0f, deviation);
  std::vector<uint16_t> halves(static_cast<size_t>(n));
  for (uint16_t& h : halves) h = float_to_half(value(random));
  return halves;
}

inline LayerWeights make_weights(const LayerShape& s, int32_t n_positions, std::mt19937& random) {
  const auto int4 = [&](int32_t rows, int32_t cols) {
    return packed(random_int4({rows, cols, s.group, s.has_zeros}, random));
  };
  LayerWeights w{s,
                 int4(s.qkv_width(), s.hidden),
                 int4(s.hidden, s.q_width()),
                 int4(2 * s.ffn, s.hidden),
                 int4(s.hidden, s.ffn),
                 packed(random_int8({s.vocab, s.hidden}, random)),
                 random_halves(int64_t{s.vocab} * s.hidden, 0.05f, random),
                 random_halves(int64_t{s.vocab} * s.hidden, 1.0f, random),
                 {},
                 {},
                 {},
                 1e-5f};
  std::uniform_real_distribution<float> norm(0.2f, 2.0f);
  for (int32_t i = 0; i < s.hidden; ++i) w.norm.push_back(norm(random));
  const int32_t half = s.heads.head_dim / 2;
  for (int32_t position = 0; position < n_positions; ++position) {
    for (int32_t i = 0; i < half; ++i) {
      const double angle = position * std::pow(10000.0, -double{1} * i / half);
      w.cos.push_back(static_cast<float>(std::cos(angle)));
      w.sin.push_back(static_cast<float>(std::sin(angle)));
    }
  }
  return w;
}

// Params of each step over the given activations.
inline QkvRopeAppendParams<CpuTile> qkv_params(const LayerWeights& w, PagedBatch& batch,
                                               const float* x, float* q) {
  QkvRopeAppendParams<CpuTile> p;
  p.rows = batch.rows();
  p.hidden = w.shape.hidden;
  p.heads = w.shape.heads;
  p.x = x;
  p.norm_weight = w.norm.data();
  p.norm_eps = w.eps;
  p.w_qkv = w.qkv.view;
  p.rope_cos = w.cos.data();
  p.rope_sin = w.sin.data();
  p.q = q;
  p.kv = batch.kv();
  return p;
}

inline AttentionParams attention_params(const LayerWeights& w, PagedBatch& batch, const float* q,
                                        float* out) {
  AttentionParams p;
  p.rows = batch.rows();
  p.heads = w.shape.heads;
  p.q = q;
  p.kv = batch.kv();
  p.scale = 1.0f / std::sqrt(static_cast<float>(w.shape.heads.head_dim));
  p.out = out;
  return p;
}

inline OutProjAddParams<CpuTile> out_proj_params(const LayerWeights& w, int32_t n_rows,
                                                 const float* attention, float* x) {
  return {n_rows, w.shape.hidden, w.shape.q_width(), attention, w.out.view, x};
}

inline MlpAddParams<CpuTile> mlp_params(const LayerWeights& w, int32_t n_rows, float* x) {
  return {n_rows, w.shape.hidden, w.shape.ffn, w.norm.data(),
          w.eps,  w.gate_up.view, w.down.view, x};
}

enum class Head { kInt8, kF16 };

inline LmHeadParams<CpuTile> head_params(const LayerWeights& w, Head head,
                                         const std::vector<int32_t>& rows, const float* x,
                                         float* normed, float* logits) {
  LmHeadParams<CpuTile> p;
  p.n_logit_rows = static_cast<int32_t>(rows.size());
  p.hidden = w.shape.hidden;
  p.vocab = w.shape.vocab;
  p.rows = rows.data();
  p.x = x;
  p.norm_weight = w.norm.data();
  p.norm_eps = w.eps;
  if (head == Head::kInt8) p.w_int8 = w.head.view;
  if (head == Head::kF16) p.w_f16 = w.head_f16.data();
  p.normed = normed;
  p.logits = logits;
  return p;
}

}  // namespace incipit::kernels
