// The fused steps of a Llama layer on the CPU. Owned by the CPU model and called on the engine
// thread; the pool's threads share the work. Scratch is taken once, by the limits; no step
// allocates.
//
// The result of a row is bit-identical whatever else is in the batch, for any number of threads and
// on every instruction set: each sum has an order that only the row's position and the model's
// shape decide.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/common/thread_pool.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/elementwise_kernels.h"
#include "kernels/cpu/isa.h"
#include "kernels/step_params.h"

namespace incipit::kernels {

struct StepLimits {
  int32_t max_rows = 0;        // rows of one step
  int32_t max_logit_rows = 0;  // rows of one lm_head
  int32_t hidden = 0;
  int32_t ffn = 0;
  int32_t vocab = 0;
  HeadShape heads;
};

class CpuSteps {
 public:
  // `pool` must outlive the object. `isa` must be supported by this CPU.
  CpuSteps(Isa isa, ThreadPool& pool, const StepLimits& limits);

  void embed(const EmbedParams& params);
  void qkv_rope_append(const QkvRopeAppendParams<CpuTile>& params);
  void attention(const AttentionParams& params);
  void out_proj_add(const OutProjAddParams<CpuTile>& params);
  void mlp_add(const MlpAddParams<CpuTile>& params);
  void lm_head(const LmHeadParams<CpuTile>& params);
  void top_candidates(const TopCandidatesParams& params);

  int64_t scratch_bytes() const { return values_bytes_ + quantized_bytes_; }

 private:
  struct FreeDeleter {
    void operator()(std::byte* memory) const;
  };
  using Scratch = std::unique_ptr<std::byte, FreeDeleter>;  // 64-byte aligned

  static Scratch allocate(int64_t size_bytes);
  float* values() { return reinterpret_cast<float*>(values_.get()); }

  Isa isa_;
  ThreadPool& pool_;
  StepLimits limits_;
  const ElementwiseKernels& kernels_;
  PagedAttention attention_;

  // Normed rows, until they are quantised; then the product made of them: [max_rows, q k v] or
  // [max_rows, gate up].
  int64_t values_bytes_;
  Scratch values_;
  int64_t quantized_bytes_;
  Scratch quantized_;  // the rows that the current product reads
};

}  // namespace incipit::kernels
