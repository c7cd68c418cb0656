// Compares two models by the distributions of their next tokens. The logits of a large vocabulary
// are never held: the head comes in slices of rows, and sums over the vocabulary run along.
// Loading thread.
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
  // Final hidden states after the last norm, [n, hidden] each, of the full-precision and of the
  // quantised model; next[i] is the token that follows, -1: none. All borrowed.
  QualityMeter(std::span<const float> full, std::span<const float> quantised,
               std::span<const TokenId> next, int32_t hidden, kernels::ThreadPool& pool);

  // Rows first .. first + n - 1 of both heads, [n, hidden] each. In ascending order, all of them.
  void add_rows(int32_t first, int32_t n, const float* full_head, const float* quantised_head);

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

  std::span<const float> full_, quantised_;
  std::span<const TokenId> next_;
  int32_t hidden_;
  kernels::ThreadPool& pool_;
  std::vector<Running> running_;
  std::vector<float> logits_full_, logits_quantised_;  // of a few tokens and one slice
};

}  // namespace incipit::engine
