// The inputs of a step as they lie in memory, the same in pinned staging and on the device, so that
// one copy brings them, and the writer that puts them there. Plain C++; engine thread. Part of
// CudaSteps (kernels/cuda/steps.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/steps.h"

namespace incipit::kernels::cuda {

inline AttentionLimits attention_limits(const CudaStepLimits& limits, int32_t max_rows) {
  return {limits.heads, max_rows, limits.max_sequences, limits.max_pages * kPageTokens};
}

// Places of the inputs of a step. A copy goes from the first page table in use (tables stand at the
// end of their place) to the last embedding. Flat steps always have the same places, whatever their
// size.
struct InputLayout {
  int64_t tables = 0;
  int64_t positions = 0;
  int64_t sequences = 0;
  int64_t logit_rows = 0;
  int64_t plan = 0;
  // For the rows with logits alone, in large steps.
  int64_t kept_positions = 0;
  int64_t kept_sequences = 0;
  int64_t kept_order = 0;  // 0, 1, 2, ...
  int64_t kept_plan = 0;
  int64_t embeddings = 0;
  int64_t size = 0;

  InputLayout(const CudaStepLimits& limits, int32_t max_rows);
};

// Writes the inputs of a step to staging memory.
class InputWriter {
 public:
  // All are borrowed. The limits are padded ones.
  InputWriter(const CudaStepLimits& limits, const InputLayout& layout, const HostStep& step,
              std::byte* to);

  // Bytes before the first page table in use.
  int64_t unused_bytes() const;

  // Rows, logit rows and kept rows (those with logits, as a batch of their own) go up to n_padded.
  void write_tables() const;
  AttentionBounds write_rows(int32_t n_padded) const;
  void write_logit_rows(int32_t n_padded) const;
  AttentionBounds write_kept_rows(int32_t n_padded) const;
  void write_embeddings(int32_t n_padded) const;  // padding is zero

 private:
  int32_t* ints(int64_t offset) const { return reinterpret_cast<int32_t*>(to_ + offset); }
  int32_t logit_row(int32_t i) const;
  // row -1: padding.
  void write_row(int32_t row, int32_t* position, int32_t* sequence) const;
  AttentionBounds plan(int32_t n_rows, const int32_t* positions, const int32_t* sequences,
                       int64_t offset) const;

  const CudaStepLimits& limits_;
  const InputLayout& layout_;
  const HostStep& step_;
  std::byte* to_;
  int32_t n_sequences_ = 0;
};

}  // namespace incipit::kernels::cuda
