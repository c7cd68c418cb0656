// The engine's speed on this machine, beside what the machine can do: behind `incipit bench`. Loads
// an installed model or makes random weights of a known shape, drives the same engine thread that
// the language server uses, and measures read bandwidth and arithmetic peaks in the same run with
// the same threads. Blocks for as long as it takes; called by one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/cancel_token.h"
#include "engine/base/result.h"
#include "engine/config/engine_options.h"

namespace incipit::engine {

struct EngineBenchOptions {
  EngineOptions engine;   // model, threads, isa, head format, chunk; kv_bytes is not used
  std::string synthetic;  // a shape's name ("llama-3-8b"): random weights, engine.model unused
  int32_t prompt_tokens = 512;    // of the prefill figure, >= 2
  int32_t decode_tokens = 64;     // steps of the decode figure, >= 4
  int32_t cached_tokens = 1500;   // prefix of the cached first token; shortened to the context
  int32_t new_tokens = 8;         // prompt tokens after that prefix, >= 1
  double seconds_a_figure = 3;    // each is repeated for about so long, once at least
  int64_t peak_buffer_bytes = 0;  // what the read bandwidth is measured over; 0: beyond the caches
};

// What the machine does at best, measured with the engine's threads while the engine is idle.
struct MachineFigures {
  double read_bytes_per_s = 0;
  double int8_ops_per_s = 0;   // 2 a multiply-add, of the instruction set in use
  double fma_flops_per_s = 0;  // the same for floats
};

struct EngineBenchRow {
  std::string name;  // "decode, one sequence"
  double value = 0;
  std::string unit;  // "tok/s", "ms", "Gop/s", "x"
  // The best that the measured peak allows, in the same unit, and how much of it was reached (for a
  // time: limit / value). None for figures without a physical limit.
  std::optional<double> limit;
  std::optional<double> fraction;
  std::string note;  // what the limit is made of, in words
};

struct EngineBenchReport {
  std::string model;   // "pocket", "llama-3-8b (random weights)"
  std::string device;  // "cpu (avx512, 2 threads)"
  std::string isa;
  int32_t n_threads = 0;
  int64_t weight_bytes = 0;       // of the model
  int64_t step_weight_bytes = 0;  // what one decode step reads of them
  int64_t kv_bytes_per_token = 0;
  MachineFigures machine;
  std::vector<EngineBenchRow> rows;
};

using BenchProgress = std::function<void(double fraction, const std::string& what)>;

// `cancel` is looked at between two figures.
Result<EngineBenchReport> run_engine_bench(const EngineBenchOptions& options,
                                           const BenchProgress& progress = {},
                                           const CancelToken& cancel = {});

}  // namespace incipit::engine
