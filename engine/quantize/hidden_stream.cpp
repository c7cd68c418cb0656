#include "engine/quantize/hidden_stream.h"

#include <algorithm>
#include <cmath>

#include "engine/model/rope_tables.h"
#include "engine/quantize/causal_attention.h"
#include "kernels/common/check.h"
#include "kernels/common/half.h"
#include "kernels/cpu/elementwise_kernels.h"
#include "kernels/cpu/isa.h"

namespace incipit::engine {
namespace {

constexpr float kLargestHalf = 65504;

const kernels::ElementwiseKernels& elementwise() {
  static const kernels::ElementwiseKernels& kernels =
      kernels::elementwise_kernels_for(kernels::best_isa());
  return kernels;
}

// [n, 2 ffn], gate and then up, becomes [n, ffn] in place.
void activate(std::vector<float>& values, int64_t n, int32_t ffn, kernels::ThreadPool& pool) {
  pool.parallel_for(n, 8, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      float* const gate = values.data() + row * 2 * ffn;
      elementwise().silu_mul(gate, gate + ffn, ffn, gate);
    }
  });
  for (int64_t row = 1; row < n; ++row) {
    std::copy_n(values.begin() + row * 2 * ffn, ffn, values.begin() + row * ffn);
  }
}

}  // namespace

HiddenStream::HiddenStream(const ModelConfig& config, const TokenSequences& sequences,
                           const Embed& embed, kernels::ThreadPool& pool)
    : config_(config),
      pool_(pool),
      n_sequences_(sequences.n_sequences()),
      length_(sequences.length) {
  RopeTables tables = make_rope_tables(config, length_);
  cos_ = std::move(tables.cos);
  sin_ = std::move(tables.sin);
  const int64_t n_tokens = n_sequences_ * length_;
  hidden_.resize(static_cast<size_t>(n_tokens * config.hidden));
  for (int64_t i = 0; i < n_tokens; ++i) {
    embed(sequences.tokens[static_cast<size_t>(i)], hidden_.data() + i * config.hidden);
  }
}

const float* HiddenStream::hidden(int64_t sequence) const {
  return hidden_.data() + first_value(sequence, config_.hidden);
}

void HiddenStream::inputs(WeightRole role, const std::vector<float>& norm, int64_t sequence,
                          std::vector<float>& x) const {
  if (role == WeightRole::kOut || role == WeightRole::kDown) {
    const int64_t cols = role == WeightRole::kOut ? config_.attention_dim() : config_.ffn;
    x.resize(static_cast<size_t>(length_ * cols));
    const uint16_t* const kept = kept_.data() + first_value(sequence, cols);
    pool_.parallel_for(length_, 8, [&](int64_t begin, int64_t end) {
      elementwise().widen(kept + begin * cols, static_cast<int32_t>((end - begin) * cols),
                          x.data() + begin * cols);
    });
    return;
  }
  const int32_t cols = config_.hidden;
  CHECK_EQ(norm.size(), static_cast<size_t>(cols));
  x.resize(static_cast<size_t>(int64_t{length_} * cols));
  const float* const rows = hidden(sequence);
  pool_.parallel_for(length_, 8, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      elementwise().rms_norm(rows + row * cols, norm.data(), config_.norm_eps, cols,
                             x.data() + row * cols);
    }
  });
}

void HiddenStream::keep_inputs(const float* values, int64_t cols, int64_t sequence) {
  kept_.resize(static_cast<size_t>(n_sequences_ * length_ * cols));
  uint16_t* const kept = kept_.data() + first_value(sequence, cols);
  pool_.parallel_for(length_, 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * cols; i < end * cols; ++i) {
      kept[i] = kernels::float_to_half(std::clamp(values[i], -kLargestHalf, kLargestHalf));
    }
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
  std::vector<float> x, y, attended;
  for (int64_t sequence = 0; sequence < n_sequences_; ++sequence) {
    if (step) TRY(step());
    inputs(role, norm, sequence, x);
    const bool adds = role == WeightRole::kOut || role == WeightRole::kDown;
    const int64_t rows = adds                       ? config_.hidden
                         : role == WeightRole::kQkv ? config_.qkv_rows()
                                                    : 2 * config_.ffn;
    y.resize(static_cast<size_t>(length_ * rows));
    TRY(solver.multiply(x.data(), length_, y.data()));
    if (adds) {
      float* const to = hidden_.data() + first_value(sequence, config_.hidden);
      for (size_t i = 0; i < y.size(); ++i) to[i] += y[i];
    } else if (role == WeightRole::kQkv) {
      attended.resize(static_cast<size_t>(length_ * config_.attention_dim()));
      attend(y.data(), attended.data());
      keep_inputs(attended.data(), config_.attention_dim(), sequence);
    } else {
      CHECK(role == WeightRole::kGateUp);
      activate(y, length_, config_.ffn, pool_);
      keep_inputs(y.data(), config_.ffn, sequence);
    }
  }
  return {};
}

}  // namespace incipit::engine
