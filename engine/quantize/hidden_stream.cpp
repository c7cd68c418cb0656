#include "engine/quantize/hidden_stream.h"

#include <algorithm>

#include "engine/model/rope_tables.h"
#include "engine/quantize/causal_attention.h"
#include "kernels/common/check.h"
#include "kernels/cpu/elementwise_kernels.h"
#include "kernels/cpu/isa.h"

namespace incipit::engine {
namespace {

const kernels::ElementwiseKernels& elementwise() {
  static const kernels::ElementwiseKernels& kernels =
      kernels::elementwise_kernels_for(kernels::best_isa());
  return kernels;
}

// Never shrinks: new memory is slow, as the system clears it.
void grow(std::vector<float>& values, int64_t n) {
  if (values.size() < static_cast<size_t>(n)) values.resize(static_cast<size_t>(n));
}

}  // namespace

HiddenStream::HiddenStream(const ModelConfig& config, const TokenSequences& sequences,
                           const Embed& embed, StreamScratch& scratch, kernels::ThreadPool& pool)
    : config_(config),
      scratch_(scratch),
      pool_(pool),
      n_sequences_(sequences.n_sequences()),
      length_(sequences.length) {
  RopeTables tables = make_rope_tables(config, length_);
  cos_ = std::move(tables.cos);
  sin_ = std::move(tables.sin);
  const int64_t n_tokens = n_sequences_ * length_;
  hidden_.resize(static_cast<size_t>(n_tokens * config.hidden));
  kept_.resize(static_cast<size_t>(n_tokens * std::max(config.attention_dim(), config.ffn)));
  pool_.parallel_for(n_tokens, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      embed(sequences.tokens[static_cast<size_t>(i)], hidden_.data() + i * config.hidden);
    }
  });
}

const float* HiddenStream::hidden(int64_t sequence) const {
  return hidden_.data() + first_value(sequence, config_.hidden);
}

void HiddenStream::inputs(WeightRole role, const std::vector<float>& norm, int64_t sequence,
                          std::vector<float>& x) const {
  if (role == WeightRole::kOut || role == WeightRole::kDown) {
    const int64_t cols = role == WeightRole::kOut ? config_.attention_dim() : config_.ffn;
    grow(x, length_ * cols);
    const uint16_t* const kept = kept_.data() + first_value(sequence, cols);
    pool_.parallel_for(length_, 8, [&](int64_t begin, int64_t end) {
      elementwise().widen(kept + begin * cols, static_cast<int32_t>((end - begin) * cols),
                          x.data() + begin * cols);
    });
    return;
  }
  const int32_t cols = config_.hidden;
  CHECK_EQ(norm.size(), static_cast<size_t>(cols));
  grow(x, int64_t{length_} * cols);
  const float* const rows = hidden(sequence);
  pool_.parallel_for(length_, 8, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      elementwise().rms_norm(rows + row * cols, norm.data(), config_.norm_eps, cols,
                             x.data() + row * cols);
    }
  });
}

void HiddenStream::keep_attended(const float* attended, int64_t sequence) {
  const int32_t cols = config_.attention_dim();
  uint16_t* const kept = kept_.data() + first_value(sequence, cols);
  pool_.parallel_for(length_, 8, [&](int64_t begin, int64_t end) {
    elementwise().narrow(attended + begin * cols, static_cast<int32_t>((end - begin) * cols),
                         kept + begin * cols);
  });
}

void HiddenStream::keep_activated(float* gate_up, int64_t sequence) {
  const int32_t ffn = config_.ffn;
  uint16_t* const kept = kept_.data() + first_value(sequence, ffn);
  pool_.parallel_for(length_, 8, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      float* const gate = gate_up + row * 2 * ffn;
      elementwise().silu_mul(gate, gate + ffn, ffn, gate);
      elementwise().narrow(gate, ffn, kept + row * ffn);
    }
  });
}

void HiddenStream::add(const float* y, int64_t sequence) {
  float* const to = hidden_.data() + first_value(sequence, config_.hidden);
  pool_.parallel_for(int64_t{length_} * config_.hidden, 1 << 14, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] += y[i];
  });
}

void HiddenStream::attend(const float* qkv, float* out) const {
  causal_attention({.n_heads = config_.n_heads,
                    .n_kv_heads = config_.n_kv_heads,
                    .head_dim = config_.head_dim,
                    .n_tokens = length_,
                    .qkv = qkv,
                    .cos = cos_.data(),
                    .sin = sin_.data(),
                    .out = out},
                   pool_);
}

Result<void> HiddenStream::advance(WeightRole role, const std::vector<float>& norm,
                                   SectionSolver& solver, const StreamStep& step) {
  auto& [x, y, attended] = scratch_;
  for (int64_t sequence = 0; sequence < n_sequences_; ++sequence) {
    if (step) TRY(step());
    inputs(role, norm, sequence, x);
    const bool adds = role == WeightRole::kOut || role == WeightRole::kDown;
    const int64_t rows = adds                       ? config_.hidden
                         : role == WeightRole::kQkv ? config_.qkv_rows()
                                                    : 2 * config_.ffn;
    grow(y, length_ * rows);
    TRY(solver.multiply(x.data(), length_, y.data()));
    if (adds) {
      add(y.data(), sequence);
    } else if (role == WeightRole::kQkv) {
      grow(attended, int64_t{length_} * config_.attention_dim());
      attend(y.data(), attended.data());
      keep_attended(attended.data(), sequence);
    } else {
      CHECK(role == WeightRole::kGateUp);
      keep_activated(y.data(), sequence);
    }
  }
  return {};
}

}  // namespace incipit::engine
