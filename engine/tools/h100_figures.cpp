#include "engine/tools/h100_figures.h"

#include <chrono>
#include <cmath>
#include <numeric>
#include <random>
#include <span>
#include <utility>

#include "engine/kv/page_table.h"

namespace incipit::engine {

namespace {

using Clock = std::chrono::steady_clock;

double seconds(Clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

// Tokens begin..end of one sequence whose pages are 0, 1, 2, ...
ForwardBatch step_of(const std::vector<TokenId>& tokens, int32_t begin, int32_t end) {
  ForwardBatch batch;
  batch.tokens.assign(tokens.begin() + begin, tokens.begin() + end);
  batch.positions.resize(batch.tokens.size());
  std::iota(batch.positions.begin(), batch.positions.end(), begin);
  batch.sequence_of_row.assign(batch.tokens.size(), 0);
  batch.page_table_stride = pages_for(end);
  batch.page_tables.resize(static_cast<size_t>(batch.page_table_stride));
  std::iota(batch.page_tables.begin(), batch.page_tables.end(), 0);
  batch.logit_rows = {end - begin - 1};
  return batch;
}

std::vector<TokenId> random_tokens(const Model& model, int32_t n) {
  std::mt19937 random(2);
  std::uniform_int_distribution<TokenId> token(0, model.config().vocab - 1);
  std::vector<TokenId> tokens(static_cast<size_t>(n));
  for (TokenId& t : tokens) t = token(random);
  return tokens;
}

// Keys and values of real size for the first tokens: zeros would cost less power.
void fill_pages(Model& model, const std::vector<TokenId>& tokens, int32_t n) {
  const int32_t chunk = std::min(512, model.max_rows());
  for (int32_t at = 0; at < n; at += chunk)
    model.forward(step_of(tokens, at, std::min(n, at + chunk)));
}

// The first steps of a shape load kernels and record launches.
constexpr int32_t kWarmUps = 3;

// Seconds a token after the first.
double mean_step_s(const ObservedRun& run) {
  if (run.tokens.size() < 2) return 0;
  return seconds(run.tokens.back() - run.tokens.front()) /
         static_cast<double>(run.tokens.size() - 1);
}

}  // namespace

double quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  const auto last = static_cast<double>(values.size() - 1);
  const auto at = static_cast<std::ptrdiff_t>(std::lround(share * last));
  std::ranges::nth_element(values, values.begin() + at);
  return values[static_cast<size_t>(at)];
}

StepTimes time_steps(Model& model, int32_t context, std::vector<int32_t> n_rows, int32_t n_runs) {
  const std::vector<TokenId> tokens =
      random_tokens(model, context + *std::ranges::max_element(n_rows));
  fill_pages(model, tokens, context);
  std::vector<std::vector<double>> times(n_rows.size());
  for (int32_t run = -kWarmUps; run < n_runs; ++run) {
    for (size_t i = 0; i < n_rows.size(); ++i) {
      const ForwardBatch batch = step_of(tokens, context, context + n_rows[i]);
      const Clock::time_point start = Clock::now();
      model.forward(batch);
      if (run >= 0) times[i].push_back(seconds(Clock::now() - start));
    }
  }
  StepTimes result{context, std::move(n_rows), {}};
  for (std::vector<double>& of_rows : times)
    result.step_s.push_back(quantile(std::move(of_rows), 0.5));
  return result;
}

double time_on_device(Model& model, StepGate& gate, int32_t context, int32_t n_runs) {
  constexpr std::chrono::microseconds kDelay{1000};  // many times what the host takes
  const std::vector<TokenId> tokens = random_tokens(model, context + 1);
  fill_pages(model, tokens, context);
  const ForwardBatch batch = step_of(tokens, context, context + 1);
  std::vector<double> times;
  for (int32_t run = -kWarmUps; run < n_runs; ++run) {
    if (run >= 0) gate.arm(kDelay);
    const Clock::time_point start = Clock::now();
    model.forward(batch);
    const Clock::time_point end = Clock::now();
    // Unless the gate is not the model's.
    if (run >= 0 && gate.opened_at() > start) times.push_back(seconds(end - gate.opened_at()));
  }
  return quantile(std::move(times), 0.5);
}

Result<double> LoopFigures::decode(int32_t n_prompt, int32_t n_new, int32_t n_runs) {
  const std::vector<TokenId> prompt = driver_.random_tokens(n_prompt);
  TRY(driver_.run(prompt, 2));  // fills the cache
  std::vector<double> means;
  std::vector<double> intervals;
  for (int32_t i = 0; i < n_runs; ++i) {
    ASSIGN_OR_RETURN(const ObservedRun run, driver_.run(prompt, n_new + 1));
    means.push_back(mean_step_s(run));
    for (size_t t = 1; t < run.tokens.size(); ++t)
      intervals.push_back(seconds(run.tokens[t] - run.tokens[t - 1]));
  }
  interval_s_ = quantile(std::move(intervals), 0.5);
  return quantile(std::move(means), 0.5);
}

Result<double> LoopFigures::decode_together(int32_t n_sequences, int32_t n_new, int32_t n_runs) {
  std::vector<double> steps;
  for (int32_t i = 0; i < n_runs; ++i) {
    std::vector<std::vector<TokenId>> prompts;
    // Half a page each: all are decoding after a step or two.
    for (int32_t s = 0; s < n_sequences; ++s)
      prompts.push_back(driver_.random_tokens(kPageTokens / 2));
    ASSIGN_OR_RETURN(const std::vector<ObservedRun> runs, driver_.run(prompts, n_new + 1));
    steps.push_back(shared_step_s(runs));
  }
  return quantile(std::move(steps), 0.5);
}

Result<RequestTimes> LoopFigures::first_token(int32_t n_cached, int32_t n_new, int32_t n_runs) {
  const std::vector<TokenId> prefix = driver_.random_tokens(n_cached);
  TRY(driver_.run(prefix, 0));
  RequestTimes times;
  std::vector<double> first;
  for (int32_t i = -kWarmUps; i < n_runs; ++i) {
    std::vector<TokenId> prompt = prefix;
    const std::vector<TokenId> tail = driver_.random_tokens(n_new);
    prompt.insert(prompt.end(), tail.begin(), tail.end());
    ASSIGN_OR_RETURN(const ObservedRun run, driver_.run(prompt, 1));
    times.n_cached = run.n_cached_tokens;
    if (i >= 0) first.push_back(run.first_token_s());
  }
  times.p50_s = quantile(first, 0.5);
  times.p95_s = quantile(std::move(first), 0.95);
  return times;
}

Result<OutputTimes> LoopFigures::prompt_and_output(int32_t n_prompt, int32_t n_new,
                                                   int32_t n_runs) {
  std::vector<double> first;
  std::vector<double> steps;
  for (int32_t i = 0; i < n_runs; ++i) {
    ASSIGN_OR_RETURN(const ObservedRun run, driver_.run(driver_.random_tokens(n_prompt), n_new));
    first.push_back(run.first_token_s());
    steps.push_back(mean_step_s(run));
  }
  return OutputTimes{quantile(std::move(first), 0.5), quantile(std::move(steps), 0.5)};
}

Result<std::vector<double>> LoopFigures::first_token_after_cancel(int32_t n_prompt,
                                                                  int32_t n_runs) {
  const std::vector<TokenId> next = driver_.random_tokens(kPageTokens);
  TRY(driver_.run(next, 1));
  ASSIGN_OR_RETURN(const ObservedRun whole, driver_.run(driver_.random_tokens(n_prompt), 1));
  std::vector<double> first;
  for (int32_t i = 0; i < n_runs; ++i) {
    const double share = 0.05 + 0.85 * i / n_runs;
    ASSIGN_OR_RETURN(const ObservedRun run,
                     driver_.run_after_cancel(
                         driver_.random_tokens(n_prompt),
                         std::chrono::duration<double>(share * whole.first_token_s()), next));
    first.push_back(run.first_token_s());
  }
  return first;
}

}  // namespace incipit::engine
