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

// What a count may be, both ends included; the context of the model may allow less.
struct CountRange {
  int32_t low = 0;
  int32_t high = 0;
};
inline constexpr CountRange kBenchPromptTokens{2, 131072};
inline constexpr CountRange kBenchDecodeTokens{4, 65536};
inline constexpr CountRange kBenchCachedTokens{1, 131072};
inline constexpr CountRange kBenchNewTokens{1, 4096};

struct EngineBenchOptions {
  EngineOptions engine;   // model, device, threads, isa, head format, chunk
  std::string synthetic;  // a shape's name ("llama-3-8b"): random weights, engine.model unused
  int32_t prompt_tokens = 512;           // of the prefill figure
  int32_t decode_tokens = 64;            // steps of the decode figure
  std::optional<int32_t> cached_tokens;  // prefix of the cached first token; none: 1500 if they fit
  int32_t new_tokens = 8;                // prompt tokens after that prefix
  double seconds_a_figure = 3;           // each is repeated for about so long, once at least
  int64_t peak_buffer_bytes = 0;  // what the read bandwidth is measured over; 0: beyond the caches
};

// What the machine does at best: the CPU with the engine's threads while the engine is idle, or the
// GPU. 0: not of that kind of device.
struct MachineFigures {
  double read_bytes_per_s = 0;
  double int8_ops_per_s = 0;      // CPU: 2 a multiply-add, of the instruction set in use
  double fma_flops_per_s = 0;     // CPU: the same for floats
  double copy_bytes_per_s = 0;    // GPU: bytes read and written
  double tensor_flops_per_s = 0;  // GPU: 2 a multiply-add, fp16 with float sums
  int64_t cache_bytes = 0;        // CPU: of the last level

  bool is_gpu() const { return tensor_flops_per_s > 0; }
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
  enum class Level { kFigure, kDetail };
  Level level = Level::kFigure;  // a detail belongs to the figure above it
};

struct EngineBenchReport {
  std::string model;   // "pocket", "llama-3-8b (random weights)"
  std::string device;  // "cpu (avx512, 2 threads)"
  std::string isa;     // empty on a GPU
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
