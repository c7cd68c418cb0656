#include "engine/config/engine_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/model/cuda_device.h"

namespace incipit::engine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

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
              AllOf(HasSubstr("weights 4.00 GB + workspace 0.40 GB + KV pages of one context of "
                              "8192 tokens 1.02 GB + reserve 0.10 GB = 5.52 GB"),
                    HasSubstr("the budget is 5.00 GB, 11.00 GB of 12.00 GB are free"),
                    HasSubstr("--context"), HasSubstr("--gpu-memory"), HasSubstr("--device cpu")));
}

}  // namespace
}  // namespace incipit::engine
