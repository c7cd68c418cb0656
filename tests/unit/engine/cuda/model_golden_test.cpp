// Pocket on CUDA against an independent implementation, and against the CPU's greedy text.
//
// The bound is golden_model.h's with the errors of fp16, for each value that is rounded to it: the
// rows that a product reads and, where weights are expanded (large steps), its weights; queries,
// keys, values and the softmax's weights. The model's other quantities (scales, sums, the stream)
// are float or exact.
//
// With INT8 keys and values the text need not be that of fp16: where it differs, both tokens must
// be within the bound.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/model/create_model.h"
#include "engine/model/cuda_device.h"
#include "tests/unit/engine/golden_model.h"

namespace incipit::engine {
namespace {

struct Formats {
  HeadFormat head;
  kernels::KvType kv = kernels::KvType::kF16;

  test::Rounding rounding() const {
    return {.product_rows = {.relative = std::sqrt(2.0) * kEpsHalf},
            .queries = kHalf,
            .pages = {.relative = kEpsHalf,
                      .of_largest = kv == kernels::KvType::kInt8 ? kInt8.of_largest : 0},
            .softmax = kEpsHalf,
            .head_rows = kHalf};
  }
};

class CudaModelGoldenTest : public ::testing::TestWithParam<Formats> {
 protected:
  void SetUp() override {
    if (!probe_cuda().failure.empty()) GTEST_SKIP() << "skipped: no CUDA device";
  }
};

std::unique_ptr<Model> cuda_model(const Formats& formats) {
  return create_cuda_model(pocket(formats.head),
                           {.n_pages = pages_for(kContext),
                            .context_tokens = kContext,
                            .max_rows = kContext,
                            .max_sequences = 1,
                            .max_logit_rows = kContext,
                            .kv_type = formats.kv},
                           {})
      .value();
}

// Short prompts are flat steps, long ones large steps.
TEST_P(CudaModelGoldenTest, AgreesWithTheIndependentImplementation) {
  const std::unique_ptr<Model> model = cuda_model(GetParam());
  GoldenComparison comparison(pocket(HeadFormat::kF16));
  for (const Json& prompt : golden()["prompts"])
    comparison.add(prompt, *model, GetParam().rounding(), GetParam().head);
  comparison.print();
  EXPECT_GT(comparison.n_prompts(), 0);
  EXPECT_GT(comparison.worst(), 0.05);
  if (GetParam().kv == kernels::KvType::kInt8) {
    EXPECT_LE(comparison.n_undecided(), most_other_tokens(comparison.n_greedy()));
  }
}

// Logits of flat steps do not depend on how the prompt is cut, to the bit.
TEST_P(CudaModelGoldenTest, GivesTheSameBitsForEveryFlatChunk) {
  const std::unique_ptr<Model> model = cuda_model(GetParam());
  const std::vector<TokenId> tokens = golden_tokens("fim_spm_java_empty_suffix");
  std::vector<float> first;
  for (const size_t chunk : {1, 7, 16, 33, 64}) {
    for (size_t at = 0; at < tokens.size(); at += chunk) {
      const size_t end = std::min(at + chunk, tokens.size());
      model->forward(batch_of({tokens.begin() + static_cast<std::ptrdiff_t>(at),
                               tokens.begin() + static_cast<std::ptrdiff_t>(end)},
                              static_cast<int32_t>(at)));
      if (end < tokens.size()) continue;
      const std::span<const float> logits = model->logits(static_cast<int32_t>(end - at) - 1);
      const std::vector<float> now(logits.begin(), logits.end());
      if (first.empty()) first = now;
      EXPECT_EQ(now, first) << "chunk " << chunk;
    }
  }
}

TEST_P(CudaModelGoldenTest, LeavesNoTraceOfALargeStepThatIsGivenUp) {
  const std::unique_ptr<Model> model = cuda_model(GetParam());
  expect_no_trace_of_a_step_given_up(*model);
  // A flat step runs to its end: it may be a recording.
  ForwardBatch flat = batch_of({1, 2, 3}, 0);
  flat.is_unwanted = [] { return true; };
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(model->forward(flat));
}

std::vector<TokenId> greedy(Model& model, const std::vector<TokenId>& prompt, int32_t n) {
  std::vector<TokenId> tokens = prompt;
  model.forward(batch_of(prompt, 0));
  auto row = static_cast<int32_t>(prompt.size()) - 1;
  for (int32_t i = 0; i < n; ++i) {
    tokens.push_back(model.candidates(row)[0].token);
    model.forward(batch_of({tokens.back()}, static_cast<int32_t>(tokens.size()) - 1));
    row = 0;
  }
  return tokens;
}

TEST_P(CudaModelGoldenTest, WritesTheSameTextAsTheCpu) {
  if (GetParam().kv == kernels::KvType::kInt8) GTEST_SKIP() << "the CPU has no INT8 pages";
  const std::unique_ptr<Model> cuda = cuda_model(GetParam());
  const std::unique_ptr<Model> cpu = create_cpu_model(pocket(GetParam().head),
                                                      {.n_pages = pages_for(kContext),
                                                       .context_tokens = kContext,
                                                       .max_rows = kContext,
                                                       .max_sequences = 1,
                                                       .max_logit_rows = kContext},
                                                      {})
                                         .value();
  for (const Json& prompt : golden()["prompts"]) {
    const auto tokens = prompt["input_ids"].get<std::vector<TokenId>>();
    EXPECT_EQ(greedy(*cuda, tokens, 32), greedy(*cpu, tokens, 32)) << prompt["name"];
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, CudaModelGoldenTest,
                         ::testing::Values(Formats{HeadFormat::kF16}, Formats{HeadFormat::kInt8},
                                           Formats{HeadFormat::kF16, kernels::KvType::kInt8}),
                         [](const auto& c) {
                           const bool is_int8_kv = c.param.kv == kernels::KvType::kInt8;
                           return std::string(c.param.head == HeadFormat::kF16 ? "F16" : "Int8") +
                                  (is_int8_kv ? "Int8Kv" : "");
                         });

}  // namespace
}  // namespace incipit::engine
