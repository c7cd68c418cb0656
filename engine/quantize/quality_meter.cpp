#include "engine/quantize/quality_meter.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace incipit::engine {
namespace {

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

QualityMeter::QualityMeter(std::span<const TokenId> next, kernels::ThreadPool& pool)
    : next_(next), pool_(pool), running_(next.size()) {}

void QualityMeter::add_logits(int32_t first, int32_t n, const float* full, const float* quantised) {
  pool_.parallel_for(static_cast<int64_t>(next_.size()), 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      Running& running = running_[static_cast<size_t>(i)];
      const float* const own_full = full + i * n;
      const float* const own_quantised = quantised + i * n;
      for (int32_t row = 0; row < n; ++row) {
        running.add(first + row, own_full[row], own_quantised[row]);
      }
      const int32_t next = next_[static_cast<size_t>(i)] - first;
      if (next < 0 || next >= n) continue;
      running.next_full = own_full[next];
      running.next_quantised = own_quantised[next];
    }
  });
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
