#include "engine/tools/engine_bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/tools/bench_driver.h"

namespace incipit::engine {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

ObservedRun run_at(std::initializer_list<int> token_ms) {
  ObservedRun run;
  run.submitted = ObservedRun::Clock::time_point{};
  for (const int ms : token_ms) run.tokens.push_back(run.submitted + milliseconds(ms));
  return run;
}

TEST(ObservedRun, CountsTheFirstTokenFromTheSubmission) {
  EXPECT_DOUBLE_EQ(run_at({7, 9}).first_token_s(), 0.007);
  EXPECT_DOUBLE_EQ(run_at({}).first_token_s(), 0);
}

TEST(ObservedRun, TakesTheBestWindowOfSteps) {
  // Steps of 10, 10, 2 and 4 ms.
  const ObservedRun run = run_at({0, 10, 20, 22, 26});
  EXPECT_DOUBLE_EQ(run.best_step_s(1), 0.0065);
  EXPECT_DOUBLE_EQ(run.best_step_s(2), 0.003);
  EXPECT_DOUBLE_EQ(run.best_step_s(4), 0.002);
  EXPECT_DOUBLE_EQ(run.best_step_s(100), 0.002);
  EXPECT_DOUBLE_EQ(run_at({5}).best_step_s(4), 0);
}

TEST(SharedStep, CountsOnlyTheStepsThatAllRunsTookPartIn) {
  // The second run joins at 10 and leaves at 30; the first makes a step each 5 ms then.
  const ObservedRun runs[] = {run_at({0, 1, 2, 10, 15, 20, 25, 30, 31, 32}),
                              run_at({10, 15, 20, 25, 30})};
  EXPECT_DOUBLE_EQ(shared_step_s(runs), 0.005);
  const ObservedRun apart[] = {run_at({0, 1, 2}), run_at({10, 11})};
  EXPECT_DOUBLE_EQ(shared_step_s(apart), 0);
}

// One figure after the other on the model in the tree, as short as they go.
TEST(EngineBench, FillsEveryRowAndHoldsItAgainstTheMachine) {
  EngineBenchOptions options;
  options.synthetic = "pocket";
  options.engine.n_threads = 2;
  options.engine.device = "cpu";
  options.prompt_tokens = 32;
  options.decode_tokens = 8;
  options.cached_tokens = 100;
  options.new_tokens = 3;
  options.peak_buffer_bytes = int64_t{8} << 20;
  options.seconds_a_figure = 0.01;
  std::vector<std::string> steps;
  const auto report =
      run_engine_bench(options, [&](double, const std::string& what) { steps.push_back(what); });
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->n_threads, 2);
  EXPECT_THAT(report->model, HasSubstr("pocket"));
  EXPECT_GT(report->machine.read_bytes_per_s, 0);
  EXPECT_GT(report->machine.int8_ops_per_s, 0);
  EXPECT_GT(report->machine.fma_flops_per_s, 0);
  EXPECT_GT(report->step_weight_bytes, 20'000'000);  // 17.7 MB of INT4, 8.4 MB of head
  EXPECT_LT(report->step_weight_bytes, report->weight_bytes);
  EXPECT_GE(steps.size(), 5u);
  ASSERT_GE(report->rows.size(), 8u);
  for (const EngineBenchRow& row : report->rows) {
    EXPECT_GT(row.value, 0) << row.name;
    EXPECT_FALSE(row.unit.empty()) << row.name;
    EXPECT_FALSE(row.name.starts_with(' ')) << row.name;
    EXPECT_EQ(row.limit.has_value(), row.fraction.has_value()) << row.name;
    if (row.fraction) {
      EXPECT_GT(*row.fraction, 0) << row.name;
    }
  }
  bool found = false;
  for (const EngineBenchRow& row : report->rows) {
    found = found || row.name == "first token, 100 tokens cached, 3 new";
  }
  EXPECT_TRUE(found) << "the prefix was not reused as a whole";
}

TEST(EngineBench, NamesTheCountThatTheModelCannotHold) {
  EngineBenchOptions options;
  options.synthetic = "pocket";
  options.prompt_tokens = 5000;
  const auto report = run_engine_bench(options);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().message,
            "bench: prompt-tokens: want 2..4095 (the model's context is 4096), found 5000");
  options.prompt_tokens = 0;
  EXPECT_FALSE(run_engine_bench(options).ok());
}

TEST(EngineBench, ShortensNoPrefixThatWasAskedFor) {
  EngineBenchOptions options;
  options.synthetic = "pocket";
  options.cached_tokens = 5000;
  const auto report = run_engine_bench(options);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().message,
            "bench: cached-tokens: want 1..4078 (the model's context is 4096), found 5000");
}

TEST(EngineBench, NamesAnUnknownShape) {
  EngineBenchOptions options;
  options.synthetic = "llama-9";
  const auto report = run_engine_bench(options);
  ASSERT_FALSE(report.ok());
  EXPECT_THAT(report.error().message, HasSubstr("llama-9"));
}

TEST(EngineBench, StopsWhenCancelled) {
  EngineBenchOptions options;
  options.synthetic = "pocket";
  options.peak_buffer_bytes = int64_t{8} << 20;
  CancelToken cancel;
  const auto report = run_engine_bench(
      options, [&](double, const std::string&) { cancel.cancel(); }, cancel);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace incipit::engine
