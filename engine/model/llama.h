// The forward pass of Llama (Touvron et al. 2023; GQA, RoPE, SwiGLU, RMSNorm), written once for
// every backend: embed, four fused steps a layer, head. LlamaModel owns everything a step needs;
// nothing is allocated after create(). Engine thread alone.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "engine/base/result.h"
#include "engine/kv/kv_pool.h"
#include "engine/model/activations.h"
#include "engine/model/backend.h"
#include "engine/model/model.h"
#include "engine/model/rope_tables.h"
#include "engine/weights/weights.h"
#include "kernels/common/check.h"

namespace incipit::engine {

template <Backend B>
class LlamaModel final : public Model {
 public:
  using Layout = typename B::WeightLayout;
  using Buffer = typename B::Buffer;

  // context_tokens: positions that may be asked for.
  static Result<std::unique_ptr<Model>> create(std::unique_ptr<B> backend, Weights<Layout> weights,
                                               int32_t n_pages, int32_t context_tokens,
                                               const StepCapacity& capacity) {
    const ModelConfig& config = weights.config;
    ASSIGN_OR_RETURN(auto kv, KvPool<Buffer>::create(config, n_pages));
    ASSIGN_OR_RETURN(auto activations, Activations<Buffer>::create(config, capacity));
    const RopeTables tables = make_rope_tables(config, context_tokens);
    const auto table_bytes = static_cast<int64_t>(tables.cos.size() * sizeof(float));
    ASSIGN_OR_RETURN(auto rope, Buffer::allocate(2 * table_bytes));
    backend->upload(rope.data(), tables.cos.data(), table_bytes);
    backend->upload(rope.data() + table_bytes, tables.sin.data(), table_bytes);
    return std::unique_ptr<Model>(new LlamaModel(std::move(backend), std::move(weights),
                                                 std::move(kv), std::move(activations),
                                                 std::move(rope), context_tokens, capacity));
  }

  const ModelConfig& config() const override { return weights_.config; }
  const char* device_name() const override { return backend_->device_name(); }
  int32_t n_pages() const override { return kv_.n_pages(); }
  int32_t max_rows() const override { return capacity_.max_rows; }
  int64_t weight_bytes() const override { return weights_.bytes; }
  int64_t kv_bytes() const override { return kv_.size_bytes(); }

  void forward(const ForwardBatch& batch) override {
    load_inputs(batch);
    embed();
    observe(batch, 0);
    for (int32_t layer = 0; layer < config().n_layers; ++layer) {
      const LayerWeights<Layout>& w = weights_.layers[static_cast<size_t>(layer)];
      const kernels::KvLayerView kv = kv_.layer(layer);
      qkv_rope_append(w, kv);
      if (layer == config().n_layers - 1 && !keep_logit_rows(batch)) break;
      attention(kv);
      out_proj_add(w);
      mlp_add(w);
      observe(batch, layer + 1);
    }
    if (n_logit_rows_ > 0) head();
    observe(batch, config().n_layers + 1);
  }

  std::span<const Candidate> candidates(int32_t i) const override {
    CHECK(i >= 0 && i < n_logit_rows_);
    return std::span(host_candidates_)
        .subspan(static_cast<size_t>(i * a_.n_candidates), static_cast<size_t>(a_.n_candidates));
  }

  std::span<const float> logits(int32_t i) const override {
    CHECK(i >= 0 && i < n_logit_rows_);
    host_logits_.resize(static_cast<size_t>(config().vocab));
    backend_->download(host_logits_.data(), a_.logits + int64_t{i} * config().vocab,
                       config().vocab * kFloatBytes);
    return host_logits_;
  }

  void copy_page(PageId from, PageId to, int32_t n_tokens) override {
    CHECK(from != to && n_tokens > 0 && n_tokens <= kPageTokens);
    // The whole page: the slots behind the first n_tokens are written before they are read, and a
    // page is one contiguous run while its first slots are not.
    const int64_t n_bytes = kv_.page_values() * static_cast<int64_t>(sizeof(uint16_t));
    for (int32_t layer = 0; layer < config().n_layers; ++layer) {
      const kernels::KvLayerView kv = kv_.layer(layer);
      for (uint16_t* pages : {kv.k_pages, kv.v_pages})
        backend_->copy(pages + index_of(to) * kv_.page_values(),
                       pages + index_of(from) * kv_.page_values(), n_bytes);
    }
  }

 private:
  static constexpr int64_t kFloatBytes = sizeof(float);

  LlamaModel(std::unique_ptr<B> backend, Weights<Layout> weights, KvPool<Buffer> kv,
             Activations<Buffer> activations, Buffer rope, int32_t context_tokens,
             const StepCapacity& capacity)
      : backend_(std::move(backend)),
        weights_(std::move(weights)),
        kv_(std::move(kv)),
        a_(std::move(activations)),
        rope_(std::move(rope)),
        context_tokens_(context_tokens),
        capacity_(capacity),
        heads_{config().n_heads, config().n_kv_heads, config().head_dim},
        kept_(static_cast<size_t>(capacity.max_logit_rows)),
        host_candidates_(static_cast<size_t>(capacity.max_logit_rows * a_.n_candidates)) {}

  // What the step's inputs become when only the rows with logits go on.
  struct KeptRows {
    explicit KeptRows(size_t max_rows) : positions(max_rows), sequences(max_rows), order(max_rows) {
      std::iota(order.begin(), order.end(), 0);
    }
    std::vector<int32_t> positions;
    std::vector<int32_t> sequences;
    std::vector<int32_t> order;  // 0, 1, 2, …: where the rows are then
  };

  void load_inputs(const ForwardBatch& batch) {
    const auto n_sequences =
        batch.page_table_stride == 0
            ? 0
            : static_cast<int32_t>(batch.page_tables.size()) / batch.page_table_stride;
    CHECK_LE(batch.n_rows(), capacity_.max_rows);
    CHECK_LE(n_sequences, capacity_.max_sequences);
    CHECK_LE(batch.page_table_stride, capacity_.max_pages);
    n_logit_rows_ = static_cast<int32_t>(batch.logit_rows.size());
    CHECK_LE(n_logit_rows_, capacity_.max_logit_rows);
    const auto upload = [&](int32_t* to, const std::vector<int32_t>& from) {
      backend_->upload(to, from.data(), static_cast<int64_t>(from.size() * sizeof(int32_t)));
    };
    upload(a_.token_ids, batch.tokens);
    upload(a_.positions, batch.positions);
    upload(a_.sequence_of_row, batch.sequence_of_row);
    upload(a_.page_tables, batch.page_tables);
    upload(a_.logit_rows, batch.logit_rows);
    rows_ = {batch.n_rows(), a_.positions, a_.sequence_of_row, a_.page_tables,
             batch.page_table_stride};
  }

  void embed() {
    kernels::EmbedParams p;
    p.n_rows = rows_.n_rows;
    p.hidden = config().hidden;
    p.token_ids = a_.token_ids;
    p.table = weights_.embedding;
    p.x = a_.x;
    backend_->embed(p);
  }

  void qkv_rope_append(const LayerWeights<Layout>& w, const kernels::KvLayerView& kv) {
    kernels::QkvRopeAppendParams<Layout> p;
    p.rows = rows_;
    p.hidden = config().hidden;
    p.heads = heads_;
    p.x = a_.x;
    p.norm_weight = w.input_norm;
    p.norm_eps = config().norm_eps;
    p.w_qkv = w.qkv;
    p.rope_cos = reinterpret_cast<const float*>(rope_.data());
    p.rope_sin = p.rope_cos + int64_t{context_tokens_} * config().head_dim / 2;
    p.q = a_.q;
    p.kv = kv;
    backend_->qkv_rope_append(p);
  }

  // Behind the last layer's keys and values, only the rows whose logits are wanted have a use: they
  // move to the front, and the step goes on with them alone. A row's result does not depend on the
  // others. False: no row is left. Observers see every row.
  bool keep_logit_rows(const ForwardBatch& batch) {
    if (batch.on_hidden || n_logit_rows_ == rows_.n_rows) return true;
    const auto move_up = [&](float* rows, int64_t width, int32_t to, int32_t from) {
      backend_->copy(rows + to * width, rows + from * width, width * kFloatBytes);
    };
    for (int32_t i = 0; i < n_logit_rows_; ++i) {
      const int32_t row = batch.logit_rows[static_cast<size_t>(i)];  // ascending, so row >= i
      kept_.positions[static_cast<size_t>(i)] = batch.positions[static_cast<size_t>(row)];
      kept_.sequences[static_cast<size_t>(i)] = batch.sequence_of_row[static_cast<size_t>(row)];
      if (row == i) continue;
      move_up(a_.x, config().hidden, i, row);
      move_up(a_.q, config().attention_dim(), i, row);
    }
    const int64_t n_bytes = n_logit_rows_ * static_cast<int64_t>(sizeof(int32_t));
    backend_->upload(a_.positions, kept_.positions.data(), n_bytes);
    backend_->upload(a_.sequence_of_row, kept_.sequences.data(), n_bytes);
    backend_->upload(a_.logit_rows, kept_.order.data(), n_bytes);
    rows_.n_rows = n_logit_rows_;
    return n_logit_rows_ > 0;
  }

  void attention(const kernels::KvLayerView& kv) {
    kernels::AttentionParams p;
    p.rows = rows_;
    p.heads = heads_;
    p.q = a_.q;
    p.kv = kv;
    p.scale = 1.0F / std::sqrt(static_cast<float>(config().head_dim));
    p.out = a_.attention;
    backend_->attention(p);
  }

  void out_proj_add(const LayerWeights<Layout>& w) {
    kernels::OutProjAddParams<Layout> p;
    p.n_rows = rows_.n_rows;
    p.hidden = config().hidden;
    p.attention_dim = config().attention_dim();
    p.attention = a_.attention;
    p.w_out = w.out;
    p.x = a_.x;
    backend_->out_proj_add(p);
  }

  void mlp_add(const LayerWeights<Layout>& w) {
    kernels::MlpAddParams<Layout> p;
    p.n_rows = rows_.n_rows;
    p.hidden = config().hidden;
    p.ffn = config().ffn;
    p.norm_weight = w.post_norm;
    p.norm_eps = config().norm_eps;
    p.w_gate_up = w.gate_up;
    p.w_down = w.down;
    p.x = a_.x;
    backend_->mlp_add(p);
  }

  void head() {
    kernels::LmHeadParams<Layout> p;
    p.n_logit_rows = n_logit_rows_;
    p.hidden = config().hidden;
    p.vocab = config().vocab;
    p.rows = a_.logit_rows;
    p.x = a_.x;
    p.norm_weight = weights_.final_norm;
    p.norm_eps = config().norm_eps;
    p.w_int8 = weights_.head_int8;
    p.w_f16 = weights_.head_f16;
    p.normed = a_.normed;
    p.logits = a_.logits;
    backend_->lm_head(p);

    kernels::TopCandidatesParams top;
    top.n_logit_rows = n_logit_rows_;
    top.vocab = config().vocab;
    top.n_candidates = a_.n_candidates;
    top.logits = a_.logits;
    top.out = a_.candidates;
    backend_->top_candidates(top);
    backend_->download(
        host_candidates_.data(), a_.candidates,
        int64_t{n_logit_rows_} * a_.n_candidates * static_cast<int64_t>(sizeof(Candidate)));
  }

  // Tests look at the values between the steps.
  void observe(const ForwardBatch& batch, int32_t stage) {
    if (!batch.on_hidden) return;
    const bool is_final = stage == config().n_layers + 1;
    const int64_t n = int64_t{is_final ? n_logit_rows_ : rows_.n_rows} * config().hidden;
    std::vector<float> values(static_cast<size_t>(n));
    backend_->download(values.data(), is_final ? a_.normed : a_.x, n * kFloatBytes);
    batch.on_hidden(stage, values);
  }

  std::unique_ptr<B> backend_;
  Weights<Layout> weights_;
  KvPool<Buffer> kv_;
  Activations<Buffer> a_;
  Buffer rope_;  // [2, context_tokens, head_dim / 2]: cosines, then sines
  int32_t context_tokens_;
  StepCapacity capacity_;
  kernels::HeadShape heads_;

  kernels::RowBatch rows_;    // of the current step
  int32_t n_logit_rows_ = 0;  // of the last step
  KeptRows kept_;
  std::vector<Candidate> host_candidates_;
  mutable std::vector<float> host_logits_;
};

}  // namespace incipit::engine
