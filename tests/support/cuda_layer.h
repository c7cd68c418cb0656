// The one-layer model of layer_fixture.h on a CUDA device: weights repacked there, a batch with its
// pages in CUDA's order, and CudaSteps to run it, for tests that compare steps with the reference
// or with one another.
#pragma once

#include <algorithm>
#include <cmath>

#include "kernels/cuda/repack.h"
#include "kernels/cuda/steps.h"
#include "tests/support/cuda_device.h"
#include "tests/support/cuda_paged_batch.h"
#include "tests/support/layer_fixture.h"

namespace incipit::kernels::cuda {

struct DeviceLayer {
  LayerShape shape;
  float eps;
  DeviceArray<std::byte> qkv, out, gate_up, down, head;
  DeviceArray<uint16_t> head_f16;
  DeviceArray<float> norm, next_norm, cos, sin;

  explicit DeviceLayer(const LayerWeights& w)
      : shape(w.shape),
        eps(w.eps),
        qkv(repacked(w.qkv, RowOrder::kRopePairs, head_order(w.shape.heads))),
        out(repacked(w.out, RowOrder::kPlain, {})),
        gate_up(repacked(w.gate_up, RowOrder::kGateUp, {})),
        down(repacked(w.down, RowOrder::kPlain, {})),
        head(repacked(w.head)),
        head_f16(w.head_f16),
        norm(w.norm),
        next_norm(w.norm),
        cos(w.cos),
        sin(w.sin) {}

  Int4View<CudaTile> view(const DeviceArray<std::byte>& bytes, int32_t rows, int32_t cols) const {
    return {bytes.data(), {rows, cols, shape.group, shape.has_zeros}};
  }

 private:
  static HeadOrder head_order(const HeadShape& heads) {
    return {(heads.n_heads + heads.n_kv_heads) * heads.head_dim, heads.head_dim};
  }
  static DeviceArray<std::byte> upload(const AlignedBytes& bytes) {
    const std::span<std::byte> span = bytes.span();
    return DeviceArray<std::byte>(std::vector<std::byte>(span.begin(), span.end()));
  }
  static DeviceArray<std::byte> repacked(const Packed<Int4View<CpuTile>>& m, RowOrder order,
                                         const HeadOrder& heads) {
    const DeviceArray<std::byte> from = upload(m.bytes);
    DeviceArray<std::byte> to(CudaTile::bytes(m.view.shape));
    repack_int4({from.data(), m.view.shape}, order, heads, to.data(), nullptr);
    CUDA_CHECK(cudaDeviceSynchronize());
    return to;
  }
  static DeviceArray<std::byte> repacked(const Packed<Int8View<CpuTile>>& m) {
    const DeviceArray<std::byte> from = upload(m.bytes);
    DeviceArray<std::byte> to(Int8Layout<CudaTile>::bytes(m.view.shape));
    repack_int8({from.data(), m.view.shape}, to.data(), nullptr);
    CUDA_CHECK(cudaDeviceSynchronize());
    return to;
  }
};

// Values of a step on the device, room for padded rows.
struct DeviceRows {
  KvType kv_type;
  DeviceArray<float> x;
  DeviceArray<uint16_t> q, attention;
  DeviceArray<uint16_t> k_pages, v_pages;

  DeviceRows(const LayerShape& s, const PagedBatch& batch, KvType type = KvType::kF16)
      : DeviceRows(s, batch, CudaPages(batch, type), type) {}
  KvLayerView kv() const { return {k_pages.data(), v_pages.data(), kv_type}; }

 private:
  DeviceRows(const LayerShape& s, const PagedBatch& batch, const CudaPages& pages, KvType type)
      : kv_type(type),
        x(int64_t{padded_rows(batch.n_rows())} * s.hidden),
        q(int64_t{padded_rows(batch.n_rows())} * s.q_width()),
        attention(int64_t{padded_rows(batch.n_rows())} * s.q_width()),
        k_pages(pages.keys),
        v_pages(pages.values) {}
};

// Room beyond the batch: of page tables (their place then differs from the batch's) and of rows.
inline CudaStepLimits limits_for(const LayerShape& s, const PagedBatch& batch, int32_t n_logit_rows,
                                 KvType kv_type = KvType::kF16) {
  CudaStepLimits limits;
  limits.max_rows = batch.n_rows();
  limits.max_logit_rows = std::max(1, n_logit_rows);
  limits.max_sequences = 5;
  limits.max_pages = batch.page_table_stride + 3;
  limits.hidden = s.hidden;
  limits.ffn = s.ffn;
  limits.vocab = s.vocab;
  limits.n_candidates = 16;
  limits.heads = s.heads;
  limits.kv_type = kv_type;
  limits.has_mixed_shapes = s.group == 128 && !s.has_zeros;
  return limits;
}

class LayerSteps {
 public:
  LayerSteps(const DeviceLayer& layer, const CudaStepLimits& limits)
      : layer_(layer), steps_(limits) {}

  CudaSteps& steps() { return steps_; }

  StepShape begin(const PagedBatch& batch, const std::vector<int32_t>& tokens,
                  const std::vector<int32_t>& logit_rows, const uint16_t* embedding) {
    HostStep step;
    step.token_ids = tokens;
    step.positions = batch.positions;
    step.sequence_of_row = batch.sequence_of_row;
    step.page_tables = batch.page_tables;
    step.page_table_stride = batch.page_table_stride;
    step.logit_rows = logit_rows;
    step.embedding = embedding;
    return steps_.begin_step(step);
  }

  void embed(float* x) {
    EmbedParams p;
    p.n_rows = steps_.rows().n_rows;
    p.hidden = layer_.shape.hidden;
    p.x = x;
    p.next_norm_weight = layer_.norm.data();
    steps_.embed(p);
  }
  void qkv(const float* x, uint16_t* q, const KvLayerView& kv) {
    QkvRopeAppendParams<CudaTile> p;
    p.rows = steps_.rows();
    p.hidden = layer_.shape.hidden;
    p.heads = layer_.shape.heads;
    p.x = x;
    p.norm_weight = layer_.norm.data();
    p.norm_eps = layer_.eps;
    p.w_qkv = layer_.view(layer_.qkv, layer_.shape.qkv_width(), layer_.shape.hidden);
    p.rope_cos = layer_.cos.data();
    p.rope_sin = layer_.sin.data();
    p.q = q;
    p.kv = kv;
    steps_.qkv_rope_append(p);
  }
  void attention(const uint16_t* q, const KvLayerView& kv, uint16_t* out) {
    AttentionParamsOf<CudaTile> p;
    p.rows = steps_.rows();
    p.heads = layer_.shape.heads;
    p.q = q;
    p.kv = kv;
    p.scale = 1.0f / std::sqrt(static_cast<float>(layer_.shape.heads.head_dim));
    p.out = out;
    steps_.attention(p);
  }
  void out_proj(const uint16_t* attention, float* x) {
    OutProjAddParams<CudaTile> p;
    p.n_rows = steps_.rows().n_rows;
    p.hidden = layer_.shape.hidden;
    p.attention_dim = layer_.shape.q_width();
    p.attention = attention;
    p.w_out = layer_.view(layer_.out, layer_.shape.hidden, layer_.shape.q_width());
    p.x = x;
    p.next_norm_weight = layer_.norm.data();
    steps_.out_proj_add(p);
  }
  void mlp(float* x) {
    MlpAddParams<CudaTile> p;
    p.n_rows = steps_.rows().n_rows;
    p.hidden = layer_.shape.hidden;
    p.ffn = layer_.shape.ffn;
    p.norm_weight = layer_.norm.data();
    p.norm_eps = layer_.eps;
    p.w_gate_up = layer_.view(layer_.gate_up, 2 * layer_.shape.ffn, layer_.shape.hidden);
    p.w_down = layer_.view(layer_.down, layer_.shape.hidden, layer_.shape.ffn);
    p.x = x;
    p.next_norm_weight = layer_.next_norm.data();
    steps_.mlp_add(p);
  }
  void lm_head(Head head, int32_t n_logit_rows, const float* x, float* normed, float* logits) {
    LmHeadParams<CudaTile> p;
    p.n_logit_rows = n_logit_rows;
    p.hidden = layer_.shape.hidden;
    p.vocab = layer_.shape.vocab;
    p.rows = steps_.logit_rows();
    p.x = x;
    p.norm_weight = layer_.next_norm.data();
    p.norm_eps = layer_.eps;
    if (head == Head::kInt8) {
      p.w_int8 = {layer_.head.data(), {layer_.shape.vocab, layer_.shape.hidden}};
    } else {
      p.w_f16 = layer_.head_f16.data();
    }
    p.normed = normed;
    p.logits = logits;
    steps_.lm_head(p);
  }

 private:
  const DeviceLayer& layer_;
  CudaSteps steps_;
};

// Shapes with odd sizes, head_dim 64 and 128, 1, 3, 4 and 8 query heads a KV head, each group.
inline const LayerShape kShapes[] = {
    {"Odd", 576, 352, 333, {9, 3, 64}, 128, false},
    {"WideHeads", 128, 96, 64, {4, 1, 128}, 32, true},
    {"EachHeadItsOwn", 320, 200, 1000, {5, 5, 64}, 64, true},
    {"EightToOne", 512, 1408, 513, {8, 1, 128}, 128, false},
};
class CudaStepTest : public testing::TestWithParam<LayerShape> {
 protected:
  CudaStepTest() : random_(test_seed()), w_(make_weights(GetParam(), 400, random_)) {}

  // Rows of two sequences, one after the other, over page edges.
  PagedBatch batch_of_rows(int32_t n_rows) {
    const int32_t first = (n_rows + 1) / 2;
    std::vector<RowRun> runs = {{1, 13, first}};
    if (n_rows > first) runs.push_back({0, 0, n_rows - first});
    return make_batch(GetParam().heads, runs, random_);
  }
  std::vector<int32_t> tokens(int32_t n_rows) {
    std::vector<int32_t> tokens;
    for (int32_t i = 0; i < n_rows; ++i) {
      tokens.push_back(static_cast<int32_t>(random_() % static_cast<uint32_t>(w_.shape.vocab)));
    }
    return tokens;
  }
  std::vector<float> residual(int32_t n_rows) {
    return random_rows(n_rows, GetParam().hidden, random_);
  }

  std::mt19937 random_;
  LayerWeights w_;
};

// A step of a batch of rows with its values on the device.
struct StepRun {
  PagedBatch batch;
  std::vector<int32_t> tokens;
  LayerSteps steps;
  StepShape shape;
  DeviceRows rows;

  StepRun(const DeviceLayer& layer, const LayerWeights& w, PagedBatch b, std::vector<int32_t> t,
          const std::vector<int32_t>& logit_rows = {}, KvType kv_type = KvType::kF16)
      : batch(std::move(b)),
        tokens(std::move(t)),
        steps(layer, limits_for(w.shape, batch, static_cast<int32_t>(logit_rows.size()), kv_type)),
        shape(steps.begin(batch, tokens, logit_rows, w.embedding.data())),
        rows(w.shape, batch, kv_type) {}
};

}  // namespace incipit::kernels::cuda
