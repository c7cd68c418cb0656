#include "engine/tools/bench_driver.h"

#include <algorithm>
#include <future>
#include <string_view>
#include <thread>
#include <utility>

namespace incipit::engine {

namespace {

double seconds_between(ObservedRun::Clock::time_point from, ObservedRun::Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

double ObservedRun::first_token_s() const {
  return tokens.empty() ? 0 : seconds_between(submitted, tokens.front());
}

double ObservedRun::best_step_s(int32_t n_windows) const {
  const auto n_steps = static_cast<int64_t>(tokens.size()) - 1;
  if (n_steps < 1) return 0;
  const int64_t length = std::max<int64_t>(1, n_steps / std::max(1, n_windows));
  double best = 0;
  for (int64_t begin = 0; begin + length <= n_steps; begin += length) {
    const double window = seconds_between(tokens[static_cast<size_t>(begin)],
                                          tokens[static_cast<size_t>(begin + length)]);
    if (best == 0 || window < best) best = window;
  }
  return best / static_cast<double>(length);
}

BenchDriver::BenchDriver(std::unique_ptr<Model> model, const SchedulerOptions& options)
    : vocab_(model->config().vocab),
      // Stop strings are not asked for: no token needs a text.
      loop_(std::move(model), options, [](TokenId) { return std::string_view(); }) {}

std::vector<TokenId> BenchDriver::random_tokens(int32_t n) {
  std::uniform_int_distribution<TokenId> token(0, vocab_ - 1);
  std::vector<TokenId> tokens(static_cast<size_t>(n));
  for (TokenId& t : tokens) t = token(random_);
  return tokens;
}

Result<std::vector<ObservedRun>> BenchDriver::run(std::span<const std::vector<TokenId>> prompts,
                                                  int32_t n_new) {
  std::vector<ObservedRun> runs(prompts.size());
  std::vector<std::promise<void>> finished(prompts.size());
  for (size_t i = 0; i < prompts.size(); ++i) {
    ObservedRun& observed = runs[i];
    std::promise<void>& done = finished[i];
    observed.tokens.reserve(static_cast<size_t>(n_new));
    GenerateRequest request;
    request.prompt = prompts[i];
    request.stop.max_new_tokens = n_new;
    request.on_token = [&observed](TokenId) {
      observed.tokens.push_back(ObservedRun::Clock::now());
    };
    request.on_finish = [&observed, &done](const Generation& generation) {
      observed.n_cached_tokens = generation.timings.n_cached_tokens;
      observed.error = generation.error;
      done.set_value();
    };
    observed.submitted = ObservedRun::Clock::now();
    loop_.submit(std::move(request));
  }
  for (std::promise<void>& done : finished) done.get_future().wait();
  for (const ObservedRun& observed : runs) {
    if (observed.error) return *observed.error;
  }
  return runs;
}

Result<ObservedRun> BenchDriver::run(const std::vector<TokenId>& prompt, int32_t n_new) {
  ASSIGN_OR_RETURN(std::vector<ObservedRun> runs, run(std::span(&prompt, 1), n_new));
  return std::move(runs.front());
}

Result<ObservedRun> BenchDriver::run_after_cancel(const std::vector<TokenId>& given_up,
                                                  std::chrono::duration<double> delay,
                                                  const std::vector<TokenId>& prompt) {
  std::promise<void> finished;
  GenerateRequest request;
  request.prompt = given_up;
  request.stop.max_new_tokens = 1;
  request.on_finish = [&finished](const Generation&) { finished.set_value(); };
  const CancelToken cancel = request.cancel;
  loop_.submit(std::move(request));
  std::this_thread::sleep_for(delay);
  cancel.cancel();
  Result<ObservedRun> next = run(prompt, 1);
  finished.get_future().wait();
  return next;
}

double shared_step_s(std::span<const ObservedRun> runs) {
  if (runs.empty() || runs.front().tokens.empty()) return 0;
  auto begin = runs.front().tokens.front();
  auto end = runs.front().tokens.back();
  for (const ObservedRun& run : runs) {
    if (run.tokens.empty()) return 0;
    begin = std::max(begin, run.tokens.front());
    end = std::min(end, run.tokens.back());
  }
  const auto& tokens = runs.front().tokens;
  const auto first = std::lower_bound(tokens.begin(), tokens.end(), begin);
  const auto last = std::upper_bound(tokens.begin(), tokens.end(), end);
  if (last - first < 2) return 0;
  return seconds_between(*first, *(last - 1)) / static_cast<double>(last - first - 1);
}

}  // namespace incipit::engine
