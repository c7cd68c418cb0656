#include "kernels/reference/steps.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/common/half.h"
#include "kernels/reference/matmul.h"

namespace incipit::kernels::reference {

namespace {

using Row = std::vector<double>;

constexpr double kLargestHalf = 65504;

size_t at(int64_t i) {
  return static_cast<size_t>(i);
}

Row rms_norm(const float* x, const float* weight, float eps, int32_t n) {
  double squares = 0;
  for (int32_t i = 0; i < n; ++i) squares += double{x[i]} * x[i];
  const double factor = 1 / std::sqrt(squares / n + eps);
  Row normed(at(n));
  for (int32_t i = 0; i < n; ++i) normed[at(i)] = weight[i] * (x[i] * factor);
  return normed;
}

// A matrix in plain order, [rows, x.size()]: rows first .. first + n - 1 of W x.
Row multiply(const std::vector<double>& w, int64_t first, int32_t n, const Row& x) {
  Row y(at(n), 0.0);
  for (int32_t row = 0; row < n; ++row) {
    const double* const weights = w.data() + (first + row) * static_cast<int64_t>(x.size());
    for (size_t col = 0; col < x.size(); ++col) y[at(row)] += weights[col] * x[col];
  }
  return y;
}

void rotate(double* head, const float* cos, const float* sin, int32_t head_dim) {
  const int32_t half = head_dim / 2;
  for (int32_t i = 0; i < half; ++i) {
    const double a = head[i];
    const double b = head[i + half];
    head[i] = a * cos[i] - b * sin[i];
    head[i + half] = b * cos[i] + a * sin[i];
  }
}

uint16_t to_page(double value) {
  return float_to_half(static_cast<float>(std::clamp(value, -kLargestHalf, kLargestHalf)));
}

int32_t page_of(const RowBatch& rows, int32_t row, int32_t position) {
  return rows.page_tables[int64_t{rows.sequence_of_row[row]} * rows.page_table_stride +
                          position / kPageTokens];
}

int64_t k_index(const HeadShape& heads, int32_t page, int32_t kv_head, int32_t position,
                int32_t d) {
  const int64_t head = int64_t{page} * heads.n_kv_heads + kv_head;
  return (head * heads.head_dim + d) * kPageTokens + position % kPageTokens;
}

int64_t v_index(const HeadShape& heads, int32_t page, int32_t kv_head, int32_t position,
                int32_t d) {
  const int64_t head = int64_t{page} * heads.n_kv_heads + kv_head;
  return (head * kPageTokens + position % kPageTokens) * heads.head_dim + d;
}

double silu(double x) {
  return x / (1 + std::exp(-x));
}

// One query head of one row.
void attend(const AttentionParams& params, int32_t row, int32_t head) {
  const HeadShape& heads = params.heads;
  const int32_t kv_head = head / (heads.n_heads / heads.n_kv_heads);
  const int64_t offset = (int64_t{row} * heads.n_heads + head) * heads.head_dim;
  const int32_t n_tokens = params.rows.positions[row] + 1;
  Row weights(at(n_tokens), 0.0);
  for (int32_t t = 0; t < n_tokens; ++t) {
    const int32_t page = page_of(params.rows, row, t);
    double dot = 0;
    for (int32_t d = 0; d < heads.head_dim; ++d) {
      dot += double{params.q[offset + d]} *
             half_to_float(params.kv.k_pages[k_index(heads, page, kv_head, t, d)]);
    }
    weights[at(t)] = dot * params.scale;
  }
  const double largest = *std::max_element(weights.begin(), weights.end());
  for (double& weight : weights) weight = std::exp(weight - largest);
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  Row out(at(heads.head_dim), 0.0);
  for (int32_t t = 0; t < n_tokens; ++t) {
    const int32_t page = page_of(params.rows, row, t);
    for (int32_t d = 0; d < heads.head_dim; ++d) {
      out[at(d)] +=
          weights[at(t)] * half_to_float(params.kv.v_pages[v_index(heads, page, kv_head, t, d)]);
    }
  }
  for (int32_t d = 0; d < heads.head_dim; ++d) {
    params.out[offset + d] = static_cast<float>(out[at(d)] / sum);
  }
}

}  // namespace

void embed(const EmbedParams& params) {
  for (int32_t row = 0; row < params.n_rows; ++row) {
    for (int32_t i = 0; i < params.hidden; ++i) {
      params.x[int64_t{row} * params.hidden + i] =
          half_to_float(params.table[int64_t{params.token_ids[row]} * params.hidden + i]);
    }
  }
}

void qkv_rope_append(const QkvRopeAppendParams<CpuTile>& params) {
  const HeadShape& heads = params.heads;
  const int32_t q_width = heads.n_heads * heads.head_dim;
  const int32_t kv_width = heads.n_kv_heads * heads.head_dim;
  const std::vector<double> w = dequantize(params.w_qkv);
  for (int32_t row = 0; row < params.rows.n_rows; ++row) {
    const int32_t position = params.rows.positions[row];
    const int32_t page = page_of(params.rows, row, position);
    const float* const cos = params.rope_cos + int64_t{position} * (heads.head_dim / 2);
    const float* const sin = params.rope_sin + int64_t{position} * (heads.head_dim / 2);
    const Row normed = rms_norm(params.x + int64_t{row} * params.hidden, params.norm_weight,
                                params.norm_eps, params.hidden);
    Row q = multiply(w, 0, q_width, normed);
    Row k = multiply(w, q_width, kv_width, normed);
    const Row v = multiply(w, q_width + kv_width, kv_width, normed);
    for (int32_t head = 0; head < heads.n_heads; ++head) {
      rotate(q.data() + head * heads.head_dim, cos, sin, heads.head_dim);
    }
    for (int32_t i = 0; i < q_width; ++i) {
      params.q[int64_t{row} * q_width + i] = static_cast<float>(q[at(i)]);
    }
    for (int32_t head = 0; head < heads.n_kv_heads; ++head) {
      rotate(k.data() + head * heads.head_dim, cos, sin, heads.head_dim);
      for (int32_t d = 0; d < heads.head_dim; ++d) {
        const size_t i = at(head * heads.head_dim + d);
        params.kv.k_pages[k_index(heads, page, head, position, d)] = to_page(k[i]);
        params.kv.v_pages[v_index(heads, page, head, position, d)] = to_page(v[i]);
      }
    }
  }
}

void attention(const AttentionParams& params) {
  for (int32_t row = 0; row < params.rows.n_rows; ++row) {
    for (int32_t head = 0; head < params.heads.n_heads; ++head) attend(params, row, head);
  }
}

void out_proj_add(const OutProjAddParams<CpuTile>& params) {
  const std::vector<double> w = dequantize(params.w_out);
  for (int32_t row = 0; row < params.n_rows; ++row) {
    const float* const attention = params.attention + int64_t{row} * params.attention_dim;
    const Row y = multiply(w, 0, params.hidden, Row(attention, attention + params.attention_dim));
    float* const x = params.x + int64_t{row} * params.hidden;
    for (int32_t i = 0; i < params.hidden; ++i) x[i] = static_cast<float>(x[i] + y[at(i)]);
  }
}

void mlp_add(const MlpAddParams<CpuTile>& params) {
  const std::vector<double> gate_up = dequantize(params.w_gate_up);
  const std::vector<double> down = dequantize(params.w_down);
  for (int32_t row = 0; row < params.n_rows; ++row) {
    float* const x = params.x + int64_t{row} * params.hidden;
    const Row normed = rms_norm(x, params.norm_weight, params.norm_eps, params.hidden);
    Row activated = multiply(gate_up, 0, params.ffn, normed);
    const Row up = multiply(gate_up, params.ffn, params.ffn, normed);
    for (size_t i = 0; i < activated.size(); ++i) activated[i] = silu(activated[i]) * up[i];
    const Row y = multiply(down, 0, params.hidden, activated);
    for (int32_t i = 0; i < params.hidden; ++i) x[i] = static_cast<float>(x[i] + y[at(i)]);
  }
}

void lm_head(const LmHeadParams<CpuTile>& params) {
  const std::vector<double> w = params.w_int8.data != nullptr
                                    ? dequantize(params.w_int8)
                                    : dequantize_f16(params.w_f16, params.vocab, params.hidden);
  for (int32_t row = 0; row < params.n_logit_rows; ++row) {
    const Row normed = rms_norm(params.x + int64_t{params.rows[row]} * params.hidden,
                                params.norm_weight, params.norm_eps, params.hidden);
    for (int32_t i = 0; i < params.hidden; ++i) {
      params.normed[int64_t{row} * params.hidden + i] = static_cast<float>(normed[at(i)]);
    }
    const Row logits = multiply(w, 0, params.vocab, normed);
    for (int32_t token = 0; token < params.vocab; ++token) {
      params.logits[int64_t{row} * params.vocab + token] = static_cast<float>(logits[at(token)]);
    }
  }
}

void top_candidates(const TopCandidatesParams& params) {
  for (int32_t row = 0; row < params.n_logit_rows; ++row) {
    const float* const logits = params.logits + int64_t{row} * params.vocab;
    std::vector<Candidate> all;
    for (int32_t token = 0; token < params.vocab; ++token) {
      all.push_back({token, std::isnan(logits[token]) ? -INFINITY : logits[token]});
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const Candidate& a, const Candidate& b) { return a.logit > b.logit; });
    std::copy_n(all.begin(), params.n_candidates, params.out + int64_t{row} * params.n_candidates);
  }
}

}  // namespace incipit::kernels::reference
