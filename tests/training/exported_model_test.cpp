// The toy model that pocket_pipeline_test.py trained, quantised and exported, on the CPU, against
// what the training program computes in PyTorch's float32 from the dequantised weights:
// golden_model.h has the bound. INCIPIT_TOY_MODEL is the folder that the pipeline left.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/kv/page_table.h"
#include "engine/model/create_model.h"
#include "tests/unit/engine/golden_model.h"

namespace incipit::engine {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<Model> cpu_model(Weights<kernels::CpuTile> weights) {
  return create_cpu_model(std::move(weights),
                          {.n_pages = pages_for(kContext),
                           .context_tokens = kContext,
                           .max_rows = kContext,
                           .max_sequences = 1,
                           .max_logit_rows = kContext},
                          {.n_threads = 1, .isa = ""})
      .value();
}

class ExportedModel : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("INCIPIT_TOY_MODEL");
    ASSERT_NE(folder, nullptr) << "INCIPIT_TOY_MODEL is not set";
    dir = folder;
    if (!fs::exists(dir / "results")) GTEST_SKIP() << dir << " has no model: PyTorch is missing";
  }
  fs::path checkpoint() const { return dir / "root/engine/models/pocket"; }

  // Returns the largest logit error as a share of its bound. `rounded` says which format the
  // golden file's own head has: the error of its rounding is none where both round.
  double largest_share(const fs::path& file, HeadFormat head, HeadFormat rounded) const {
    GoldenComparison comparison(weights_of(checkpoint(), HeadFormat::kF16));
    const auto model = cpu_model(weights_of(checkpoint(), head));
    const HeadFormat differing = head == rounded ? HeadFormat::kF16 : head;
    const Json golden = read_golden(file);
    for (const Json& prompt : golden["prompts"])
      comparison.add(prompt, *model, cpu_rounding(head), differing);
    EXPECT_EQ(comparison.n_prompts(), 8);
    comparison.print();
    return comparison.worst();
  }

  fs::path dir;
};

TEST_F(ExportedModel, GivesTheLogitsOfTheTrainingProgram) {
  const fs::path golden = dir / "root/tests/golden/model/pocket.json";
  EXPECT_GT(largest_share(golden, HeadFormat::kF16, HeadFormat::kF16), 0.05);
  EXPECT_GT(largest_share(golden, HeadFormat::kInt8, HeadFormat::kF16), 0.05);
}

TEST_F(ExportedModel, RoundsItsHeadAsTheTrainingProgramDoes) {
  EXPECT_GT(
      largest_share(dir / "results/golden_int8_head.json", HeadFormat::kInt8, HeadFormat::kInt8),
      0.05);
}

// The bound is no licence: the same checkpoint with other angles is far outside of it.
TEST_F(ExportedModel, IsSeenToDifferWithOtherAngles) {
  const Json golden = read_golden(dir / "root/tests/golden/model/pocket.json");
  Weights<kernels::CpuTile> turned = weights_of(checkpoint(), HeadFormat::kF16);
  test::RoundingDeviations deviations(turned, kDraws);
  turned.config.rope_theta *= 50;
  const auto model = cpu_model(std::move(turned));
  double worst = 0;
  for (const Json& prompt : golden["prompts"]) {
    const auto tokens = prompt["input_ids"].get<std::vector<TokenId>>();
    const size_t last = tokens.size() - 1;
    const std::vector<float> logits = run_model(*model, tokens, last).logits[last];
    const test::Deviations allowed = deviations.of(tokens, cpu_rounding(HeadFormat::kF16), last);
    for (const Json& entry : prompt["top20"]) {
      const auto token = entry[0].get<size_t>();
      const double error = std::abs(double{logits[token]} - entry[1].get<double>());
      worst = std::max(worst, error / (kDeviations * allowed.logits[last][token]));
    }
  }
  std::printf("[ measured ] with other angles the largest logit error is %.0f of its bound\n",
              worst);
  EXPECT_GT(worst, 3);
}

}  // namespace
}  // namespace incipit::engine
