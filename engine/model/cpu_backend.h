// CpuBackend: the Backend concept over the CPU kernels. Owns the threads that share a step's work.
#pragma once

#include <fmt/format.h>

#include <cstring>
#include <string>

#include "engine/model/activations.h"
#include "engine/model/backend.h"
#include "engine/model/host_buffer.h"
#include "engine/model/host_rows.h"
#include "kernels/common/thread_pool.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/steps.h"

namespace incipit::engine {

class CpuBackend {
 public:
  using WeightLayout = kernels::CpuTile;
  using Buffer = engine::HostBuffer;
  using HostBuffer = engine::HostBuffer;

  CpuBackend(kernels::Isa isa, int32_t n_threads, const ModelConfig& config,
             const StepCapacity& capacity)
      : pool_(n_threads),
        steps_(isa, pool_, limits_of(config, capacity)),
        rows_(capacity.max_logit_rows),
        device_name_(fmt::format("cpu ({}, {} thread{})", kernels::name_of(isa), pool_.n_threads(),
                                 pool_.n_threads() == 1 ? "" : "s")) {}

  const char* device_name() const { return device_name_.c_str(); }

  StepInputs begin_step(const ForwardBatch& batch, const uint16_t*) {
    return HostRows::inputs_of(batch);
  }
  void run(kernels::FunctionRef<void()> launches) { launches(); }
  void finish_step() {}
  bool may_end_here() { return true; }
  void keep_logit_rows(const ForwardBatch& batch, const RowWidths& widths, StepInputs& inputs,
                       StepRows<float>& rows) {
    rows_.keep_logit_rows(batch, widths, inputs, rows);
  }

  void embed(const kernels::EmbedParams& p) { steps_.embed(p); }
  void qkv_rope_append(const kernels::QkvRopeAppendParams<WeightLayout>& p) {
    steps_.qkv_rope_append(p);
  }
  void attention(const kernels::AttentionParams& p) { steps_.attention(p); }
  void out_proj_add(const kernels::OutProjAddParams<WeightLayout>& p) { steps_.out_proj_add(p); }
  void mlp_add(const kernels::MlpAddParams<WeightLayout>& p) { steps_.mlp_add(p); }
  void lm_head(const kernels::LmHeadParams<WeightLayout>& p) { steps_.lm_head(p); }
  void top_candidates(const kernels::TopCandidatesParams& p) { steps_.top_candidates(p); }

  void upload(void* to, const void* from, int64_t n_bytes) { copy(to, from, n_bytes, 0, 1); }
  void download(void* to, const void* from, int64_t n_bytes) { copy(to, from, n_bytes, 0, 1); }
  void copy(void* to, const void* from, int64_t n_bytes, int64_t stride, int32_t n) {
    copy_runs(to, from, n_bytes, stride, n);
  }

 private:
  static kernels::StepLimits limits_of(const ModelConfig& config, const StepCapacity& capacity) {
    return {.max_rows = capacity.max_rows,
            .max_logit_rows = capacity.max_logit_rows,
            .hidden = config.hidden,
            .ffn = config.ffn,
            .vocab = config.vocab,
            .heads = {config.n_heads, config.n_kv_heads, config.head_dim}};
  }

  kernels::ThreadPool pool_;
  kernels::CpuSteps steps_;
  HostRows rows_;
  std::string device_name_;
};

}  // namespace incipit::engine
