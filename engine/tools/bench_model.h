// What the benches run on: a model of a checkpoint or of random weights, on the device that the
// options name, and what that device can do at best. Called by one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "engine/schedule/model_supply.h"
#include "engine/tools/engine_bench.h"
#include "engine/weights/weights.h"

namespace incipit::engine {

struct BenchWeights {
  Weights<kernels::CpuTile> weights;
  std::string name;  // "pocket", "llama-3-8b (random weights)"
};
Result<BenchWeights> load_bench_weights(const EngineBenchOptions& options, int32_t n_threads,
                                        const BenchProgress& progress, const CancelToken& cancel);

// Measures again and returns the best of all measurements so far.
using MeasureMachine = std::function<MachineFigures()>;

struct BenchModel {
  PlannedModel planned;
  MeasureMachine measure;
  std::string isa;  // empty on a GPU
  kernels::KvType kv_type = kernels::KvType::kF16;
};

// n_pages 0: as many as the budget of the options holds. On a GPU its peaks are measured first, as
// that takes memory.
Result<BenchModel> open_bench_model(const EngineBenchOptions& options,
                                    const Weights<kernels::CpuTile>& weights, int32_t n_threads,
                                    int32_t context_tokens, int32_t n_pages);

}  // namespace incipit::engine
