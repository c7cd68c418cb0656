// CudaBackend: the Backend concept over kernels/cuda/steps.h. A step's launches are recorded as a
// CUDA graph when its shape comes for the second time and replayed from then on. The host waits for
// the candidates by looking at an event: at first without pause, as a decode step takes about two
// milliseconds, and never beyond the deadline. Engine thread; throws kernels::cuda::CudaError, and
// DeviceFault when a step does not end.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/model/activations.h"
#include "engine/model/backend.h"
#include "engine/model/cuda_device.h"
#include "engine/model/cuda_memory.h"
#include "kernels/cuda/steps.h"
#include "kernels/cuda/stream.h"

namespace incipit::engine {

// Recorded steps by shape, a bounded number: the one that was not used for longest goes. Room for
// shapes that are to come can be held by spares, recordings that nobody replays: the driver keeps
// the memory of a recording for the next one, so none has to be asked for later.
class GraphCache {
 public:
  using Record = kernels::FunctionRef<kernels::cuda::GraphExec()>;

  explicit GraphCache(size_t capacity) : capacity_(capacity) { entries_.reserve(capacity); }

  // The recording of that shape; null when there is none. `seen` becomes whether it was asked for
  // before.
  const kernels::cuda::GraphExec* find(const kernels::cuda::StepShape& shape, bool& seen);
  // For a shape that find() has seen.
  const kernels::cuda::GraphExec& keep(const kernels::cuda::StepShape& shape, Record record);
  // Spares until there are n recordings.
  void fill(size_t n, Record record);
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    kernels::cuda::StepShape shape;
    kernels::cuda::GraphExec graph;  // empty: seen once, not recorded yet
    int64_t last_use = 0;
  };
  Entry* entry_of(const kernels::cuda::StepShape& shape);

  size_t capacity_;
  int64_t clock_ = 0;
  std::vector<Entry> entries_;
  std::vector<kernels::cuda::GraphExec> spares_;
};

struct CudaBackendOptions {
  std::chrono::milliseconds step_deadline{0};
  std::function<void(void* stream)> before_step;
  bool has_mixed_shapes = false;                    // CudaStepLimits
  kernels::KvType kv_type = kernels::KvType::kF16;  // likewise
};

class CudaBackend {
 public:
  using WeightLayout = kernels::CudaTile;
  using Buffer = CudaDeviceMemory;
  using HostBuffer = CudaHostMemory;

  CudaBackend(const CudaDevice& device, const ModelConfig& config, const StepCapacity& capacity,
              CudaBackendOptions options);

  // As the steps round rows up.
  static StepCapacity rounded_up(const StepCapacity& capacity);
  static kernels::cuda::CudaStepLimits limits_of(const ModelConfig& config,
                                                 const StepCapacity& capacity,
                                                 kernels::KvType kv_type, bool has_mixed_shapes);

  const char* device_name() const { return device_name_.c_str(); }
  int64_t scratch_bytes() const { return steps_.scratch_bytes(); }
  size_t n_graphs() const { return graphs_.size(); }
  bool lacks_cublas() const { return steps_.lacks_cublas(); }
  // The next step that is replayed also takes the room of recordings to come.
  void fill_graphs_next() { fills_graphs_ = true; }
  // The first steps load kernels, or even compile them, and may take as long as that needs. From
  // here on a step has a deadline.
  void warmed_up();

  StepInputs begin_step(const ForwardBatch& batch, const uint16_t* embedding);
  void run(kernels::FunctionRef<void()> launches);
  void finish_step();
  // In large steps: waits until the device is in the layer before the last that was launched.
  bool may_end_here();
  void keep_logit_rows(const ForwardBatch& batch, const RowWidths& widths, StepInputs& inputs,
                       StepRows<uint16_t>& rows);

  void embed(const kernels::EmbedParams& p) { steps_.embed(p); }
  void qkv_rope_append(const kernels::QkvRopeAppendParams<WeightLayout>& p) {
    steps_.qkv_rope_append(p);
  }
  void attention(const kernels::AttentionParamsOf<WeightLayout>& p) { steps_.attention(p); }
  void out_proj_add(const kernels::OutProjAddParams<WeightLayout>& p) { steps_.out_proj_add(p); }
  void mlp_add(const kernels::MlpAddParams<WeightLayout>& p) { steps_.mlp_add(p); }
  void lm_head(kernels::LmHeadParams<WeightLayout> p) {
    if (!observed_) p.normed = nullptr;  // costs a kernel
    steps_.lm_head(p);
  }
  void top_candidates(const kernels::TopCandidatesParams& p) { steps_.top_candidates(p); }

  void upload(void* to, const void* from, int64_t n_bytes);
  void download(void* to, const void* from, int64_t n_bytes);
  void copy(void* to, const void* from, int64_t n_bytes, int64_t stride, int32_t n);

 private:
  std::chrono::nanoseconds deadline() const;
  void wait_for(cudaEvent_t event, std::chrono::steady_clock::time_point spin_until);

  CudaBackendOptions options_;
  kernels::cuda::CudaSteps steps_;
  kernels::cuda::Event done_;
  std::array<kernels::cuda::Event, 2> layer_marks_;  // in turn, before a layer
  size_t n_layer_marks_ = 0;                         // of the current step
  kernels::cuda::StepShape shape_;                   // of the current step
  bool observed_ = false;                            // in it, a test looks at the values
  GraphCache graphs_;
  bool fills_graphs_ = false;
  bool is_warm_ = false;
  std::chrono::nanoseconds longest_step_{0};  // since then
  std::chrono::steady_clock::time_point begun_;
  std::string device_name_;
};

}  // namespace incipit::engine
