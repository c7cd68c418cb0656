// Pocket on the CPU against an independent implementation (Hugging Face transformers, float32, on
// the dequantised INT4 weights): golden_model.h has the bound.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/kv/page_table.h"
#include "engine/model/create_model.h"
#include "engine/model/llama.h"
#include "kernels/common/half.h"
#include "kernels/cpu/isa.h"
#include "tests/support/reference_backend.h"
#include "tests/support/test_scale.h"
#include "tests/unit/engine/golden_model.h"

namespace incipit::engine {
namespace {

std::unique_ptr<Model> cpu_model(HeadFormat head, const std::string& isa) {
  return create_cpu_model(pocket(head),
                          {.n_pages = pages_for(kContext),
                           .context_tokens = kContext,
                           .max_rows = kContext,
                           .max_sequences = 1,
                           .max_logit_rows = kContext},
                          {.n_threads = 2, .isa = isa})
      .value();
}

struct Case {
  HeadFormat head;
  std::string isa;
};

class ModelGoldenTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!kernels::isa_supported(*kernels::parse_isa(GetParam().isa)))
      GTEST_SKIP() << "this machine has no " << GetParam().isa;
    if (test::kSanitized && GetParam().isa == "scalar")
      GTEST_SKIP() << "too slow under a sanitizer; its bits are compared below";
  }
};

TEST_P(ModelGoldenTest, AgreesWithTheIndependentImplementation) {
  const auto [head, isa] = GetParam();
  const std::unique_ptr<Model> model = cpu_model(head, isa);
  GoldenComparison comparison(pocket(HeadFormat::kF16));
  // The fastest takes all prompts; the next test ties all instruction sets together.
  const bool fast = isa == kernels::name_of(kernels::best_isa()) && !test::kSanitized;
  const size_t longest = isa == "scalar" ? 8 : fast ? 1000 : 40;
  for (const Json& prompt : golden()["prompts"]) {
    if (prompt["input_ids"].size() > longest) continue;
    comparison.add(prompt, *model, cpu_rounding(head), head);
  }
  comparison.print();
  EXPECT_GT(comparison.n_prompts(), 0);
  EXPECT_GT(comparison.worst(), 0.05);
  if (head == HeadFormat::kF16) {
    EXPECT_EQ(comparison.n_undecided(), 0)
        << "so the greedy continuations are equal, token for token";
  }
}

INSTANTIATE_TEST_SUITE_P(
    HeadsAndInstructionSets, ModelGoldenTest,
    ::testing::Values(Case{HeadFormat::kF16, "avx512"}, Case{HeadFormat::kInt8, "avx512"},
                      Case{HeadFormat::kF16, "avx2"}, Case{HeadFormat::kInt8, "avx2"},
                      Case{HeadFormat::kF16, "scalar"}, Case{HeadFormat::kInt8, "scalar"}),
    [](const auto& c) {
      return std::string(c.param.head == HeadFormat::kF16 ? "F16_" : "Int8_") + c.param.isa;
    });

TEST(ModelGolden, GivesTheSameBitsOnEveryInstructionSet) {
  const std::vector<TokenId> tokens = golden_tokens("plain_short");
  for (HeadFormat head : {HeadFormat::kInt8, HeadFormat::kF16}) {
    if (test::kSanitized && head == HeadFormat::kF16) continue;
    const ModelRun scalar = run_model(*cpu_model(head, "scalar"), tokens, 0);
    for (const char* isa : {"avx2", "avx512"}) {
      if (!kernels::isa_supported(*kernels::parse_isa(isa))) continue;
      const ModelRun other = run_model(*cpu_model(head, isa), tokens, 0);
      EXPECT_EQ(other.logits, scalar.logits) << isa;
      EXPECT_EQ(other.stages, scalar.stages) << isa;
    }
  }
}

TEST(ModelGolden, LeavesNoTraceOfAStepThatIsGivenUp) {
  expect_no_trace_of_a_step_given_up(*cpu_model(HeadFormat::kInt8, ""));
}

// Per weight, the INT8 head is off by at most half a step: absmax / 254. What the stream did before
// is the same for both heads.
TEST(ModelGolden, KeepsTheInt8HeadWithinHalfAStepOfTheF16Head) {
  const std::vector<TokenId> tokens = golden_tokens("fim_spm_java_empty_suffix");
  const ModelRun f16 = run_model(*cpu_model(HeadFormat::kF16, ""), tokens, 0);
  const ModelRun int8 = run_model(*cpu_model(HeadFormat::kInt8, ""), tokens, 0);
  ASSERT_EQ(f16.stages, int8.stages);
  const Weights<kernels::CpuTile> weights = pocket(HeadFormat::kF16);
  const auto hidden = static_cast<size_t>(weights.config.hidden);
  const std::span<const float> n = row_of(f16.stages.back(), tokens.size() - 1, hidden);
  double n_sum = 0;
  double n_max = 0;
  for (float v : n) {
    n_sum += std::abs(v);
    n_max = std::max(n_max, std::abs(double{v}));
  }
  for (size_t t = 0; t < f16.logits.back().size(); ++t) {
    double absmax = 0;
    double w_sum = 0;
    for (size_t i = 0; i < hidden; ++i) {
      const double w = kernels::half_to_float(weights.head_f16[t * hidden + i]);
      absmax = std::max(absmax, std::abs(w));
      w_sum += std::abs(w);
    }
    // The second term: half a step of the 15-bit activations; the last: float sums.
    const double bound = absmax / 254 * n_sum + n_max / 16256 / 2 * w_sum + 1e-5 * absmax * n_sum;
    ASSERT_NEAR(int8.logits.back()[t], f16.logits.back()[t], bound) << "token " << t;
  }
}

// The model text on the double-precision steps: only fp16 pages are left as a source of error.
TEST(ModelGolden, AgreesOnTheReferenceStepsToo) {
  const StepCapacity capacity{
      .max_rows = 8, .max_logit_rows = 8, .max_sequences = 1, .max_pages = pages_for(kContext)};
  const std::unique_ptr<Model> model =
      LlamaModel<test::ReferenceBackend>::create(
          std::make_unique<test::ReferenceBackend>(), pocket(HeadFormat::kF16),
          [] { return Result<int32_t>(pages_for(kContext)); }, kContext, capacity)
          .value();
  GoldenComparison comparison(pocket(HeadFormat::kF16));
  for (const Json& prompt : golden()["prompts"]) {
    if (prompt["name"] != "plain_short") continue;
    comparison.add(prompt, *model, {.pages = kHalf}, HeadFormat::kF16);
  }
}

}  // namespace
}  // namespace incipit::engine
