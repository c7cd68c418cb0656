// Makes the Model of a backend. Which source implements create_cuda_model() is CMake's choice, so
// no caller knows whether this build has CUDA. Called while an engine is being created, and on the
// engine thread after a fault of the device.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "engine/base/result.h"
#include "engine/config/engine_options.h"
#include "engine/model/model.h"
#include "engine/weights/weights.h"

namespace incipit::engine {

struct ModelLimits {
  int32_t n_pages = 0;         // CUDA: 0, what its memory holds
  int32_t context_tokens = 0;  // positions
  int32_t max_rows = 0;        // of one step
  int32_t max_sequences = 0;   // of one step; so many logit rows too, unless stated
  int32_t max_logit_rows = 0;  // 0: max_sequences
  kernels::KvType kv_type = kernels::KvType::kF16;  // CPU: nothing else
};

struct CpuOptions {
  int32_t n_threads = 0;  // 0: one per physical core this process may use
  std::string isa;        // "": the best of this machine
};

Result<std::unique_ptr<Model>> create_cpu_model(Weights<kernels::CpuTile> weights,
                                                const ModelLimits& limits,
                                                const CpuOptions& options);

struct CudaOptions {
  int32_t device = 0;
  MemoryBudget memory = {};
  int64_t kv_bytes = 0;   // for KV pages; 0: see EngineOptions
  int32_t n_threads = 0;  // that hand the weights to the device; 0: one per physical core
  // A step that takes longer has failed; 0: 2 s or 20 times the longest step so far, whichever is
  // more.
  std::chrono::milliseconds step_deadline{0};
  // Tests and benches: called before the launches of each step with its stream (a cudaStream_t);
  // may throw what a CUDA call may throw, or launch something of its own.
  std::function<void(void* stream)> before_step = {};
};

// Packed weights are handed over and repacked by the device; the embedding stays with the host. All
// memory is taken, and the usual steps are recorded, before it returns. kUnsupported, with the
// reason, in a build or on a machine without CUDA; kOutOfMemory with the arithmetic.
Result<std::unique_ptr<Model>> create_cuda_model(const Weights<kernels::CpuTile>& weights,
                                                 const ModelLimits& limits,
                                                 const CudaOptions& options);

}  // namespace incipit::engine
