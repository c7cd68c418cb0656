// What the engine holds of the device: nothing after it is gone, no more after a thousand requests
// than before, never more than its budget; and the same text as alone, whatever runs beside it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <random>

#include "engine/engine.h"
#include "engine/model/cuda_device.h"
#include "tests/support/temp_dir.h"

namespace incipit::engine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class CudaEngineMemoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!probe_cuda().failure.empty()) GTEST_SKIP() << "skipped: no CUDA device";
    options_.model = INCIPIT_SOURCE_DIR "/engine/models/pocket";
    options_.cache_dir = cache_.path().string();
    options_.device = "cuda";
    options_.context_tokens = 512;
  }

  test::TempDir cache_;
  EngineOptions options_;
};

// Requests of all kinds, some of them cancelled at any moment; returns how many failed.
int ask(Engine& engine, int n_requests, std::mt19937& random) {
  const auto pick = [&](uint32_t n) { return static_cast<int32_t>(random() % n); };
  std::mutex mutex;
  std::condition_variable changed;
  int n_finished = 0;
  int n_failed = 0;
  for (int i = 0; i < n_requests; ++i) {
    GenerateRequest request;
    const int32_t n_prompt = 1 + pick(pick(10) == 0 ? 400 : 60);
    for (int32_t t = 0; t < n_prompt; ++t) request.prompt.push_back(pick(3) + t % 50);
    request.stop.max_new_tokens = pick(12);
    request.priority = static_cast<Priority>(pick(3));
    const CancelToken cancel = request.cancel;
    const bool cancels = pick(3) == 0;
    request.on_token = [cancel, cancels](TokenId) {
      if (cancels) cancel.cancel();
    };
    request.on_finish = [&](const Generation& generation) {
      const std::lock_guard lock(mutex);
      ++n_finished;
      if (generation.reason == FinishReason::kError) ++n_failed;
      changed.notify_all();
    };
    engine.submit(std::move(request));
    if (pick(8) == 0) cancel.cancel();
    if (i % 40 == 39 || i + 1 == n_requests) {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return n_finished == i + 1; });
    }
  }
  return n_failed;
}

// Also what recorded steps take of the driver's memory is taken at the start.
TEST_F(CudaEngineMemoryTest, TakesNothingAfterItsStart) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::printf("seed: %u\n", seed);
  std::mt19937 random(seed);
  auto engine = Engine::create(options_).value();
  const int64_t started = cuda_bytes_in_use(0);
  EXPECT_EQ(ask(*engine, 500, random), 0);
  const int64_t before = cuda_bytes_in_use(0);
  EXPECT_EQ(ask(*engine, 1000, random), 0);
  const int64_t after = cuda_bytes_in_use(0);
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.pages_free + stats.pages_cached, stats.pages_total);
  engine.reset();
  const int64_t gone = cuda_bytes_in_use(0);
  Engine::create(options_).value().reset();
  const int64_t gone_again = cuda_bytes_in_use(0);
  std::printf(
      "[ measured ] while shapes came up: %.1f MB more; in 1000 requests: %.1f MB; engine %.1f "
      "MB\n",
      static_cast<double>(before - started) / 1e6, static_cast<double>(after - before) / 1e6,
      static_cast<double>(after - gone) / 1e6);
  EXPECT_LE(before - started, 0);
  EXPECT_LE(after - before, 0);
  EXPECT_LE(gone_again - gone, 0) << "an engine leaves nothing behind";
}

TEST_F(CudaEngineMemoryTest, KeepsToItsBudget) {
  const int64_t before = cuda_bytes_in_use(0);
  options_.gpu_memory = "1GiB";
  const auto engine = Engine::create(options_).value();
  const int64_t taken = cuda_bytes_in_use(0) - before;
  EXPECT_LE(taken, int64_t{1} << 30);
  EXPECT_GE(taken, int64_t{600} << 20) << "the rest is for KV pages";
  EXPECT_GT(engine->stats().pages_total, 32 * 4);
}

TEST_F(CudaEngineMemoryTest, HoldsNearlyTwiceTheTokensInInt8) {
  options_.kv_bytes = int64_t{24} << 20;
  const int32_t fp16 = Engine::create(options_).value()->stats().pages_total;
  options_.kv_type = "int8";
  const auto engine = Engine::create(options_).value();
  EXPECT_EQ(engine->stats().pages_total, fp16 * 2 * 64 / (64 + 4)) << "heads of 64, and a scale";
  EXPECT_LE(engine->info().kv_bytes, options_.kv_bytes);
  std::mt19937 random(7);
  EXPECT_EQ(ask(*engine, 40, random), 0);
}

TEST_F(CudaEngineMemoryTest, SaysTheArithmeticWhenTheBudgetIsTooSmall) {
  options_.gpu_memory = "32MiB";
  const auto engine = Engine::create(options_);
  ASSERT_FALSE(engine.ok());
  EXPECT_EQ(engine.error().code, ErrorCode::kOutOfMemory);
  EXPECT_THAT(engine.error().message,
              AllOf(HasSubstr("weights"), HasSubstr("workspace"), HasSubstr("KV pages"),
                    HasSubstr("the budget is 0.03"), HasSubstr("--gpu-memory")));
  options_.device = "auto";
  const auto on_cpu = Engine::create(options_).value();
  EXPECT_THAT(on_cpu->info().device, HasSubstr("cpu ("));
  EXPECT_THAT(on_cpu->info().device_note, HasSubstr("not enough memory"));
}

}  // namespace
}  // namespace incipit::engine
