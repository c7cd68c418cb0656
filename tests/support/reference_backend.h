// ReferenceBackend: the Backend concept over the slow double-precision steps, so that the whole
// model text runs on the oracle. Small prompts only.
#pragma once

#include <cstring>

#include "engine/model/host_buffer.h"
#include "kernels/reference/steps.h"

namespace incipit::test {

class ReferenceBackend {
 public:
  using WeightLayout = kernels::CpuTile;
  using Buffer = engine::HostBuffer;

  const char* device_name() const { return "reference"; }

  void embed(const kernels::EmbedParams& p) { kernels::reference::embed(p); }
  void qkv_rope_append(const kernels::QkvRopeAppendParams<WeightLayout>& p) {
    kernels::reference::qkv_rope_append(p);
  }
  void attention(const kernels::AttentionParams& p) { kernels::reference::attention(p); }
  void out_proj_add(const kernels::OutProjAddParams<WeightLayout>& p) {
    kernels::reference::out_proj_add(p);
  }
  void mlp_add(const kernels::MlpAddParams<WeightLayout>& p) { kernels::reference::mlp_add(p); }
  void lm_head(const kernels::LmHeadParams<WeightLayout>& p) { kernels::reference::lm_head(p); }
  void top_candidates(const kernels::TopCandidatesParams& p) {
    kernels::reference::top_candidates(p);
  }

  void upload(void* to, const void* from, int64_t n_bytes) { copy(to, from, n_bytes); }
  void download(void* to, const void* from, int64_t n_bytes) { copy(to, from, n_bytes); }
  void copy(void* to, const void* from, int64_t n_bytes) {
    if (n_bytes > 0) std::memcpy(to, from, static_cast<size_t>(n_bytes));
  }
};

}  // namespace incipit::test
