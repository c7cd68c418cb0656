#include "engine/tools/h100_suite.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "engine/tools/h100_figures.h"
#include "engine/tools/h100_floors.h"

namespace incipit::engine {
namespace {

H100Report small_suite() {
  H100SuiteOptions options;
  options.synthetic = "pocket";
  options.engine.device = "cpu";
  options.engine.n_threads = 1;
  options.shrink = 64;
  const Result<H100Report> report = run_h100_suite(options);
  EXPECT_TRUE(report.ok()) << report.error().message;
  return report.ok() ? *report : H100Report{};
}

TEST(H100Suite, MeasuresEveryFigureThatWasAskedFor) {
  const H100Report report = small_suite();
  for (const char* name :
       {"decode, context up to 512", "decode, context 8,192", "decode, context 16,384",
        "decode, 8 sequences together", "step of 64 rows / of 1",
        "128 tokens cancelled: next first token, worst", "packed file to ready"}) {
    const auto is_named = [&](const H100Row& row) { return row.name == name; };
    EXPECT_TRUE(std::ranges::any_of(report.rows, is_named)) << name;
  }
  for (const H100Row& row : report.rows) EXPECT_GT(row.value, 0) << row.name;
}

TEST(H100Suite, JudgesNoOtherShapeThanTheOneItsTargetsAreOf) {
  for (const H100Row& row : small_suite().rows) {
    EXPECT_FALSE(row.must || row.aim || row.peer) << row.name;
    EXPECT_FALSE(row.met()) << row.name;
  }
}

TEST(H100Row, IsMetFromTheSideThatIsBetter) {
  H100Row row;
  row.value = 470;
  row.must = 480;
  row.floor = 940;
  EXPECT_EQ(row.met(), false);
  EXPECT_DOUBLE_EQ(*row.fraction(), 0.5);
  row.higher_is_better = false;
  row.floor = 235;
  EXPECT_EQ(row.met(), true);
  EXPECT_DOUBLE_EQ(*row.fraction(), 0.5);
}

TEST(H100Floors, ReadLlama3WeightsOnceAStep) {
  const Result<ModelConfig> config = synthetic_model_config("llama-3-8b");
  ASSERT_TRUE(config.ok());
  const Floors floors(*config, 3.125e12, 1e15);
  // 32 x 112.5 MB of layers and 525.9 MB of head: 1.32 ms at 3,125 GB/s.
  EXPECT_NEAR(floors.weight_bytes(), 4.127e9, 0.005e9);
  EXPECT_NEAR(floors.step_s(0) * 1e3, 1.32, 0.01);
  EXPECT_NEAR(floors.kv_bytes(16384), 2.147e9, 0.001e9);
  // A short prompt waits for the weights, a long one for its arithmetic.
  EXPECT_DOUBLE_EQ(floors.prompt_s(0, 1), floors.step_s(1));
  EXPECT_GT(floors.prompt_s(0, 2048), 10 * floors.step_s(2048));
}

TEST(Quantile, TakesTheNearestValue) {
  EXPECT_EQ(quantile({}, 0.5), 0);
  EXPECT_EQ(quantile({3, 1, 2}, 0.5), 2);
  EXPECT_EQ(quantile({5, 1, 2, 3, 4}, 0.95), 5);
}

}  // namespace
}  // namespace incipit::engine
