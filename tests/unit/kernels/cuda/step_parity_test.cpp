// Each step of a layer on the device against the double-precision reference, within bounds derived
// from the arithmetic: fp16 activations, exact products with float sums that may truncate, and, in
// steps that expand the weights, weights and results rounded to fp16.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/cuda/large_mixed.h"
#include "kernels/reference/matmul.h"
#include "kernels/reference/steps.h"
#include "tests/support/cuda_layer.h"

namespace incipit::kernels::cuda {
namespace {

constexpr double kU = 0x1p-24;
constexpr double kHalfU = 0x1p-11;

size_t at(int64_t i) {
  return static_cast<size_t>(i);
}
double half_rounding(double value) {
  return kHalfU * value + 0x1p-25;
}

// Steps of more rows expand the weights, in memory or in registers (steps.cpp).
bool expands(const LayerShape& s, int32_t n_rows) {
  const bool is_mixed = s.group == 128 && !s.has_zeros && has_mixed_products();
  return n_rows > (is_mixed ? kFlatRows : 256);
}

// Upper bounds of a row as a product sees it: of the values and of their errors.
struct RowBounds {
  std::vector<double> value;
  std::vector<double> error;
};

// |W| of a matrix, for error bounds of W x.
struct Magnitudes {
  std::vector<double> w;
  int32_t cols;

  Magnitudes(std::vector<double> weights, int32_t n_cols) : w(std::move(weights)), cols(n_cols) {
    for (double& value : w) value = std::fabs(value);
  }
  explicit Magnitudes(const Int4View<CpuTile>& view)
      : Magnitudes(reference::dequantize(view), view.shape.cols) {}

  std::vector<double> errors(const RowBounds& x, bool expanded) const {
    const double relative = (expanded ? kHalfU : 0) + (cols + 64) * 2 * kU;
    std::vector<double> term;
    for (size_t i = 0; i < x.value.size(); ++i) {
      term.push_back(x.error[i] + relative * (x.value[i] + x.error[i]));
    }
    std::vector<double> errors(w.size() / at(cols), 0.0);
    for (size_t row = 0; row < errors.size(); ++row) {
      for (size_t i = 0; i < term.size(); ++i) errors[row] += w[row * at(cols) + i] * term[i];
    }
    return errors;
  }
};

// rmsnorm(x): a factor in float, values in fp16 either before the factor or after it.
RowBounds norm_bounds(const LayerWeights& w, const float* x) {
  const int32_t n = w.shape.hidden;
  double squares = 0;
  for (int32_t i = 0; i < n; ++i) squares += double{x[i]} * x[i];
  const double factor = 1 / std::sqrt(squares / n + w.eps);
  RowBounds bounds;
  for (int32_t i = 0; i < n; ++i) {
    bounds.value.push_back(std::fabs(w.norm[at(i)] * (x[i] * factor)));
    bounds.error.push_back(bounds.value.back() * (kHalfU + (n / 16.0 + 32) * kU) +
                           0x1p-25 * std::max(1.0, factor));
  }
  return bounds;
}

RowBounds exact_bounds(const float* values, int32_t n) {
  RowBounds bounds;
  for (int32_t i = 0; i < n; ++i) bounds.value.push_back(std::fabs(values[i]));
  bounds.error.assign(at(n), 0.0);
  return bounds;
}

void expect_within(const char* what, int32_t row, const float* got, const float* want,
                   const std::vector<double>& bounds) {
  for (size_t i = 0; i < bounds.size(); ++i) {
    ASSERT_LE(std::fabs(double{got[i]} - want[i]), bounds[i])
        << what << " " << i << " of row " << row << ": got " << got[i] << ", want " << want[i]
        << " (NaN: not written)";
  }
}

// x is rounded with each part of the product that is added.
void add_sum_rounding(std::vector<double>& bounds, const float* x, const float* want) {
  for (size_t i = 0; i < bounds.size(); ++i) {
    bounds[i] = 2 * bounds[i] + 8 * kU * (std::fabs(want[i]) + std::fabs(x[i]));
  }
}

class CudaStepParity : public CudaStepTest {};
INSTANTIATE_TEST_SUITE_P(Shapes, CudaStepParity, testing::ValuesIn(kShapes),
                         [](const testing::TestParamInfo<LayerShape>& shape) {
                           return std::string(shape.param.name);
                         });

constexpr int32_t kRowCounts[] = {1, 2, 7, 15, 16, 17, 63, 64, 65, 257};

template <class T>
std::vector<T> head_of(std::vector<T> values, int64_t n) {
  values.resize(at(n));
  return values;
}
std::vector<float> with_padding(std::vector<float> values, int32_t n_rows, int64_t width) {
  values.resize(at(padded_rows(n_rows) * width), 0.5f);
  return values;
}
std::vector<uint16_t> with_padding(std::vector<uint16_t> values, int32_t n_rows, int64_t width) {
  values.resize(at(padded_rows(n_rows) * width), 0x3800);
  return values;
}

TEST_P(CudaStepParity, EmbedGathersRows) {
  SKIP_WITHOUT_CUDA();
  const DeviceLayer layer(w_);
  for (const int32_t n_rows : {1, 15, 65, 257}) {
    StepRun run(layer, w_, batch_of_rows(n_rows), tokens(n_rows));
    run.steps.embed(run.rows.x.data());
    std::vector<float> want = poisoned(int64_t{n_rows} * w_.shape.hidden);
    reference::embed(
        {n_rows, w_.shape.hidden, run.tokens.data(), w_.embedding.data(), want.data(), nullptr});
    EXPECT_EQ(head_of(run.rows.x.read(), n_rows * w_.shape.hidden), want);
  }
}

// One row of q, k and v against the reference.
struct QkvRow {
  const LayerWeights& w;
  int32_t row, position, sequence;
  const std::vector<double>& product_error;  // [qkv_width]
  double product_rounding;                   // relative, of the products' results

  // Bound of value d of a head that starts at `first` of the product; a turn keeps a^2 + b^2, so
  // |a| + |b| of the result bounds both inputs up to the factor sqrt 2.
  template <class HeadValues>
  double rotated_error(int32_t first, int32_t d, const HeadValues& head) const {
    const int32_t head_dim = w.shape.heads.head_dim;
    const int32_t half = head_dim / 2;
    const int32_t pair = (d + half) % head_dim;
    const auto angle = at(position * half + d % half);
    const double magnitude = 1.5 * (std::fabs(head(d)) + std::fabs(head(pair)));
    const double c = std::fabs(w.cos[angle]);
    const double s = std::fabs(w.sin[angle]);
    return c * product_error[at(first + d)] + s * product_error[at(first + pair)] +
           (4 * kU + product_rounding) * (c + s) * magnitude;
  }
  static double to_half(double error, double value) {
    return error + half_rounding(std::fabs(value) + error);
  }

  void expect_q(const float* got, const float* want) const {
    const int32_t head_dim = w.shape.heads.head_dim;
    std::vector<double> bounds;
    for (int32_t i = 0; i < w.shape.q_width(); ++i) {
      const int32_t first = i - i % head_dim;
      const auto value = [&](int32_t d) { return double{want[first + d]}; };
      bounds.push_back(to_half(rotated_error(first, i - first, value), want[i]));
    }
    expect_within("q", row, got, want, bounds);
  }

  // `want` has the reference's keys in the CPU's order, got_k and got_v are CUDA's pages.
  void expect_kv(const std::vector<uint16_t>& got_k, const std::vector<uint16_t>& got_v,
                 const PagedBatch& want, int32_t head) const {
    const int32_t head_dim = w.shape.heads.head_dim;
    const int32_t first_k = w.shape.q_width() + head * head_dim;
    const auto want_k = [&](int32_t d) {
      return double{half_to_float(want.k_pages[want.k_index(sequence, head, position, d)])};
    };
    for (int32_t d = 0; d < head_dim; ++d) {
      const size_t place = want.v_index(sequence, head, position, d);
      const double k_error = to_half(rotated_error(first_k, d, want_k), want_k(d));
      ASSERT_LE(std::fabs(half_to_float(got_k[place]) - want_k(d)),
                k_error + half_rounding(std::fabs(want_k(d))))
          << "k of row " << row << ", head " << head << ", d " << d;
      const double want_v = half_to_float(want.v_pages[place]);
      const double v_error = product_error[at(first_k + w.shape.kv_width() + d)] +
                             product_rounding * std::fabs(want_v);
      ASSERT_LE(std::fabs(half_to_float(got_v[place]) - want_v),
                to_half(v_error, want_v) + half_rounding(std::fabs(want_v)))
          << "v of row " << row << ", head " << head << ", d " << d;
    }
  }
};

// Slots of other tokens must be as they were.
void expect_other_slots_kept(const StepRun& run) {
  std::vector<uint16_t> got[] = {run.rows.k_pages.read(), run.rows.v_pages.read()};
  const std::vector<uint16_t> before[] = {keys_in_cuda_order(run.batch), run.batch.v_pages};
  for (int32_t row = 0; row < run.batch.n_rows(); ++row) {
    for (int32_t head = 0; head < run.batch.heads.n_kv_heads; ++head) {
      for (int32_t d = 0; d < run.batch.heads.head_dim; ++d) {
        const size_t place = run.batch.v_index(run.batch.sequence_of_row[at(row)], head,
                                               run.batch.positions[at(row)], d);
        got[0][place] = before[0][place];
        got[1][place] = before[1][place];
      }
    }
  }
  EXPECT_TRUE(got[0] == before[0]) << "another token's k was written";
  EXPECT_TRUE(got[1] == before[1]) << "another token's v was written";
}

TEST_P(CudaStepParity, QkvRopeAppendMatchesTheReference) {
  SKIP_WITHOUT_CUDA();
  const LayerShape& s = GetParam();
  const DeviceLayer layer(w_);
  const Magnitudes magnitudes(w_.qkv.view);
  for (const int32_t n_rows : kRowCounts) {
    SCOPED_TRACE(n_rows);
    StepRun run(layer, w_, batch_of_rows(n_rows), tokens(n_rows));
    const std::vector<float> x = residual(n_rows);
    run.rows.x.write(with_padding(x, n_rows, s.hidden));
    run.steps.qkv(run.rows.x.data(), run.rows.q.data(), run.rows.kv());
    PagedBatch want = run.batch;
    std::vector<float> want_q = poisoned(int64_t{n_rows} * s.q_width());
    reference::qkv_rope_append(qkv_params(w_, want, x.data(), want_q.data()));
    const std::vector<float> got_q = to_floats(run.rows.q.read());
    const std::vector<uint16_t> got_k = run.rows.k_pages.read();
    const std::vector<uint16_t> got_v = run.rows.v_pages.read();
    for (int32_t row = 0; row < n_rows; ++row) {
      const RowBounds normed = norm_bounds(w_, x.data() + row * s.hidden);
      const std::vector<double> errors = magnitudes.errors(normed, expands(s, n_rows));
      const QkvRow one = {w_,
                          row,
                          want.positions[at(row)],
                          want.sequence_of_row[at(row)],
                          errors,
                          expands(s, n_rows) ? kHalfU : 0};
      one.expect_q(got_q.data() + row * s.q_width(), want_q.data() + row * s.q_width());
      for (int32_t head = 0; head < s.heads.n_kv_heads; ++head) {
        one.expect_kv(got_k, got_v, want, head);
      }
    }
    expect_other_slots_kept(run);
  }
}

// Bounds of attention: the weights exp(s - max) are off by the error of a score and by fp16, on
// both sides of the division.
TEST_P(CudaStepParity, AttentionMatchesTheReference) {
  SKIP_WITHOUT_CUDA();
  const LayerShape& s = GetParam();
  const DeviceLayer layer(w_);
  for (const int32_t n_rows : kRowCounts) {
    SCOPED_TRACE(n_rows);
    StepRun run(layer, w_, batch_of_rows(n_rows), tokens(n_rows));
    const std::vector<uint16_t> q = random_halves(int64_t{n_rows} * s.q_width(), 1.0f, random_);
    run.rows.q.write(with_padding(q, n_rows, s.q_width()));
    run.steps.attention(run.rows.q.data(), run.rows.kv(), run.rows.attention.data());
    const std::vector<float> q_floats = to_floats(q);
    std::vector<float> want = poisoned(int64_t{n_rows} * s.q_width());
    reference::attention(attention_params(w_, run.batch, q_floats.data(), want.data()));
    const std::vector<float> got = to_floats(run.rows.attention.read());
    // Scores: |q| |k| / sqrt(head_dim) is at most about 6 sqrt(head_dim) for these inputs, values
    // at most 6.
    const double score = 6 * std::sqrt(s.heads.head_dim);
    const double weight = 2 * score * (s.heads.head_dim + 8) * 2 * kU + 2 * kHalfU + 400 * kU;
    for (size_t i = 0; i < want.size(); ++i) {
      ASSERT_LE(std::fabs(double{got[i]} - want[i]),
                weight * 6 + half_rounding(std::fabs(want[i]) + weight * 6))
          << "value " << i % at(s.q_width()) << " of row " << i / at(s.q_width());
    }
  }
}

TEST_P(CudaStepParity, OutProjAddMatchesTheReference) {
  SKIP_WITHOUT_CUDA();
  const LayerShape& s = GetParam();
  const DeviceLayer layer(w_);
  const Magnitudes magnitudes(w_.out.view);
  for (const int32_t n_rows : kRowCounts) {
    SCOPED_TRACE(n_rows);
    StepRun run(layer, w_, batch_of_rows(n_rows), tokens(n_rows));
    const std::vector<uint16_t> halves = to_halves(random_rows(n_rows, s.q_width(), random_));
    const std::vector<float> attention = to_floats(halves);
    const std::vector<float> x = residual(n_rows);
    run.rows.attention.write(with_padding(halves, n_rows, s.q_width()));
    run.rows.x.write(with_padding(x, n_rows, s.hidden));
    run.steps.out_proj(run.rows.attention.data(), run.rows.x.data());
    std::vector<float> want = x;
    reference::out_proj_add(out_proj_params(w_, n_rows, attention.data(), want.data()));
    const std::vector<float> got = run.rows.x.read();
    for (int32_t row = 0; row < n_rows; ++row) {
      const RowBounds input = exact_bounds(attention.data() + row * s.q_width(), s.q_width());
      std::vector<double> bounds = magnitudes.errors(input, expands(s, n_rows));
      add_sum_rounding(bounds, x.data() + row * s.hidden, want.data() + row * s.hidden);
      expect_within("x", row, got.data() + row * s.hidden, want.data() + row * s.hidden, bounds);
    }
  }
}

// Bounds of silu(gate) up in fp16 for gate and up off by errors: silu' < 1.1.
RowBounds activation_bounds(const std::vector<double>& gate_up, const std::vector<double>& errors,
                            bool expanded) {
  RowBounds bounds;
  const size_t ffn = gate_up.size() / 2;
  const auto error_of = [&](size_t i) {
    const double rounding = expanded ? half_rounding(std::fabs(gate_up[i]) + errors[i]) : 0;
    return errors[i] + rounding;
  };
  for (size_t i = 0; i < ffn; ++i) {
    const double gate = gate_up[i];
    const double up = gate_up[ffn + i];
    const double silu = gate / (1 + std::exp(-gate));
    const double own = (std::fabs(gate) * 1.2 + 16) * 2 * kU;  // of __expf, and the division
    const double error = 1.1 * error_of(i) * (std::fabs(up) + error_of(ffn + i)) +
                         std::fabs(silu) * error_of(ffn + i) + own * std::fabs(silu * up);
    bounds.value.push_back(std::fabs(silu * up));
    bounds.error.push_back(error + half_rounding(bounds.value.back() + error));
  }
  return bounds;
}

TEST_P(CudaStepParity, MlpAddMatchesTheReference) {
  SKIP_WITHOUT_CUDA();
  const LayerShape& s = GetParam();
  const DeviceLayer layer(w_);
  const std::vector<double> gate_up = reference::dequantize(w_.gate_up.view);
  const Magnitudes gate_up_magnitudes(w_.gate_up.view);
  const Magnitudes down_magnitudes(w_.down.view);
  for (const int32_t n_rows : {1, 15, 16, 17, 64, 65, 257}) {
    SCOPED_TRACE(n_rows);
    StepRun run(layer, w_, batch_of_rows(n_rows), tokens(n_rows));
    const std::vector<float> x = residual(n_rows);
    run.rows.x.write(with_padding(x, n_rows, s.hidden));
    run.steps.mlp(run.rows.x.data());
    std::vector<float> want = x;
    reference::mlp_add(mlp_params(w_, n_rows, want.data()));
    const std::vector<float> got = run.rows.x.read();
    const int32_t step = n_rows > 100 ? 16 : 1;  // bounds are slow
    for (int32_t row = 0; row < n_rows; row += step) {
      const RowBounds normed = norm_bounds(w_, x.data() + row * s.hidden);
      std::vector<float> signed_norm;
      for (int32_t i = 0; i < s.hidden; ++i) {
        signed_norm.push_back(
            static_cast<float>(std::copysign(normed.value[at(i)], x[at(row * s.hidden + i)])));
      }
      const std::vector<double> activations =
          reference::matmul(gate_up, 2 * s.ffn, s.hidden, signed_norm.data(), s.hidden, 1);
      const bool expanded = expands(s, n_rows);
      std::vector<double> bounds = down_magnitudes.errors(
          activation_bounds(activations, gate_up_magnitudes.errors(normed, expanded), expanded),
          expanded);
      add_sum_rounding(bounds, x.data() + row * s.hidden, want.data() + row * s.hidden);
      expect_within("x", row, got.data() + row * s.hidden, want.data() + row * s.hidden, bounds);
    }
  }
}

TEST_P(CudaStepParity, LmHeadMatchesTheReferenceForInt8AndF16) {
  SKIP_WITHOUT_CUDA();
  const LayerShape& s = GetParam();
  const DeviceLayer layer(w_);
  for (const int32_t n_rows : {10, 70}) {
    const std::vector<int32_t> rows = {0, 3, 4, 9};
    const auto n = static_cast<int64_t>(rows.size());
    StepRun run(layer, w_, batch_of_rows(n_rows), tokens(n_rows), rows);
    const std::vector<float> x = residual(n_rows);
    run.rows.x.write(with_padding(x, n_rows, s.hidden));
    for (const Head head : {Head::kInt8, Head::kF16}) {
      const Magnitudes magnitudes(
          head == Head::kInt8 ? reference::dequantize(w_.head.view)
                              : reference::dequantize_f16(w_.head_f16.data(), s.vocab, s.hidden),
          s.hidden);
      std::vector<float> want_normed = poisoned(n * s.hidden);
      std::vector<float> want = poisoned(n * s.vocab);
      reference::lm_head(head_params(w_, head, rows, x.data(), want_normed.data(), want.data()));
      const DeviceArray<float> normed(n * s.hidden);
      const DeviceArray<float> logits(n * s.vocab);
      run.steps.lm_head(head, run.shape.n_logit_rows, run.rows.x.data(), normed.data(),
                        logits.data());
      const std::vector<float> got_normed = normed.read();
      const std::vector<float> got = logits.read();
      for (int32_t row = 0; row < n; ++row) {
        const RowBounds input = norm_bounds(w_, x.data() + rows[at(row)] * s.hidden);
        expect_within("norm", row, got_normed.data() + row * s.hidden,
                      want_normed.data() + row * s.hidden, input.error);
        expect_within("logit", row, got.data() + row * s.vocab, want.data() + row * s.vocab,
                      magnitudes.errors(input, false));
      }
    }
  }
}

}  // namespace
}  // namespace incipit::kernels::cuda
