// ReferenceBackend: the Backend concept over the slow double-precision steps, so that the whole
// model text runs on the oracle. Small prompts only.
#pragma once

#include "engine/model/host_buffer.h"
#include "engine/model/host_rows.h"
#include "kernels/reference/steps.h"

namespace incipit::test {

class ReferenceBackend {
 public:
  using WeightLayout = kernels::CpuTile;
  using Buffer = engine::HostBuffer;
  using HostBuffer = engine::HostBuffer;

  const char* device_name() const { return "reference"; }

  engine::StepInputs begin_step(const engine::ForwardBatch& batch, const uint16_t*) {
    return engine::HostRows::inputs_of(batch);
  }
  void run(kernels::FunctionRef<void()> launches) { launches(); }
  void finish_step() {}
  bool may_end_here() { return true; }
  void keep_logit_rows(const engine::ForwardBatch& batch, const engine::RowWidths& widths,
                       engine::StepInputs& inputs, engine::StepRows<float>& rows) {
    rows_.keep_logit_rows(batch, widths, inputs, rows);
  }

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

  void upload(void* to, const void* from, int64_t n_bytes) { copy(to, from, n_bytes, 0, 1); }
  void download(void* to, const void* from, int64_t n_bytes) { copy(to, from, n_bytes, 0, 1); }
  void copy(void* to, const void* from, int64_t n_bytes, int64_t stride, int32_t n) {
    engine::copy_runs(to, from, n_bytes, stride, n);
  }

 private:
  engine::HostRows rows_{/*max_logit_rows=*/64};
};

}  // namespace incipit::test
