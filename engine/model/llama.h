// The forward pass of Llama (Touvron et al. 2023; GQA, RoPE, SwiGLU, RMSNorm), written once for
// every backend: embed, four fused steps a layer, head. LlamaModel owns everything a step needs;
// nothing is allocated after create(). Engine thread alone.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
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

// How many KV pages, asked when all other memory has been taken.
using ChoosePages = std::function<Result<int32_t>()>;

template <Backend B>
class LlamaModel final : public Model {
 public:
  using Layout = typename B::WeightLayout;
  using Buffer = typename B::Buffer;

  // context_tokens: positions that may be asked for. kv_type: one that the backend's steps know.
  static Result<std::unique_ptr<Model>> create(std::unique_ptr<B> backend, Weights<Layout> weights,
                                               const ChoosePages& choose_pages,
                                               int32_t context_tokens, const StepCapacity& capacity,
                                               kernels::KvType kv_type = kernels::KvType::kF16) {
    const ModelConfig& config = weights.config;
    ASSIGN_OR_RETURN(auto activations, Activations<B>::create(config, capacity));
    const RopeTables tables = make_rope_tables(config, context_tokens);
    const auto table_bytes = static_cast<int64_t>(tables.cos.size() * sizeof(float));
    ASSIGN_OR_RETURN(auto rope, Buffer::allocate(2 * table_bytes));
    backend->upload(rope.data(), tables.cos.data(), table_bytes);
    backend->upload(rope.data() + table_bytes, tables.sin.data(), table_bytes);
    ASSIGN_OR_RETURN(const int32_t n_pages, choose_pages());
    ASSIGN_OR_RETURN(auto kv, KvPool<Buffer>::create(config, kv_type, n_pages));
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

  bool forward(const ForwardBatch& batch) override {
    check(batch);
    is_given_up_ = false;
    step_ = backend_->begin_step(batch, weights_.embedding);
    if (batch.on_hidden) {
      launch(batch);  // a recording has no room for observers
    } else {
      backend_->run([&] { launch(batch); });
    }
    backend_->finish_step();
    return !is_given_up_;
  }

  std::span<const Candidate> candidates(int32_t i) const override {
    CHECK(i >= 0 && i < n_logit_rows_);
    return {a_.candidates + int64_t{i} * a_.n_candidates, static_cast<size_t>(a_.n_candidates)};
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
    // page is one contiguous run while its first slots are not. Layers, and in them keys and
    // values, are one half of a layer apart.
    backend_->copy(kv_.first_keys(to), kv_.first_keys(from), kv_.page_bytes(),
                   kv_.half_layer_bytes(), 2 * config().n_layers);
  }

  int64_t page_bytes() const override { return 2 * config().n_layers * kv_.page_bytes(); }
  void read_page(PageId page, std::span<std::byte> out) override {
    CHECK_EQ(static_cast<int64_t>(out.size()), page_bytes());
    for (int32_t half = 0; half < 2 * config().n_layers; ++half)
      backend_->download(out.data() + half * kv_.page_bytes(), half_page(page, half),
                         kv_.page_bytes());
  }
  void write_page(PageId page, std::span<const std::byte> from) override {
    CHECK_EQ(static_cast<int64_t>(from.size()), page_bytes());
    for (int32_t half = 0; half < 2 * config().n_layers; ++half)
      backend_->upload(half_page(page, half), from.data() + half * kv_.page_bytes(),
                       kv_.page_bytes());
  }

 private:
  // The keys (even) or values (odd) of a page in one layer.
  std::byte* half_page(PageId page, int32_t half) const {
    return kv_.first_keys(page) + half * kv_.half_layer_bytes();
  }

  static constexpr int64_t kFloatBytes = sizeof(float);

  LlamaModel(std::unique_ptr<B> backend, Weights<Layout> weights, KvPool<Buffer> kv,
             Activations<B> activations, Buffer rope, int32_t context_tokens,
             const StepCapacity& capacity)
      : backend_(std::move(backend)),
        weights_(std::move(weights)),
        kv_(std::move(kv)),
        a_(std::move(activations)),
        rope_(std::move(rope)),
        context_tokens_(context_tokens),
        capacity_(capacity),
        heads_{config().n_heads, config().n_kv_heads, config().head_dim} {}

  void check(const ForwardBatch& batch) {
    const auto n_sequences =
        batch.page_table_stride == 0
            ? 0
            : static_cast<int32_t>(batch.page_tables.size()) / batch.page_table_stride;
    CHECK_LE(batch.n_rows(), capacity_.max_rows);
    CHECK_LE(n_sequences, capacity_.max_sequences);
    CHECK_LE(batch.page_table_stride, capacity_.max_pages);
    n_logit_rows_ = static_cast<int32_t>(batch.logit_rows.size());
    CHECK_LE(n_logit_rows_, capacity_.max_logit_rows);
  }

  // The fused steps, in order. What is launched depends on step_ alone, but for observers.
  void launch(const ForwardBatch& batch) {
    rows_ = {a_.x, a_.q};
    embed();
    observe(batch, 0);
    for (int32_t layer = 0; layer < config().n_layers; ++layer) {
      const LayerWeights<Layout>& w = weights_.layers[static_cast<size_t>(layer)];
      const kernels::KvLayerView kv = kv_.layer(layer);
      if (layer > 0 && gives_up(batch)) return;
      qkv_rope_append(w, kv);
      if (layer == config().n_layers - 1 && !keep_logit_rows(batch)) break;
      attention(kv);
      out_proj_add(w);
      mlp_add(w, layer + 1);
      observe(batch, layer + 1);
    }
    if (n_logit_rows_ > 0) head();
    observe(batch, config().n_layers + 1);
  }

  bool gives_up(const ForwardBatch& batch) {
    is_given_up_ = batch.is_unwanted && backend_->may_end_here() && batch.is_unwanted();
    return is_given_up_;
  }

  // The norm that reads the stream behind `n_layers_done` layers.
  const float* norm_behind(int32_t n_layers_done) const {
    if (n_layers_done == config().n_layers) return weights_.final_norm;
    return weights_.layers[static_cast<size_t>(n_layers_done)].input_norm;
  }

  void embed() {
    kernels::EmbedParams p;
    p.n_rows = step_.rows.n_rows;
    p.hidden = config().hidden;
    p.token_ids = step_.token_ids;
    p.table = weights_.embedding;
    p.x = rows_.x;
    p.next_norm_weight = norm_behind(0);
    backend_->embed(p);
  }

  void qkv_rope_append(const LayerWeights<Layout>& w, const kernels::KvLayerView& kv) {
    kernels::QkvRopeAppendParams<Layout> p;
    p.rows = step_.rows;
    p.hidden = config().hidden;
    p.heads = heads_;
    p.x = rows_.x;
    p.norm_weight = w.input_norm;
    p.norm_eps = config().norm_eps;
    p.w_qkv = w.qkv;
    p.rope_cos = reinterpret_cast<const float*>(rope_.data());
    p.rope_sin = p.rope_cos + int64_t{context_tokens_} * config().head_dim / 2;
    p.q = rows_.q;
    p.kv = kv;
    backend_->qkv_rope_append(p);
  }

  // False: no row goes on. Observers see every row.
  bool keep_logit_rows(const ForwardBatch& batch) {
    if (batch.on_hidden || n_logit_rows_ == batch.n_rows()) return true;
    if (n_logit_rows_ > 0)
      backend_->keep_logit_rows(batch, {config().hidden, config().attention_dim()}, step_, rows_);
    return n_logit_rows_ > 0;
  }

  void attention(const kernels::KvLayerView& kv) {
    kernels::AttentionParamsOf<Layout> p;
    p.rows = step_.rows;
    p.heads = heads_;
    p.q = rows_.q;
    p.kv = kv;
    p.scale = 1.0F / std::sqrt(static_cast<float>(config().head_dim));
    p.out = a_.attention;
    backend_->attention(p);
  }

  void out_proj_add(const LayerWeights<Layout>& w) {
    kernels::OutProjAddParams<Layout> p;
    p.n_rows = step_.rows.n_rows;
    p.hidden = config().hidden;
    p.attention_dim = config().attention_dim();
    p.attention = a_.attention;
    p.w_out = w.out;
    p.x = rows_.x;
    p.next_norm_weight = w.post_norm;
    backend_->out_proj_add(p);
  }

  void mlp_add(const LayerWeights<Layout>& w, int32_t n_layers_done) {
    kernels::MlpAddParams<Layout> p;
    p.n_rows = step_.rows.n_rows;
    p.hidden = config().hidden;
    p.ffn = config().ffn;
    p.norm_weight = w.post_norm;
    p.norm_eps = config().norm_eps;
    p.w_gate_up = w.gate_up;
    p.w_down = w.down;
    p.x = rows_.x;
    p.next_norm_weight = norm_behind(n_layers_done);
    backend_->mlp_add(p);
  }

  void head() {
    kernels::LmHeadParams<Layout> p;
    p.n_logit_rows = step_.n_logit_rows;
    p.hidden = config().hidden;
    p.vocab = config().vocab;
    p.rows = step_.logit_rows;
    p.x = rows_.x;
    p.norm_weight = weights_.final_norm;
    p.norm_eps = config().norm_eps;
    p.w_int8 = weights_.head_int8;
    p.w_f16 = weights_.head_f16;
    p.normed = a_.normed;
    p.logits = a_.logits;
    backend_->lm_head(p);

    kernels::TopCandidatesParams top;
    top.n_logit_rows = step_.n_logit_rows;
    top.vocab = config().vocab;
    top.n_candidates = a_.n_candidates;
    top.logits = a_.logits;
    top.out = a_.candidates;
    backend_->top_candidates(top);
  }

  // Tests look at the values between the steps.
  void observe(const ForwardBatch& batch, int32_t stage) {
    if (!batch.on_hidden) return;
    const bool is_final = stage == config().n_layers + 1;
    const int64_t n = int64_t{is_final ? n_logit_rows_ : batch.n_rows()} * config().hidden;
    std::vector<float> values(static_cast<size_t>(n));
    backend_->download(values.data(), is_final ? a_.normed : a_.x, n * kFloatBytes);
    batch.on_hidden(stage, values);
  }

  std::unique_ptr<B> backend_;
  Weights<Layout> weights_;
  KvPool<Buffer> kv_;
  Activations<B> a_;
  Buffer rope_;  // [2, context_tokens, head_dim / 2]: cosines, then sines
  int32_t context_tokens_;
  StepCapacity capacity_;
  kernels::HeadShape heads_;

  StepInputs step_;  // of the current step
  StepRows<kernels::Activation<Layout>> rows_;
  int32_t n_logit_rows_ = 0;  // of the last step
  bool is_given_up_ = false;  // the last step
  mutable std::vector<float> host_logits_;
};

}  // namespace incipit::engine
