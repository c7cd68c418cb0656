// What INT8 keys and values do to pocket, on the CPU with rounded pages: the same test as
// tests/unit/engine/cuda/model_golden_test.cpp makes on a GPU, with the same bound
// (golden_model.h).
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
  // The rounded numbers lie in fp16 pages.
  const test::Rounding rounding_sizes = {
      .product_rows = k15Bits,
      .pages = {.relative = kHalf.relative, .of_largest = kInt8.of_largest}};
  Weights<kernels::CpuTile> weights = pocket(HeadFormat::kF16);
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
  GoldenComparison comparison(std::move(weights));
  const size_t longest = test::kSanitized ? 40 : 1000;
  for (const Json& prompt : golden()["prompts"]) {
    if (prompt["input_ids"].size() > longest) continue;
    comparison.add(prompt, *model, rounding_sizes, HeadFormat::kF16);
  }
  comparison.print();
  // The bound rests on this size of error.
  for (const kernels::KvPart part : {kernels::KvPart::kKeys, kernels::KvPart::kValues})
    EXPECT_NEAR(rounding.error_of(part).of_largest() / kInt8.of_largest, 1, 0.05);
  EXPECT_GT(comparison.n_prompts(), 0);
  EXPECT_GT(comparison.worst(), 0.05);
  EXPECT_LE(comparison.n_undecided(), most_other_tokens(comparison.n_greedy()));
}

}  // namespace
}  // namespace incipit::engine
