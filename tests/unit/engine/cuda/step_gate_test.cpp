// The gate by which the bench tells the device's time from the host's, and the bench's row of it.
#include "engine/model/cuda_step_gate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "engine/model/cuda_device.h"
#include "engine/tools/h100_suite.h"
#include "kernels/cuda/stream.h"

namespace incipit::engine {
namespace {

using std::chrono::microseconds;

TEST(StepGate, HoldsTheStreamBackUntilItsTimeAndOnlyOnce) {
  if (!probe_cuda().failure.empty()) GTEST_SKIP() << "skipped: no CUDA device";
  const std::unique_ptr<StepGate> gate = make_step_gate(0);
  ASSERT_NE(gate, nullptr);
  const kernels::cuda::Stream stream = kernels::cuda::make_stream();
  for (int i = 0; i < 3; ++i) {
    const auto start = StepGate::Clock::now();
    gate->arm(microseconds(20000));
    gate->before_step(stream.get());
    EXPECT_EQ(cudaStreamQuery(stream.get()), cudaErrorNotReady);
    EXPECT_EQ(cudaStreamSynchronize(stream.get()), cudaSuccess);
    EXPECT_GE(gate->opened_at(), start + microseconds(20000));
    EXPECT_LE(gate->opened_at(), StepGate::Clock::now());
  }
  const auto last = gate->opened_at();
  gate->before_step(stream.get());  // not armed
  EXPECT_EQ(cudaStreamSynchronize(stream.get()), cudaSuccess);
  EXPECT_EQ(gate->opened_at(), last);
}

TEST(H100SuiteOnCuda, SaysWhatTheHostTakesOfAStep) {
  if (!probe_cuda().failure.empty()) GTEST_SKIP() << "skipped: no CUDA device";
  H100SuiteOptions options;
  options.synthetic = "pocket";
  options.engine.device = "cuda";
  options.shrink = 64;
  const Result<H100Report> report = run_h100_suite(options);
  ASSERT_TRUE(report.ok()) << report.error().message;
  const auto row = std::ranges::find(report->rows, "host time a step, not hidden", &H100Row::name);
  ASSERT_NE(row, report->rows.end());
  // "median of 512.3 us between tokens less 480.1 us on the device": the second was measured.
  EXPECT_EQ(row->note.find("less 0.0 us"), std::string::npos) << row->note;
}

}  // namespace
}  // namespace incipit::engine
