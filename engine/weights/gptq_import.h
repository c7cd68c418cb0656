// GPTQ linears of a Hugging Face checkpoint as kernels::Int4Matrix. A linear of K inputs and N
// outputs is stored inputs first: qweight int32 [K/8, N], word (r, n) holds inputs 8r .. 8r+7 in
// nibbles 0..7; qzeros int32 [G, N/8], word (g, c) holds outputs 8c .. 8c+7; scales [G, N]; an
// optional g_idx int32 [K] gives the group of each input. w[n][k] = (q - zero) * scale.
// Loading thread only.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "engine/base/result.h"
#include "engine/config/gptq_config.h"
#include "engine/weights/checkpoint.h"
#include "kernels/common/thread_pool.h"
#include "kernels/quant/int4_layout.h"

namespace incipit::engine {

// One linear whose tensors have been checked; borrows from the checkpoint.
struct GptqLinear {
  std::string name;  // "model.layers.0.mlp.up_proj"
  int32_t rows = 0;  // outputs, N
  int32_t cols = 0;  // inputs, K
  GptqConfig config;
  const Tensor* qweight = nullptr;
  const Tensor* qzeros = nullptr;
  const Tensor* scales = nullptr;

  int32_t n_source_groups() const;
};

// Checks presence, types and shapes of the tensors, that inputs are grouped in order (g_idx is
// k / group: no activation reordering), that scales are finite, that a bias is zero. Errors name
// file, tensor, wanted and found.
Result<GptqLinear> find_gptq_linear(const Checkpoint& checkpoint, const std::string& name,
                                    int32_t rows, int32_t cols, const GptqConfig& config);

// All zeros are 8, the middle of the range.
bool is_symmetric(const GptqLinear& linear);

// Asymmetric and stored less one with a stored 15: the zero is 16 here, but some writers let a zero
// of 0 wrap around to it.
bool has_ambiguous_zeros(const GptqLinear& linear);

// The outputs of `parts` (same cols and group) below one another. Zeros are kept when any part is
// asymmetric. A whole-column scale is repeated for groups of 128.
kernels::Int4Matrix import_gptq(std::span<const GptqLinear> parts, kernels::ThreadPool* pool);

// The shape import_gptq() will give.
kernels::Int4Shape imported_shape(std::span<const GptqLinear> parts);

}  // namespace incipit::engine
