#include "engine/quantize/quality_meter.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/common/check.h"
#include "kernels/cpu/gemm.h"

namespace incipit::engine {
namespace {

constexpr int64_t kTokens = 512;  // whose logits of one slice are held

// Before the first logit; small enough that the first is larger, finite so that nothing is inf-inf.
constexpr double kNoLogit = std::numeric_limits<float>::lowest();

}  // namespace

QualityMeter::Running::Running() : largest_full(kNoLogit), largest_quantised(kNoLogit) {}

void QualityMeter::Running::add(TokenId token, float full, float quantised) {
  if (full > largest_full) {
    const double shrink = std::exp(largest_full - full);
    sum_full *= shrink;
    sum_difference *= shrink;
    largest_full = full;
    top_full = token;
  }
  if (quantised > largest_quantised) {
    sum_quantised *= std::exp(largest_quantised - quantised);
    largest_quantised = quantised;
    top_quantised = token;
  }
  const double weight = std::exp(full - largest_full);
  sum_full += weight;
  sum_difference += weight * (double{full} - quantised);
  sum_quantised += std::exp(quantised - largest_quantised);
}

QualityMeter::QualityMeter(std::span<const float> full, std::span<const float> quantised,
                           std::span<const TokenId> next, int32_t hidden, kernels::ThreadPool& pool)
    : full_(full),
      quantised_(quantised),
      next_(next),
      hidden_(hidden),
      pool_(pool),
      running_(next.size()) {
  CHECK_EQ(full.size(), next.size() * static_cast<size_t>(hidden));
  CHECK_EQ(quantised.size(), full.size());
}

void QualityMeter::add_rows(int32_t first, int32_t n, const float* full_head,
                            const float* quantised_head) {
  const auto n_tokens = static_cast<int64_t>(next_.size());
  for (int64_t begin = 0; begin < n_tokens; begin += kTokens) {
    const int64_t count = std::min(kTokens, n_tokens - begin);
    const auto product = [&](std::span<const float> x, const float* head, std::vector<float>& y) {
      y.resize(static_cast<size_t>(kTokens * n));
      kernels::gemm({.m = count,
                     .n = n,
                     .k = hidden_,
                     .a = kernels::row_major(x.data() + begin * hidden_, hidden_),
                     .b = kernels::transposed(head, hidden_),
                     .c = y.data(),
                     .c_stride = n},
                    pool_);
    };
    product(full_, full_head, logits_full_);
    product(quantised_, quantised_head, logits_quantised_);
    pool_.parallel_for(count, 4, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i) {
        Running& running = running_[static_cast<size_t>(begin + i)];
        const float* const full = logits_full_.data() + i * n;
        const float* const quantised = logits_quantised_.data() + i * n;
        for (int32_t row = 0; row < n; ++row) running.add(first + row, full[row], quantised[row]);
        const int32_t next = next_[static_cast<size_t>(begin + i)] - first;
        if (next < 0 || next >= n) continue;
        running.next_full = full[next];
        running.next_quantised = quantised[next];
      }
    });
  }
}

QuantizeQuality QualityMeter::result() const {
  QuantizeQuality quality;
  int64_t n_followed = 0, n_agreed = 0;
  for (size_t i = 0; i < running_.size(); ++i) {
    const Running& r = running_[i];
    const double log_full = r.largest_full + std::log(r.sum_full);
    const double log_quantised = r.largest_quantised + std::log(r.sum_quantised);
    // sum p (log p - log p') = (sum p (a - a')) - log Z + log Z', a and a' the logits
    quality.kl_divergence += r.sum_difference / r.sum_full - log_full + log_quantised;
    if (r.top_full == r.top_quantised) ++n_agreed;
    if (next_[i] < 0) continue;
    ++n_followed;
    quality.loss_full += log_full - r.next_full;
    quality.loss_quantised += log_quantised - r.next_quantised;
  }
  quality.n_tokens = static_cast<int64_t>(running_.size());
  if (quality.n_tokens == 0) return quality;
  quality.kl_divergence /= static_cast<double>(quality.n_tokens);
  quality.top1_agreement = static_cast<double>(n_agreed) / static_cast<double>(quality.n_tokens);
  if (n_followed > 0) {
    quality.loss_full /= static_cast<double>(n_followed);
    quality.loss_quantised /= static_cast<double>(n_followed);
  }
  return quality;
}

}  // namespace incipit::engine
