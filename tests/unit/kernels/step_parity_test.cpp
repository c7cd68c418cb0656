// Each step of a layer on the CPU against the double-precision reference, on every instruction set
// of this machine, within bounds derived from the arithmetic. (Attention has a test of its own.)
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/cpu/quantized_rows.h"
#include "kernels/cpu/steps.h"
#include "kernels/reference/matmul.h"
#include "kernels/reference/steps.h"
#include "tests/support/layer_fixture.h"

namespace incipit::kernels {
namespace {

constexpr double kRoundOff = 0x1p-24;
constexpr double kExpError = 0x1p-22;

// Upper bounds of a row as a matrix product sees them: of the values and of their errors.
struct RowBounds {
  std::vector<double> value;
  std::vector<double> error;
};

double largest(const std::vector<double>& values, size_t begin, size_t end) {
  return *std::max_element(values.begin() + static_cast<int64_t>(begin),
                           values.begin() + static_cast<int64_t>(std::min(end, values.size())));
}

// Sums of |w| over the groups of each output: [n_out][n_groups].
struct GroupSums {
  size_t cols, group, n_groups;
  std::vector<double> sum;
};

GroupSums group_sums(const std::vector<double>& weights, int32_t cols, int32_t group) {
  GroupSums sums = {static_cast<size_t>(cols),
                    static_cast<size_t>(group),
                    static_cast<size_t>(ceil_div(cols, group)),
                    {}};
  sums.sum.assign(weights.size() / sums.cols * sums.n_groups, 0.0);
  for (size_t i = 0; i < weights.size(); ++i) {
    sums.sum[i / sums.cols * sums.n_groups + i % sums.cols / sums.group] += std::fabs(weights[i]);
  }
  return sums;
}

// Error bounds of W x for activations x quantised with 15 bits a group (quantized_rows.h): half a
// step and the rounding of scale and its inverse for each activation, whatever error came in, and
// float sums over the groups.
std::vector<double> product_errors(const GroupSums& weights, const RowBounds& x) {
  std::vector<double> activation_error;  // of any value of a group
  const double relative = (0.5 + 3 * kRoundOff * kQuantMax) / kQuantMax +
                          (static_cast<double>(weights.n_groups) + 5) * kRoundOff;
  for (size_t begin = 0; begin < weights.cols; begin += weights.group) {
    const double incoming = largest(x.error, begin, begin + weights.group);
    const double absmax = largest(x.value, begin, begin + weights.group) + incoming;
    activation_error.push_back(absmax * relative + incoming);
  }
  std::vector<double> errors(weights.sum.size() / weights.n_groups, 0.0);
  for (size_t i = 0; i < weights.sum.size(); ++i) {
    errors[i / weights.n_groups] += weights.sum[i] * activation_error[i % weights.n_groups];
  }
  return errors;
}

// fp16 weights times float activations, `cols` fused additions.
std::vector<double> f16_product_errors(const std::vector<double>& weights, const RowBounds& x) {
  const size_t cols = x.value.size();
  std::vector<double> errors;
  for (size_t row = 0; row < weights.size() / cols; ++row) {
    double error = 0;
    for (size_t col = 0; col < cols; ++col) {
      error += std::fabs(weights[row * cols + col]) *
               (x.error[col] + (static_cast<double>(cols) + 2) * kRoundOff * x.value[col]);
    }
    errors.push_back(error);
  }
  return errors;
}

RowBounds norm_bounds(const LayerWeights& w, const float* x) {
  const int32_t n = w.shape.hidden;
  double squares = 0;
  for (int32_t i = 0; i < n; ++i) squares += double{x[i]} * x[i];
  const double factor = 1 / std::sqrt(squares / n + w.eps);
  const double relative = ((n / 64.0 + 8) / 2 + 6) * kRoundOff;  // see elementwise_test
  RowBounds bounds;
  for (int32_t i = 0; i < n; ++i) {
    bounds.value.push_back(std::fabs(w.norm[static_cast<size_t>(i)] * (x[i] * factor)));
    bounds.error.push_back(bounds.value.back() * relative);
  }
  return bounds;
}

void expect_within(Isa isa, const char* what, int32_t row, const float* got, const float* want,
                   const std::vector<double>& bounds) {
  for (size_t i = 0; i < bounds.size(); ++i) {
    ASSERT_LE(std::fabs(double{got[i]} - want[i]), bounds[i])
        << name_of(isa) << ": " << what << " " << i << " of row " << row << ": got " << got[i]
        << ", want " << want[i] << " (NaN: not written)";
  }
}

const LayerShape kOddShape = {"Odd", 576, 352, 333, {9, 3, 64}, 128, false};
const LayerShape kWideHeads = {"WideHeads", 128, 96, 64, {4, 1, 128}, 32, true};

// The sum with the residual stream is rounded here and in the reference.
void add_sum_rounding(std::vector<double>& bounds, const float* want) {
  for (size_t i = 0; i < bounds.size(); ++i) {
    bounds[i] = bounds[i] * (1 + kRoundOff) + 2 * kRoundOff * std::fabs(want[i]);
  }
}

class StepParity : public testing::TestWithParam<LayerShape> {
 protected:
  StepParity() : random_(test_seed()), w_(make_weights(GetParam(), 400, random_)) {}

  CpuSteps steps(Isa isa, int32_t n_rows) {
    const LayerShape& s = GetParam();
    return CpuSteps(isa, pool_, {n_rows, n_rows, s.hidden, s.ffn, s.vocab, s.heads});
  }
  std::vector<float> residual(int32_t n_rows) {
    return random_rows(n_rows, GetParam().hidden, random_);
  }

  std::mt19937 random_;
  LayerWeights w_;
  ThreadPool pool_{2};
};

std::string layer_shape_name(const testing::TestParamInfo<LayerShape>& shape) {
  return shape.param.name;
}

INSTANTIATE_TEST_SUITE_P(Shapes, StepParity, testing::Values(kOddShape, kWideHeads),
                         layer_shape_name);

// Rows of two sequences, interleaved, over page edges.
PagedBatch batch_of_rows(const HeadShape& heads, int32_t n_rows, std::mt19937& random) {
  const int32_t first = (n_rows + 1) / 2;
  std::vector<RowRun> runs = {{1, 13, first}};
  if (n_rows > first) runs.push_back({0, 0, n_rows - first});
  return make_batch(heads, runs, random);
}

TEST_P(StepParity, EmbedGathersRows) {
  const LayerShape& s = GetParam();
  for (const int32_t n_rows : {1, 2, 65}) {
    std::vector<int32_t> tokens;
    for (int32_t i = 0; i < n_rows; ++i) tokens.push_back(static_cast<int32_t>(random_()) & 63);
    tokens[0] = s.vocab - 1;
    std::vector<float> want = poisoned(int64_t{n_rows} * s.hidden);
    reference::embed({n_rows, s.hidden, tokens.data(), w_.embedding.data(), want.data()});
    for (const Isa isa : isas_of_this_machine()) {
      std::vector<float> got = poisoned(int64_t{n_rows} * s.hidden);
      steps(isa, n_rows).embed({n_rows, s.hidden, tokens.data(), w_.embedding.data(), got.data()});
      EXPECT_EQ(got, want) << name_of(isa);
    }
  }
}

// Half a unit of fp16 on either side, and an error before.
double half_error(double error, double value) {
  return error + 0x1p-10 * (std::fabs(value) + error) + 0x1p-24;
}

// One row of qkv_rope_append on one ISA against the reference.
struct QkvRow {
  const LayerWeights& w;
  Isa isa;
  int32_t row, position, sequence;
  const std::vector<double>& product_error;  // of the fused product, [qkv_width]

  // Bound of value d of a head that starts at `first` of the product, whose exact rotated values
  // are head[0 .. head_dim): a turn keeps a^2 + b^2, so |a| + |b| of the result bounds both inputs
  // up to the factor sqrt 2.
  template <class Head>
  double rotated_error(int32_t first, int32_t d, const Head& head) const {
    const int32_t head_dim = w.shape.heads.head_dim;
    const int32_t half = head_dim / 2;
    const int32_t pair = (d + half) % head_dim;
    const auto angle = static_cast<size_t>(position * half + d % half);
    const double magnitude = 1.5 * (std::fabs(head(d)) + std::fabs(head(pair)));
    const double c = std::fabs(w.cos[angle]);
    const double s = std::fabs(w.sin[angle]);
    return c * product_error[static_cast<size_t>(first + d)] +
           s * product_error[static_cast<size_t>(first + pair)] +
           3 * kRoundOff * (c + s) * magnitude;
  }

  void expect_q(const float* got, const float* want) const {
    const int32_t head_dim = w.shape.heads.head_dim;
    std::vector<double> bounds;
    for (int32_t i = 0; i < w.shape.q_width(); ++i) {
      const int32_t first = i - i % head_dim;
      bounds.push_back(
          rotated_error(first, i - first, [&](int32_t d) { return double{want[first + d]}; }));
    }
    expect_within(isa, "q", row, got, want, bounds);
  }

  void expect_kv(const PagedBatch& got, const PagedBatch& want, int32_t head) const {
    const int32_t head_dim = w.shape.heads.head_dim;
    const int32_t first_k = w.shape.q_width() + head * head_dim;
    const auto want_k = [&](int32_t d) {
      return double{half_to_float(want.k_pages[want.k_index(sequence, head, position, d)])};
    };
    for (int32_t d = 0; d < head_dim; ++d) {
      const double k = half_to_float(got.k_pages[got.k_index(sequence, head, position, d)]);
      ASSERT_LE(std::fabs(k - want_k(d)), half_error(rotated_error(first_k, d, want_k), want_k(d)))
          << name_of(isa) << ": k of row " << row << ", head " << head << ", d " << d << ": got "
          << k << ", want " << want_k(d);
      const size_t v_index = got.v_index(sequence, head, position, d);
      const double v = half_to_float(got.v_pages[v_index]);
      const double want_v = half_to_float(want.v_pages[v_index]);
      const double v_error = product_error[static_cast<size_t>(first_k + w.shape.kv_width() + d)];
      ASSERT_LE(std::fabs(v - want_v), half_error(v_error, want_v))
          << name_of(isa) << ": v of row " << row << ", head " << head << ", d " << d << ": got "
          << v << ", want " << want_v;
    }
  }
};

// Slots of other tokens must be as they were.
void expect_other_slots_kept(const PagedBatch& got, const PagedBatch& before) {
  PagedBatch rest = got;
  for (int32_t row = 0; row < got.n_rows(); ++row) {
    const auto r = static_cast<size_t>(row);
    for (int32_t head = 0; head < got.heads.n_kv_heads; ++head) {
      for (int32_t d = 0; d < got.heads.head_dim; ++d) {
        const size_t k = got.k_index(got.sequence_of_row[r], head, got.positions[r], d);
        const size_t v = got.v_index(got.sequence_of_row[r], head, got.positions[r], d);
        rest.k_pages[k] = before.k_pages[k];
        rest.v_pages[v] = before.v_pages[v];
      }
    }
  }
  EXPECT_TRUE(rest.k_pages == before.k_pages) << "another token's k was written";
  EXPECT_TRUE(rest.v_pages == before.v_pages) << "another token's v was written";
}

TEST_P(StepParity, QkvRopeAppendMatchesTheReference) {
  const LayerShape& s = GetParam();
  const GroupSums sums = group_sums(reference::dequantize(w_.qkv.view), s.hidden, s.group);
  for (const int32_t n_rows : {1, 2, 7, 16, 65}) {
    SCOPED_TRACE(n_rows);
    const PagedBatch initial = batch_of_rows(s.heads, n_rows, random_);
    const std::vector<float> x = residual(n_rows);
    PagedBatch want = initial;
    std::vector<float> want_q = poisoned(int64_t{n_rows} * s.q_width());
    reference::qkv_rope_append(qkv_params(w_, want, x.data(), want_q.data()));
    std::vector<std::vector<double>> errors;
    for (int32_t row = 0; row < n_rows; ++row) {
      const RowBounds normed = norm_bounds(w_, x.data() + row * s.hidden);
      errors.push_back(product_errors(sums, normed));
    }
    for (const Isa isa : isas_of_this_machine()) {
      PagedBatch got = initial;
      std::vector<float> q = poisoned(int64_t{n_rows} * s.q_width());
      steps(isa, n_rows).qkv_rope_append(qkv_params(w_, got, x.data(), q.data()));
      for (int32_t row = 0; row < n_rows; ++row) {
        const auto r = static_cast<size_t>(row);
        const QkvRow one = {w_, isa, row, got.positions[r], got.sequence_of_row[r], errors[r]};
        one.expect_q(q.data() + row * s.q_width(), want_q.data() + row * s.q_width());
        for (int32_t head = 0; head < s.heads.n_kv_heads; ++head) one.expect_kv(got, want, head);
      }
      expect_other_slots_kept(got, initial);
    }
  }
}

TEST_P(StepParity, OutProjAddMatchesTheReference) {
  const LayerShape& s = GetParam();
  const GroupSums sums = group_sums(reference::dequantize(w_.out.view), s.q_width(), s.group);
  for (const int32_t n_rows : {1, 2, 17, 63}) {
    SCOPED_TRACE(n_rows);
    const std::vector<float> attention = random_rows(n_rows, s.q_width(), random_);
    const std::vector<float> x = residual(n_rows);
    std::vector<float> want = x;
    reference::out_proj_add(out_proj_params(w_, n_rows, attention.data(), want.data()));
    std::vector<std::vector<double>> bounds;
    for (int32_t row = 0; row < n_rows; ++row) {
      RowBounds input;
      for (int32_t i = 0; i < s.q_width(); ++i) {
        input.value.push_back(std::fabs(attention[static_cast<size_t>(row * s.q_width() + i)]));
      }
      input.error.assign(input.value.size(), 0.0);
      bounds.push_back(product_errors(sums, input));
      add_sum_rounding(bounds.back(), want.data() + row * s.hidden);
    }
    for (const Isa isa : isas_of_this_machine()) {
      std::vector<float> got = x;
      steps(isa, n_rows).out_proj_add(out_proj_params(w_, n_rows, attention.data(), got.data()));
      for (int32_t row = 0; row < n_rows; ++row) {
        expect_within(isa, "x", row, got.data() + row * s.hidden, want.data() + row * s.hidden,
                      bounds[static_cast<size_t>(row)]);
      }
    }
  }
}

// Bounds of silu(gate) up for gate and up off by errors: silu' < 1.1.
RowBounds activation_bounds(const std::vector<double>& gate_up, const std::vector<double>& errors) {
  RowBounds bounds;
  const size_t ffn = gate_up.size() / 2;
  for (size_t i = 0; i < ffn; ++i) {
    const double gate = gate_up[i];
    const double up = gate_up[ffn + i];
    const double silu = gate / (1 + std::exp(-gate));
    const double own = kExpError + (2 * std::fabs(gate) + 4) * kRoundOff;
    bounds.value.push_back(std::fabs(silu * up));
    bounds.error.push_back(1.1 * errors[i] * (std::fabs(up) + errors[ffn + i]) +
                           std::fabs(silu) * errors[ffn + i] + own * std::fabs(silu * up));
  }
  return bounds;
}

TEST_P(StepParity, MlpAddMatchesTheReference) {
  const LayerShape& s = GetParam();
  const std::vector<double> gate_up = reference::dequantize(w_.gate_up.view);
  const GroupSums gate_up_sums = group_sums(gate_up, s.hidden, s.group);
  const GroupSums down_sums = group_sums(reference::dequantize(w_.down.view), s.ffn, s.group);
  for (const int32_t n_rows : {1, 2, 15, 64}) {
    SCOPED_TRACE(n_rows);
    const std::vector<float> x = residual(n_rows);
    std::vector<float> want = x;
    reference::mlp_add(mlp_params(w_, n_rows, want.data()));
    std::vector<std::vector<double>> bounds;
    for (int32_t row = 0; row < n_rows; ++row) {
      const RowBounds normed = norm_bounds(w_, x.data() + row * s.hidden);
      std::vector<float> signed_norm;
      for (int32_t i = 0; i < s.hidden; ++i) {
        const auto j = static_cast<size_t>(i);
        signed_norm.push_back(static_cast<float>(
            std::copysign(normed.value[j], x[static_cast<size_t>(row * s.hidden + i)])));
      }
      const std::vector<double> activations =
          reference::matmul(gate_up, 2 * s.ffn, s.hidden, signed_norm.data(), s.hidden, 1);
      const RowBounds activated =
          activation_bounds(activations, product_errors(gate_up_sums, normed));
      bounds.push_back(product_errors(down_sums, activated));
      add_sum_rounding(bounds.back(), want.data() + row * s.hidden);
    }
    for (const Isa isa : isas_of_this_machine()) {
      std::vector<float> got = x;
      steps(isa, n_rows).mlp_add(mlp_params(w_, n_rows, got.data()));
      for (int32_t row = 0; row < n_rows; ++row) {
        expect_within(isa, "x", row, got.data() + row * s.hidden, want.data() + row * s.hidden,
                      bounds[static_cast<size_t>(row)]);
      }
    }
  }
}

TEST_P(StepParity, LmHeadMatchesTheReferenceForInt8AndF16) {
  const LayerShape& s = GetParam();
  const std::vector<float> x = residual(10);
  const std::vector<int32_t> rows = {0, 3, 4, 9};
  const auto n = static_cast<int64_t>(rows.size());
  for (const Head head : {Head::kInt8, Head::kF16}) {
    const std::vector<double> weights =
        head == Head::kInt8 ? reference::dequantize(w_.head.view)
                            : reference::dequantize_f16(w_.head_f16.data(), s.vocab, s.hidden);
    const GroupSums sums = group_sums(weights, s.hidden, kInt8HeadGroup);
    std::vector<float> want_normed = poisoned(n * s.hidden);
    std::vector<float> want = poisoned(n * s.vocab);
    reference::lm_head(head_params(w_, head, rows, x.data(), want_normed.data(), want.data()));
    for (const Isa isa : isas_of_this_machine()) {
      std::vector<float> normed = poisoned(n * s.hidden);
      std::vector<float> logits = poisoned(n * s.vocab);
      steps(isa, 4).lm_head(head_params(w_, head, rows, x.data(), normed.data(), logits.data()));
      for (int32_t row = 0; row < n; ++row) {
        RowBounds input = norm_bounds(w_, x.data() + rows[static_cast<size_t>(row)] * s.hidden);
        expect_within(isa, "norm", row, normed.data() + row * s.hidden,
                      want_normed.data() + row * s.hidden, input.error);
        expect_within(
            isa, "logit", row, logits.data() + row * s.vocab, want.data() + row * s.vocab,
            head == Head::kInt8 ? product_errors(sums, input) : f16_product_errors(weights, input));
      }
    }
  }
}

}  // namespace
}  // namespace incipit::kernels
