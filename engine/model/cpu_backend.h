// CpuBackend: the Backend concept over the CPU kernels. Owns the threads that share a step's work.
#pragma once

#include <fmt/format.h>

#include <cstring>
#include <string>

#include "engine/model/activations.h"
#include "engine/model/host_buffer.h"
#include "kernels/common/thread_pool.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/steps.h"

namespace incipit::engine {

class CpuBackend {
 public:
  using WeightLayout = kernels::CpuTile;
  using Buffer = HostBuffer;

  CpuBackend(kernels::Isa isa, int32_t n_threads, const ModelConfig& config,
             const StepCapacity& capacity)
      : pool_(n_threads),
        steps_(isa, pool_, limits_of(config, capacity)),
        device_name_(fmt::format("cpu ({}, {} thread{})", kernels::name_of(isa), pool_.n_threads(),
                                 pool_.n_threads() == 1 ? "" : "s")) {}

  const char* device_name() const { return device_name_.c_str(); }

  void embed(const kernels::EmbedParams& p) { steps_.embed(p); }
  void qkv_rope_append(const kernels::QkvRopeAppendParams<WeightLayout>& p) {
    steps_.qkv_rope_append(p);
  }
  void attention(const kernels::AttentionParams& p) { steps_.attention(p); }
  void out_proj_add(const kernels::OutProjAddParams<WeightLayout>& p) { steps_.out_proj_add(p); }
  void mlp_add(const kernels::MlpAddParams<WeightLayout>& p) { steps_.mlp_add(p); }
  void lm_head(const kernels::LmHeadParams<WeightLayout>& p) { steps_.lm_head(p); }
  void top_candidates(const kernels::TopCandidatesParams& p) { steps_.top_candidates(p); }

  void upload(void* to, const void* from, int64_t n_bytes) { copy(to, from, n_bytes); }
  void download(void* to, const void* from, int64_t n_bytes) { copy(to, from, n_bytes); }
  void copy(void* to, const void* from, int64_t n_bytes) {
    if (n_bytes > 0) std::memcpy(to, from, static_cast<size_t>(n_bytes));
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
  std::string device_name_;
};

}  // namespace incipit::engine
