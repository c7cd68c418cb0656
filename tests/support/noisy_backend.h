// NoisyBackend: the CPU backend with a random error put on every value that another arithmetic
// rounds, of the size of that rounding. What comes out, beside a run without, is what such rounding
// does to a model's numbers: Monte Carlo arithmetic (Parker 1997).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/model/cpu_backend.h"
#include "kernels/common/half.h"
#include "kernels/cpu/matmul.h"
#include "tests/support/rounding_deviations.h"

namespace incipit::test {

class NoisyBackend : public engine::CpuBackend {
 public:
  NoisyBackend(kernels::Isa isa, int32_t n_threads, const engine::ModelConfig& config,
               const engine::StepCapacity& capacity)
      : CpuBackend(isa, n_threads, config, capacity), isa_(isa), pool_(n_threads) {
    const int32_t rows = capacity.max_rows;
    int64_t bytes = 0;
    for (const int32_t group : {32, 64, 128})
      for (const int32_t cols : {config.hidden, config.ffn})
        bytes = std::max(bytes, kernels::quantized_rows_bytes(rows, cols, group));
    quantized_ = engine::HostBuffer::allocate(bytes).value();
    gate_up_ = engine::HostBuffer::allocate(int64_t{rows} * 2 * config.ffn * kFloatBytes).value();
  }

  // From here on errors are `factor` times those of `rounding`; 0: none.
  void set_noise(const Rounding& rounding, double factor, uint64_t seed) {
    rounding_ = rounding;
    factor_ = factor;
    state_ = seed;
  }

  void qkv_rope_append(const kernels::QkvRopeAppendParams<WeightLayout>& exact) {
    auto p = exact;
    const Rows rows = {p.rows.n_rows, p.hidden, p.w_qkv.shape.group, p.norm_weight};
    const auto x = noisy(p.x, rows, rounding_.product_rows);
    p.x = x.data();
    CpuBackend::qkv_rope_append(p);
    disturb(p.q, {p.rows.n_rows * p.heads.n_heads, p.heads.head_dim, p.heads.head_dim},
            rounding_.queries);
    for (int32_t row = 0; row < p.rows.n_rows; ++row) disturb_pages(p, row);
  }

  void out_proj_add(const kernels::OutProjAddParams<WeightLayout>& exact) {
    auto p = exact;
    const auto rows = noisy(p.attention, {p.n_rows, p.attention_dim, p.w_out.shape.group},
                            rounding_.product_rows);
    p.attention = rows.data();
    CpuBackend::out_proj_add(p);
  }

  // Written out, as the product of gate and up is rounded too.
  void mlp_add(const kernels::MlpAddParams<WeightLayout>& p) {
    std::vector<float> normed(p.x, p.x + int64_t{p.n_rows} * p.hidden);
    for (int32_t row = 0; row < p.n_rows; ++row)
      rms_norm({normed.data() + int64_t{row} * p.hidden, static_cast<size_t>(p.hidden)},
               p.norm_weight, p.norm_eps);
    disturb(normed.data(), {p.n_rows, p.hidden, p.w_gate_up.shape.group}, rounding_.product_rows);
    auto* const gate_up = reinterpret_cast<float*>(gate_up_.data());
    multiply(p.w_gate_up, normed.data(), p.n_rows, gate_up, kernels::MatmulStore::kOverwrite);
    std::vector<float> product(static_cast<size_t>(p.n_rows) * static_cast<size_t>(p.ffn));
    for (int64_t row = 0; row < p.n_rows; ++row) {
      const float* const gate = gate_up + row * 2 * p.ffn;
      for (int64_t i = 0; i < p.ffn; ++i)
        product[static_cast<size_t>(row * p.ffn + i)] =
            gate[i] / (1 + std::exp(-gate[i])) * gate[p.ffn + i];
    }
    disturb(product.data(), {p.n_rows, p.ffn, p.w_down.shape.group}, rounding_.product_rows);
    multiply(p.w_down, product.data(), p.n_rows, p.x, kernels::MatmulStore::kAdd);
  }

  void lm_head(const kernels::LmHeadParams<WeightLayout>& exact) {
    auto p = exact;
    const int32_t n_rows = 1 + *std::max_element(p.rows, p.rows + p.n_logit_rows);
    const auto x =
        noisy(p.x, {n_rows, p.hidden, kernels::kInt8HeadGroup, p.norm_weight}, rounding_.head_rows);
    p.x = x.data();
    CpuBackend::lm_head(p);
  }

 private:
  static constexpr int64_t kFloatBytes = sizeof(float);

  // Numbers of a matrix, row by row; `group` columns share a scale. `norm`, if there: weights that
  // each row is multiplied by before it is rounded (the division by its length changes nothing).
  struct Rows {
    int32_t n_rows;
    int32_t width;
    int32_t group;
    const float* norm = nullptr;
  };

  static void rms_norm(std::span<float> row, const float* weight, float eps) {
    double squares = 0;
    for (const float v : row) squares += double{v} * v;
    const double scale = 1 / std::sqrt(squares / static_cast<double>(row.size()) + eps);
    for (size_t i = 0; i < row.size(); ++i) row[i] = static_cast<float>(row[i] * scale * weight[i]);
  }

  // Uniform, as rounding errors are; mean 0, root mean square 1. splitmix64 (Steele et al. 2014).
  double error() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
    z ^= z >> 31U;
    return (static_cast<double>(z >> 11U) * 0x1p-52 - 1) * std::sqrt(3.0);
  }

  void disturb(float* values, const Rows& rows, const RoundingError& size) {
    if (factor_ == 0) return;
    for (int64_t row = 0; row < rows.n_rows; ++row)
      for (int32_t begin = 0; begin < rows.width; begin += rows.group)
        disturb_group({values + row * rows.width + begin,
                       static_cast<size_t>(std::min(rows.group, rows.width - begin))},
                      rows.norm == nullptr ? nullptr : rows.norm + begin, size);
  }

  void disturb_group(std::span<float> values, const float* norm, const RoundingError& size) {
    double largest = 0;
    for (size_t i = 0; i < values.size(); ++i)
      largest = std::max(largest, std::abs(double{values[i]} * (norm == nullptr ? 1 : norm[i])));
    for (size_t i = 0; i < values.size(); ++i) {
      const double weight = norm == nullptr ? 1 : norm[i];
      if (weight == 0) continue;
      const double value = values[i];
      const double off =
          size.relative * value * error() + size.of_largest * largest / weight * error();
      values[i] = static_cast<float>(value + factor_ * off);
    }
  }

  std::vector<float> noisy(const float* from, const Rows& rows, const RoundingError& size) {
    std::vector<float> out(from, from + int64_t{rows.n_rows} * rows.width);
    disturb(out.data(), rows, size);
    return out;
  }

  // An error of the softmax's weight of a token is one of the token's value.
  void disturb_pages(const kernels::QkvRopeAppendParams<WeightLayout>& p, int32_t row) {
    if (factor_ == 0) return;
    constexpr int32_t kTokens = kernels::kPageTokens;
    const int32_t position = p.rows.positions[row];
    const int64_t page =
        p.rows.page_tables[int64_t{p.rows.sequence_of_row[row]} * p.rows.page_table_stride +
                           position / kTokens];
    const int32_t slot = position % kTokens;
    for (int32_t head = 0; head < p.heads.n_kv_heads; ++head) {
      const int64_t block = (page * p.heads.n_kv_heads + head) * kTokens * p.heads.head_dim;
      disturb_head(p.kv.k_pages + block + slot, kTokens, p.heads.head_dim, rounding_.pages);
      RoundingError value = rounding_.pages;
      value.relative = std::hypot(value.relative, rounding_.softmax);
      disturb_head(p.kv.v_pages + block + int64_t{slot} * p.heads.head_dim, 1, p.heads.head_dim,
                   value);
    }
  }

  // head_dim numbers of a token, `stride` apart.
  void disturb_head(uint16_t* values, int64_t stride, int32_t head_dim, const RoundingError& size) {
    head_.clear();
    for (int32_t d = 0; d < head_dim; ++d)
      head_.push_back(kernels::half_to_float(values[d * stride]));
    disturb_group(head_, nullptr, size);
    for (int32_t d = 0; d < head_dim; ++d)
      values[d * stride] = kernels::float_to_half(head_[static_cast<size_t>(d)]);
  }

  void multiply(const kernels::Int4View<WeightLayout>& w, const float* x, int32_t n_rows, float* y,
                kernels::MatmulStore store) {
    kernels::Int4MatmulParams params;
    params.w = w;
    params.x = kernels::quantized_rows_in(quantized_.data(), n_rows, w.shape.cols, w.shape.group);
    kernels::quantize_rows(x, w.shape.cols, params.x, 0, n_rows, isa_);
    params.y = y;
    params.y_stride = w.shape.rows;
    params.store = store;
    kernels::int4_matmul(params, isa_, pool_);
  }

  kernels::Isa isa_;
  kernels::ThreadPool pool_;
  engine::HostBuffer quantized_, gate_up_;
  std::vector<float> head_;
  Rounding rounding_;
  double factor_ = 0;
  uint64_t state_ = 0;
};

}  // namespace incipit::test
