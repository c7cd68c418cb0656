// The times behind `incipit bench --suite h100`: steps of a model alone, and requests through the
// engine loop as their client sees them. Called by h100_suite on the bench's thread; blocks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/result.h"
#include "engine/model/cuda_step_gate.h"
#include "engine/model/model.h"
#include "engine/tools/bench_driver.h"

namespace incipit::engine {

// How long and how often: 1 is the suite, more divides lengths and runs (tests, small models).
struct SuiteScale {
  int32_t shrink = 1;
  int32_t tokens(int32_t n) const { return std::max(16, n / shrink); }
  int32_t runs(int32_t n) const { return std::max(2, n / shrink); }
};

// Of values that need not be in order; 0 when there are none. share: 0.5 is the median.
double quantile(std::vector<double> values, double share);

// Seconds of one step of `n_rows` tokens of a sequence behind `context` others, one row with
// logits, as the caller of Model::forward() sees them; medians of many.
struct StepTimes {
  int32_t context = 0;
  std::vector<int32_t> n_rows;
  std::vector<double> step_s;  // of n_rows[i] rows
};
// The row counts take turns, so that a change of the clock meets all of them.
StepTimes time_steps(Model& model, int32_t context, std::vector<int32_t> n_rows, int32_t n_runs);

// Seconds that a step of one row behind `context` others takes on the device alone. The gate must
// be what the model calls before a step (CudaOptions::before_step); 0: it is not.
double time_on_device(Model& model, StepGate& gate, int32_t context, int32_t n_runs);

struct RequestTimes {
  double p50_s = 0;
  double p95_s = 0;
  int32_t n_cached = 0;  // prompt tokens found in the cache
};

struct OutputTimes {
  double first_token_s = 0;
  double step_s = 0;  // seconds a token after the first
};

// Each figure is the median of n_runs requests with random prompts, one after the other.
class LoopFigures {
 public:
  explicit LoopFigures(BenchDriver& driver) : driver_(driver) {}

  // Seconds a token over n_new tokens behind a prompt, which is in the cache after the first run.
  Result<double> decode(int32_t n_prompt, int32_t n_new, int32_t n_runs);
  // The median of all times between two tokens of the last decode().
  double interval_s() const { return interval_s_; }
  // Seconds of a step of so many sequences.
  Result<double> decode_together(int32_t n_sequences, int32_t n_new, int32_t n_runs);
  // From submit to the first token, of prompts that share their first n_cached tokens with the one
  // before them and end in n_new others.
  Result<RequestTimes> first_token(int32_t n_cached, int32_t n_new, int32_t n_runs);
  // The same for prompts of which nothing is cached, and how the answer goes on.
  Result<OutputTimes> prompt_and_output(int32_t n_prompt, int32_t n_new, int32_t n_runs);
  // First tokens of cached prompts, each asked for when a prefill of n_prompt tokens is cancelled
  // at a moment of its own, not before a twentieth of n_prompt's time or after nine tenths.
  Result<std::vector<double>> first_token_after_cancel(int32_t n_prompt, int32_t n_runs);

 private:
  BenchDriver& driver_;
  double interval_s_ = 0;
};

}  // namespace incipit::engine
