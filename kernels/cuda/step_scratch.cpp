#include "kernels/cuda/step_scratch.h"

#include <algorithm>

#include "kernels/common/math.h"
#include "kernels/cuda/top_candidates.h"

namespace incipit::kernels::cuda {

namespace {

constexpr int64_t kHalfBytes = 2;
constexpr int64_t kFloatBytes = sizeof(float);
constexpr int64_t kAlignment = 256;

// Up to here expanding all weights for cuBLAS takes longer than flat products by turns
// (tests/bench/lab/prefill_lab.cpp: 11.5 ms at any size); mixed products do not.
constexpr int32_t kRowsByTurns = 256;
constexpr int32_t kMixedRowsByTurns = kFlatRows;

LargeLimits large_limits(const CudaStepLimits& limits) {
  return {limits.max_rows,
          limits.hidden,
          limits.ffn,
          qkv_width(limits.heads),
          attention_width(limits.heads),
          limits.has_mixed_shapes,
          limits.find_cublas};
}

// All of them where nothing else can run: slower, and as correct.
int32_t rows_by_turns(const CudaStepLimits& limits) {
  const LargeLimits large = large_limits(limits);
  if (LargeMatmul::is_mixed(large)) return kMixedRowsByTurns;
  if (limits.max_rows <= kRowsByTurns || LargeMatmul::can_run(large)) return kRowsByTurns;
  return limits.max_rows;
}

}  // namespace

CudaSteps::Scratch::Scratch(const CudaStepLimits& limits)
    : flat_layout(limits, std::min(limits.max_rows, kFlatRows)),
      large_layout(limits, limits.max_rows),
      attention_limits(cuda::attention_limits(limits, limits.max_rows)),
      max_rows_by_turns(rows_by_turns(limits)) {
  const int64_t n_rows = limits.max_rows;
  const int64_t n_by_turns = std::min<int64_t>(n_rows, max_rows_by_turns);
  const int64_t input_bytes = round_up(std::max(flat_layout.size, large_layout.size), kAlignment);
  for (Staging& s : staging) s = {PinnedBuffer::allocate(input_bytes), make_event()};
  inputs = DeviceBuffer::allocate(input_bytes);
  attention = DeviceBuffer::allocate(attention_scratch_bytes(attention_limits));
  normed_values = DeviceBuffer::allocate(n_rows * limits.hidden * kHalfBytes);
  square_sums = DeviceBuffer::allocate(n_rows * limits.hidden / 16 * kFloatBytes);
  act = DeviceBuffer::allocate(n_by_turns * limits.ffn * kHalfBytes);
  const FlatScratchSize flat =
      flat_scratch_size(limits.hidden, limits.ffn, limits.heads, limits.vocab);
  partial_sums = DeviceBuffer::allocate(flat.partial_sum_bytes);
  counters = DeviceBuffer::allocate(flat.counter_bytes);
  candidate_lists =
      DeviceBuffer::allocate(top_candidates_scratch_bytes(limits.max_logit_rows, limits.vocab));
  if (limits.kv_type == KvType::kInt8)
    kv_staging = std::make_unique<KvStaging>(limits.heads, limits.max_pages);
  if (n_rows > kFlatRows) {
    kept_x = DeviceBuffer::allocate(int64_t{kFlatRows} * limits.hidden * kFloatBytes);
    kept_q =
        DeviceBuffer::allocate(int64_t{kFlatRows} * attention_width(limits.heads) * kHalfBytes);
  }
  if (n_rows > max_rows_by_turns) {
    qkv = DeviceBuffer::allocate(n_rows * qkv_width(limits.heads) * kHalfBytes);
    matmul = std::make_unique<LargeMatmul>(large_limits(limits));
  }
}

bool CudaSteps::Scratch::lacks_cublas() const {
  return max_rows_by_turns > kRowsByTurns;
}

int64_t CudaSteps::Scratch::size_bytes() const {
  int64_t bytes = matmul != nullptr ? matmul->scratch_bytes() : 0;
  if (kv_staging != nullptr) bytes += kv_staging->size_bytes();
  for (const DeviceBuffer* buffer :
       {&inputs, &attention, &normed_values, &square_sums, &act, &partial_sums, &counters,
        &candidate_lists, &qkv, &kept_x, &kept_q}) {
    bytes += buffer->size_bytes();
  }
  return bytes;
}

}  // namespace incipit::kernels::cuda
