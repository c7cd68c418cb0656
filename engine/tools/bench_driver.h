// BenchDriver: runs prompts through an EngineLoop and notes when each token came. Used by
// engine_bench on its own thread; the engine thread calls back into the notes.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/result.h"
#include "engine/model/model.h"
#include "engine/schedule/engine_loop.h"

namespace incipit::engine {

// One generation as its client saw it.
struct ObservedRun {
  using Clock = std::chrono::steady_clock;
  Clock::time_point submitted;
  std::vector<Clock::time_point> tokens;  // when each came
  int32_t n_cached_tokens = 0;
  std::optional<Error> error;

  double first_token_s() const;
  // Mean seconds between tokens, the best of n_windows stretches of equal length: a neighbour on
  // the machine slows some of them down. Needs two tokens.
  double best_step_s(int32_t n_windows) const;
};

class BenchDriver {
 public:
  BenchDriver(std::unique_ptr<Model> model, const SchedulerOptions& options);

  // Tokens drawn at random: no two calls give the same prompt, so nothing is found in the cache.
  std::vector<TokenId> random_tokens(int32_t n);

  // Runs prompts at the same time, each for n_new greedy tokens (0: prefill only), and waits.
  Result<std::vector<ObservedRun>> run(std::span<const std::vector<TokenId>> prompts,
                                       int32_t n_new);
  Result<ObservedRun> run(const std::vector<TokenId>& prompt, int32_t n_new);
  // One token behind `prompt`, asked for when `given_up`, which begins `delay` earlier, is
  // cancelled in the middle of its prefill.
  Result<ObservedRun> run_after_cancel(const std::vector<TokenId>& given_up,
                                       std::chrono::duration<double> delay,
                                       const std::vector<TokenId>& prompt);

 private:
  int32_t vocab_;
  std::mt19937 random_{1};
  EngineLoop loop_;
};

// Seconds of one step while all runs were decoding together; 0 when they never did.
double shared_step_s(std::span<const ObservedRun> runs);

}  // namespace incipit::engine
