// The memory that one step works in: what the step is about (written by the host each step) and the
// values between the fused steps. One buffer of the backend, taken once for the largest step, so
// that the addresses never change (a captured graph may keep them).
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

template <class Buffer>
struct Activations {
  // Inputs of a step.
  int32_t* token_ids = nullptr;        // [max_rows]
  int32_t* positions = nullptr;        // [max_rows]
  int32_t* sequence_of_row = nullptr;  // [max_rows]
  int32_t* page_tables = nullptr;      // [max_sequences, max_pages], filled with the step's stride
  int32_t* logit_rows = nullptr;       // [max_logit_rows]
  // Values.
  float* x = nullptr;                        // [max_rows, hidden], the residual stream
  float* q = nullptr;                        // [max_rows, n_heads * head_dim]
  float* attention = nullptr;                // [max_rows, n_heads * head_dim]
  float* normed = nullptr;                   // [max_logit_rows, hidden]
  float* logits = nullptr;                   // [max_logit_rows, vocab]
  kernels::Candidate* candidates = nullptr;  // [max_logit_rows, n_candidates]
  int32_t n_candidates = 0;

  static Result<Activations> create(const ModelConfig& config, const StepCapacity& capacity) {
    Activations a;
    a.n_candidates = std::min(kMaxCandidates, config.vocab);
    ASSIGN_OR_RETURN(a.buffer_, Buffer::allocate(a.lay_out(config, capacity, nullptr)));
    a.lay_out(config, capacity, a.buffer_.data());
    return a;
  }

  int64_t size_bytes() const { return buffer_.size_bytes(); }

 private:
  // Places the arrays one after another from `base`, 64-byte aligned; returns what they take.
  int64_t lay_out(const ModelConfig& config, const StepCapacity& capacity, std::byte* base) {
    int64_t at = 0;
    const auto place = [&]<class T>(T*& array, int64_t n) {
      if (base != nullptr) array = reinterpret_cast<T*>(base + at);
      at += kernels::round_up(n * static_cast<int64_t>(sizeof(T)), 64);
    };
    const int64_t rows = capacity.max_rows;
    const int64_t logit_rows_n = capacity.max_logit_rows;
    place(token_ids, rows);
    place(positions, rows);
    place(sequence_of_row, rows);
    place(page_tables, int64_t{capacity.max_sequences} * capacity.max_pages);
    place(logit_rows, logit_rows_n);
    place(x, rows * config.hidden);
    place(q, rows * config.attention_dim());
    place(attention, rows * config.attention_dim());
    place(normed, logit_rows_n * config.hidden);
    place(logits, logit_rows_n * config.vocab);
    place(candidates, logit_rows_n * n_candidates);
    return at;
  }

  Buffer buffer_;
};

}  // namespace incipit::engine
