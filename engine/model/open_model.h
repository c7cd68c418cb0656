// From options to a model on a device: which one, with how many KV pages, planned how; and what
// takes over when that device fails. Called by Engine::create() on the loading thread.
#pragma once

#include <string>

#include "engine/base/result.h"
#include "engine/config/engine_options.h"
#include "engine/schedule/model_supply.h"
#include "engine/weights/weights.h"

namespace incipit::engine {

struct OpenedModel {
  PlannedModel planned;
  std::string note;    // why this device, when none was asked for by name
  ModelSupply supply;  // the same device once more, then the CPU
};

// Everything is checked but the options' device, gpu_memory and kv_type.
Result<OpenedModel> open_model(const Weights<kernels::CpuTile>& weights,
                               const EngineOptions& options, int32_t context_tokens);

}  // namespace incipit::engine
