// What INT8 keys and values do to pocket, on the CPU with rounded pages: the same test as
// tests/unit/engine/cuda/model_golden_test.cpp makes on a GPU, with the same bound (golden_model.h,
// kEpsKvInt8), which has its number from here.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "engine/model/llama.h"
#include "kernels/cpu/isa.h"
#include "tests/support/int8_kv_backend.h"
#include "tests/support/test_scale.h"
#include "tests/unit/engine/golden_model.h"

namespace incipit::engine {
namespace {

TEST(ModelGoldenInt8Kv, StaysWithinTheBoundOfItsRounding) {
  const Arithmetic arithmetic = {
      .layer = std::hypot(std::sqrt(2.0) * kEpsQuantised, int8_kv_layer_eps()), .head = 0};
  const Weights<kernels::CpuTile> weights = pocket(HeadFormat::kF16);
  const StepCapacity capacity = {.max_rows = kContext,
                                 .max_logit_rows = kContext,
                                 .max_sequences = 1,
                                 .max_pages = pages_for(kContext)};
  auto backend =
      std::make_unique<test::Int8KvBackend>(kernels::best_isa(), 2, weights.config, capacity);
  const test::Int8KvBackend& rounding = *backend;
  const std::unique_ptr<Model> model =
      LlamaModel<test::Int8KvBackend>::create(
          std::move(backend), pocket(HeadFormat::kF16),
          [] { return Result<int32_t>(pages_for(kContext)); }, kContext, capacity)
          .value();
  double worst = 0;
  int n_undecided = 0;
  int n_prompts = 0;
  const size_t longest = test::kSanitized ? 40 : 1000;
  for (const Json& prompt : golden()["prompts"]) {
    const auto tokens = prompt["input_ids"].get<std::vector<TokenId>>();
    if (tokens.size() > longest) continue;
    SCOPED_TRACE(prompt["name"].get<std::string>());
    ++n_prompts;
    const ModelRun result = run_model(*model, tokens, arithmetic);
    expect_norms(prompt, result, static_cast<size_t>(model->config().hidden));
    const std::vector<double> deviations =
        logit_deviations(result, weights, HeadFormat::kF16, arithmetic);
    worst = std::max(worst, expect_logits(prompt, result, deviations));
    n_undecided += follow_greedy(*model, tokens, prompt["greedy_32"], deviations);
  }
  const double keys = rounding.error_of(kernels::KvPart::kKeys).relative();
  const double values = rounding.error_of(kernels::KvPart::kValues).relative();
  std::printf(
      "[ measured ] %d prompts: keys are off by %.2e, values by %.2e; largest logit error is %.2f "
      "of its bound; %d of %d greedy tokens differ\n",
      n_prompts, keys, values, worst, n_undecided, 32 * n_prompts);
  EXPECT_GT(n_prompts, 0);
  EXPECT_LE(keys, kEpsKvInt8);
  EXPECT_LE(values, kEpsKvInt8);
  EXPECT_GE(values, kEpsKvInt8 / 4) << "a bound far above says nothing";
  EXPECT_GT(worst, 0.05);
  EXPECT_LE(n_undecided, most_other_tokens(32 * n_prompts));
}

}  // namespace
}  // namespace incipit::engine
