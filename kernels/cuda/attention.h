// Causal attention over paged keys and values. Pages of the CUDA backend: k and v are both
// [n_pages, n_kv_heads, kPageTokens, head_dim] fp16, or what kernels/quant/kv_int8_layout.h says.
// Launches only; a plain C++ header.
//
// Flat attention (steps of up to kFlatRows rows, any mix of sequences): the result of a row depends
// on its position, its query and its sequence's pages alone, to the bit: keys are cut into chunks
// whose size follows from the row's position, and the chunks' results are merged in order.
// Prefill attention (more rows): the same values within rounding.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/attention_plan.h"
#include "kernels/cuda/launch.h"
#include "kernels/step_params.h"

namespace incipit::kernels::cuda {

// When a dependent launch may read the plan, the positions, the page tables, and the keys and
// values below AttentionItem::n_settled_keys.
enum class StepInputs {
  kAfterWait,  // like everything else, once the kernels before it are done
  // At once. Promises that all of them were complete before the first kernel of the step began:
  // that kernel is launched without LaunchContext::dependent, after the copies and earlier steps.
  kSettled,
};

struct CudaAttentionParams {
  RowBatch rows;  // device pointers; n_rows as planned
  HeadShape heads;
  const uint16_t* q = nullptr;  // [n_rows, n_heads * head_dim] fp16, 16-byte aligned
  KvLayerView kv;
  float scale = 0;                  // 1 / sqrt(head_dim); positive
  uint16_t* out = nullptr;          // [n_rows, n_heads * head_dim] fp16; padding is not written
  const std::byte* plan = nullptr;  // device copy, 16-byte aligned
  AttentionBounds bounds;
  StepInputs inputs = StepInputs::kAfterWait;
};

struct AttentionScratch {
  std::byte* data = nullptr;  // zeroed once; counters in it are zero after each launch
};
int64_t attention_scratch_bytes(const AttentionLimits& limits);

// Raises the shared-memory limits of the kernels for pages of that type; once a device, before the
// first launch.
void prepare_attention(KvType type = KvType::kF16);

void flat_attention(const CudaAttentionParams& params, const AttentionLimits& limits,
                    const AttentionScratch& scratch, const LaunchContext& context);
void prefill_attention(const CudaAttentionParams& params, const AttentionLimits& limits,
                       const AttentionScratch& scratch, const LaunchContext& context);

}  // namespace incipit::kernels::cuda
