// Makes the Model of a backend. Which source implements create_cuda_model() is CMake's choice, so
// no caller knows whether this build has CUDA. Called while an engine is being created.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "engine/base/result.h"
#include "engine/config/engine_options.h"
#include "engine/model/model.h"
#include "engine/weights/weights.h"

namespace incipit::engine {

struct ModelLimits {
  int32_t n_pages = 0;
  int32_t context_tokens = 0;  // positions
  int32_t max_rows = 0;        // of one step
  int32_t max_sequences = 0;   // of one step; so many logit rows too, unless stated
  int32_t max_logit_rows = 0;  // 0: max_sequences
};

struct CpuOptions {
  int32_t n_threads = 0;  // 0: one per physical core this process may use
  std::string isa;        // "": the best of this machine
};

Result<std::unique_ptr<Model>> create_cpu_model(Weights<kernels::CpuTile> weights,
                                                const ModelLimits& limits,
                                                const CpuOptions& options);

// kUnsupported, with the reason, in a build or on a machine without CUDA.
Result<std::unique_ptr<Model>> create_cuda_model(const std::filesystem::path& model_dir,
                                                 const EngineOptions& options,
                                                 const ModelLimits& limits);

}  // namespace incipit::engine
