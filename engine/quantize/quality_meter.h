// Compares two models by the distributions of their next tokens. The logits of a large vocabulary
// are never held: they come in slices of the vocabulary, and sums over it run along. Loading
// thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/ids.h"
#include "engine/quantize/quantize_report.h"
#include "kernels/common/thread_pool.h"

namespace incipit::engine {

class QualityMeter {
 public:
  // next[i] is the token that follows token i, -1: none. Borrowed, as is the pool.
  QualityMeter(std::span<const TokenId> next, kernels::ThreadPool& pool);

  // Logits of the vocabulary's first .. first + n - 1 by the full-precision and by the quantised
  // model, [next.size(), n] each. In ascending order, all of them.
  void add_logits(int32_t first, int32_t n, const float* full, const float* quantised);

  QuantizeQuality result() const;

 private:
  // Of one token: sums over the vocabulary so far, relative to the largest logit so far.
  struct Running {
    double largest_full, largest_quantised;
    double sum_full = 0, sum_quantised = 0;  // of exp(logit - largest)
    double sum_difference = 0;               // of exp(full - largest_full) (full - quantised)
    TokenId top_full = -1, top_quantised = -1;
    double next_full = 0, next_quantised = 0;  // logits of the token that follows

    Running();
    void add(TokenId token, float full, float quantised);
  };

  std::span<const TokenId> next_;
  kernels::ThreadPool& pool_;
  std::vector<Running> running_;
};

}  // namespace incipit::engine
