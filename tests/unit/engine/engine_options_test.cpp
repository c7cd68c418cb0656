#include "engine/config/engine_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/model/cuda_device.h"

namespace incipit::engine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(ParseDevice, KnowsEveryWord) {
  EXPECT_EQ(parse_device("auto")->kind, DeviceWish::Kind::kAuto);
  EXPECT_EQ(parse_device("cpu")->kind, DeviceWish::Kind::kCpu);
  EXPECT_EQ(parse_device("cuda")->kind, DeviceWish::Kind::kCuda);
  EXPECT_EQ(parse_device("cuda")->cuda_index, 0);
  EXPECT_EQ(parse_device("cuda:3")->cuda_index, 3);
}

TEST(ParseDevice, RefusesEverythingElse) {
  for (const char* text :
       {"", "gpu", "CUDA", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cuda:99999"})
    EXPECT_FALSE(parse_device(text).ok()) << text;
  EXPECT_EQ(parse_device("gpu").error().message,
            "device: want auto, cpu, cuda or cuda:N, found \"gpu\"");
}

TEST(ParseMemoryBudget, ReadsSizesAndFractions) {
  EXPECT_EQ(parse_memory_budget("11GiB")->of(1), int64_t{11} << 30);
  EXPECT_EQ(parse_memory_budget("900MB")->of(1), 900'000'000);
  EXPECT_EQ(parse_memory_budget("1.5GB")->of(1), 1'500'000'000);
  EXPECT_EQ(parse_memory_budget("0.5")->of(1000), 500);
  EXPECT_EQ(parse_memory_budget("1")->of(1000), 1000);
  EXPECT_TRUE(parse_memory_budget("0.9")->is_given);
  EXPECT_EQ(parse_memory_budget("")->of(1000), 900);
  EXPECT_FALSE(parse_memory_budget("")->is_given);
}

TEST(ParseMemoryBudget, RefusesEverythingElse) {
  for (const char* text : {"much", "0", "-1", "2", "0GiB", "11 GiB", "11gib", "1e3MB", "GiB", "nan",
                           "inf", "1..5GB", "99999999TB"})
    EXPECT_FALSE(parse_memory_budget(text).ok()) << text;
  EXPECT_THAT(parse_memory_budget("much").error().message,
              HasSubstr("gpu_memory: want a size such as 11GiB"));
}

TEST(ParseKvType, KnowsTwoWords) {
  EXPECT_EQ(parse_kv_type("f16").value(), kernels::KvType::kF16);
  EXPECT_EQ(parse_kv_type("int8").value(), kernels::KvType::kInt8);
  for (const char* text : {"", "fp16", "INT8", "int4", "int8 "})
    EXPECT_FALSE(parse_kv_type(text).ok()) << text;
  EXPECT_EQ(parse_kv_type("q8").error().message, "kv_type: want f16 or int8, found \"q8\"");
}

TEST(ChooseKvType, RefusesInt8WhereTheDeviceIsTheCpu) {
  EngineOptions options;
  options.kv_type = "int8";
  for (const char* device : {"auto", "cuda", "cuda:1"}) {
    options.device = device;
    EXPECT_EQ(choose_kv_type(options).value(), kernels::KvType::kInt8) << device;
  }
  options.device = "cpu";
  EXPECT_EQ(choose_kv_type(options).error().message,
            "kv_type: int8 keys and values are for a CUDA device, and the device is cpu: want f16");
  options.kv_type = "f16";
  EXPECT_EQ(choose_kv_type(options).value(), kernels::KvType::kF16);
}

// 16,384 tokens of Llama-3-8B: the plan has the bytes that the pool takes, scales included.
TEST(CudaMemoryPlanOfInt8, CountsPagesWithTheirScales) {
  const ModelConfig config = synthetic_model_config("llama-3-8b").value();
  ModelLimits limits = {.context_tokens = 16384, .max_rows = 520, .max_sequences = 8};
  const CudaMemoryPlan fp16 = plan_cuda_memory(config, 4'130'000'000, limits);
  limits.kv_type = kernels::KvType::kInt8;
  const CudaMemoryPlan int8 = plan_cuda_memory(config, 4'130'000'000, limits);
  EXPECT_EQ(fp16.page_bytes, 2 * 32 * 8 * 16 * 256);
  EXPECT_EQ(int8.page_bytes, 2 * 32 * 8 * 16 * 132);
  EXPECT_EQ(fp16.context_pages * fp16.page_bytes, 2'147'483'648);
  EXPECT_EQ(int8.context_pages * int8.page_bytes, 1'107'296'256);
  EXPECT_LE(int8.workspace - fp16.workspace, 5'000'000) << "staging";
  EXPECT_THAT(describe(int8), HasSubstr("int8 KV pages of one context of 16384 tokens 1.11 GB"));
}

// A 12 GB card, and a model of 4 GB with pages of 2 MB and a context of 512 of them.
constexpr CudaMemoryPlan kPlan = {.weights = 4'000'000'000,
                                  .workspace = 400'000'000,
                                  .page_bytes = 2'000'000,
                                  .context_pages = 512,
                                  .reserve = 100'000'000};
CudaDevice card(int64_t free_bytes) {
  return {.index = 0,
          .name = "Card",
          .major = 8,
          .minor = 6,
          .total_bytes = 12'000'000'000,
          .free_bytes = free_bytes};
}

TEST(CudaPages, AreFourContextsUnlessABudgetIsGiven) {
  const CudaDevice device = card(11'000'000'000);
  EXPECT_EQ(cuda_pages_for(kPlan, {}, 0, device).value(), 4 * 512);
  EXPECT_EQ(cuda_pages_for(kPlan, parse_memory_budget("0.9").value(), 0, device).value(),
            (9'900 - 4'500) / 2);
  EXPECT_EQ(cuda_pages_for(kPlan, parse_memory_budget("7GB").value(), 0, device).value(),
            (7'000 - 4'500) / 2);
  EXPECT_EQ(cuda_pages_for(kPlan, {}, 1'500'000'000, device).value(), 750) << "kv_bytes";
}

TEST(CudaPages, NeverTakeMoreThanIsFree) {
  EXPECT_EQ(
      cuda_pages_for(kPlan, parse_memory_budget("11GB").value(), 0, card(6'000'000'000)).value(),
      750);
}

TEST(CudaPages, SayTheArithmeticAndWhatToChangeWhenAContextDoesNotFit) {
  const Error error =
      cuda_pages_for(kPlan, parse_memory_budget("5GB").value(), 0, card(11'000'000'000)).error();
  EXPECT_EQ(error.code, ErrorCode::kOutOfMemory);
  EXPECT_THAT(error.message,
              AllOf(HasSubstr("weights 4.00 GB + workspace 0.40 GB + f16 KV pages of one context "
                              "of 8192 tokens 1.02 GB + reserve 0.10 GB = 5.52 GB"),
                    HasSubstr("the budget is 5.00 GB, 11.00 GB of 12.00 GB are free"),
                    HasSubstr("--context"), HasSubstr("--kv-type int8"), HasSubstr("--gpu-memory"),
                    HasSubstr("--device cpu")));
  CudaMemoryPlan int8 = kPlan;
  int8.kv_type = kernels::KvType::kInt8;
  EXPECT_THAT(cuda_pages_for(int8, parse_memory_budget("5GB").value(), 0, card(11'000'000'000))
                  .error()
                  .message,
              AllOf(HasSubstr("int8 KV pages"), Not(HasSubstr("--kv-type"))));
}

}  // namespace
}  // namespace incipit::engine
