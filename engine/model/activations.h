// The memory that one step works in: the values between the fused steps. One buffer of the backend,
// taken once for the largest step, so that the addresses never change (a captured graph keeps
// them).
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/base/result.h"
#include "engine/config/model_config.h"
#include "engine/model/model.h"
#include "kernels/common/math.h"
#include "kernels/step_params.h"

namespace incipit::engine {

struct StepCapacity {
  int32_t max_rows = 0;
  int32_t max_logit_rows = 0;
  int32_t max_sequences = 0;
  int32_t max_pages = 0;  // of one sequence
};

template <class B>
struct Activations {
  using Value = kernels::Activation<typename B::WeightLayout>;

  float* x = nullptr;                        // [max_rows, hidden], the residual stream
  Value* q = nullptr;                        // [max_rows, n_heads * head_dim]
  Value* attention = nullptr;                // [max_rows, n_heads * head_dim]
  float* normed = nullptr;                   // [max_logit_rows, hidden]
  float* logits = nullptr;                   // [max_logit_rows, vocab]
  kernels::Candidate* candidates = nullptr;  // [max_logit_rows, n_candidates], readable by the host
  int32_t n_candidates = 0;

  static Result<Activations> create(const ModelConfig& config, const StepCapacity& capacity) {
    Activations a;
    a.n_candidates = std::min(kMaxCandidates, config.vocab);
    ASSIGN_OR_RETURN(a.buffer_, B::Buffer::allocate(a.lay_out(config, capacity, nullptr)));
    a.lay_out(config, capacity, a.buffer_.data());
    const int64_t n = int64_t{capacity.max_logit_rows} * a.n_candidates;
    ASSIGN_OR_RETURN(a.results_,
                     B::HostBuffer::allocate(n * static_cast<int64_t>(sizeof(kernels::Candidate))));
    a.candidates = reinterpret_cast<kernels::Candidate*>(a.results_.data());
    return a;
  }

  // Without memory behind it: what create() would take of the device.
  static int64_t bytes_of(const ModelConfig& config, const StepCapacity& capacity) {
    return Activations().lay_out(config, capacity, nullptr);
  }

 private:
  // Places the arrays one after another from `base`, 64-byte aligned; returns what they take.
  int64_t lay_out(const ModelConfig& config, const StepCapacity& capacity, std::byte* base) {
    int64_t at = 0;
    const auto place = [&]<class T>(T*& array, int64_t n) {
      if (base != nullptr) array = reinterpret_cast<T*>(base + at);
      at += kernels::round_up(n * static_cast<int64_t>(sizeof(T)), 64);
    };
    const int64_t rows = capacity.max_rows;
    const int64_t logit_rows = capacity.max_logit_rows;
    place(x, rows * config.hidden);
    place(q, rows * config.attention_dim());
    place(attention, rows * config.attention_dim());
    place(normed, logit_rows * config.hidden);
    place(logits, logit_rows * config.vocab);
    return at;
  }

  typename B::Buffer buffer_;
  typename B::HostBuffer results_;
};

}  // namespace incipit::engine
