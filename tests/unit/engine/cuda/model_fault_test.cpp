// A device that fails under the engine: an error of a call, a kernel that reads where there is
// nothing (the error sticks to the context of the device), a step that does not end. The requests
// that run get kDevice, and the next one is answered rightly.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "engine/kv/page_table.h"
#include "engine/model/create_model.h"
#include "engine/model/cuda_device.h"
#include "engine/schedule/engine_loop.h"
#include "engine/weights/weights.h"
#include "kernels/cuda/cuda_check.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/engine/cuda/broken_kernel.h"

namespace incipit::engine {
namespace {

using std::chrono::milliseconds;

constexpr int32_t kContext = 256;

class CudaFaultTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!probe_cuda().failure.empty()) GTEST_SKIP() << "skipped: no CUDA device";
    weights_ = load_weights(INCIPIT_SOURCE_DIR "/engine/models/pocket",
                            {.cache_dir = cache_.path().string()})
                   .value();
    prompt_.assign(20, 7);
  }

  // `hook` sees the stream before every step of the first model; warming up has no step yet.
  void start(const std::function<void(int32_t step, void* stream)>& hook,
             milliseconds deadline = milliseconds(0)) {
    auto model = create(
        [this, hook](void* stream) {
          if (armed_) hook(++n_steps_, stream);
        },
        deadline);
    ASSERT_TRUE(model.ok()) << model.error().message;
    loop_ = std::make_unique<EngineLoop>(
        std::move(model).value(), scheduling(), [](TokenId) { return std::string_view(); },
        [this](const DeviceFault& fault) { return replace(fault); });
    armed_ = true;
  }

  Result<std::unique_ptr<Model>> create(const std::function<void(void*)>& hook,
                                        milliseconds deadline) const {
    return create_cuda_model(weights_, limits(), {.step_deadline = deadline, .before_step = hook});
  }

  // As Engine does it: the device once more if it answers, else the CPU.
  Result<PlannedModel> replace(const DeviceFault& fault) {
    if (fault.kind() == DeviceFault::Kind::kFailed) {
      const Result<void> recovered = recover_cuda_device(0);
      auto again = recovered ? create({}, milliseconds(0)) : recovered.error();
      if (again) return PlannedModel{std::move(again).value(), scheduling()};
      std::printf("[ measured ] the CPU takes over: %s\n", again.error().message.c_str());
    }
    auto cpu = create_cpu_model(weights_, limits(), {});
    if (!cpu) return cpu.error();
    return PlannedModel{std::move(cpu).value(), scheduling()};
  }

  static SchedulerOptions scheduling() {
    return {.context_tokens = kContext, .max_batch = 2, .prefill_chunk = 32};
  }
  static ModelLimits limits() {
    return {.n_pages = 2 * pages_for(kContext),
            .context_tokens = kContext,
            .max_rows = 34,
            .max_sequences = 2};
  }

  Generation run(int32_t n_new) {
    std::promise<Generation> done;
    GenerateRequest request;
    request.prompt = prompt_;
    request.stop.max_new_tokens = n_new;
    request.on_finish = [&](const Generation& generation) { done.set_value(generation); };
    loop_->submit(std::move(request));
    return done.get_future().get();
  }

  // Fails in the third step; the model after it answers.
  void expect_recovery(const char* device) {
    const Generation failed = run(16);
    ASSERT_EQ(failed.reason, FinishReason::kError);
    EXPECT_EQ(failed.error.value().code, ErrorCode::kDevice);
    const Generation next = run(16);
    EXPECT_EQ(next.reason, FinishReason::kTokenLimit) << (next.error ? next.error->message : "");
    EXPECT_EQ(next.tokens.size(), 16u);
    EXPECT_EQ(std::vector<TokenId>(
                  next.tokens.begin(),
                  next.tokens.begin() + static_cast<std::ptrdiff_t>(failed.tokens.size())),
              failed.tokens)
        << "what came before the fault was right";
    const DeviceStatus status = loop_->device();
    EXPECT_EQ(status.n_faults, 1);
    EXPECT_EQ(status.device.substr(0, 4), std::string(device).substr(0, 4)) << status.last_fault;
    std::printf("[ measured ] %s\n", status.last_fault.c_str());
  }

  test::TempDir cache_;
  Weights<kernels::CpuTile> weights_;
  std::vector<TokenId> prompt_;
  std::atomic<bool> armed_{false};
  int32_t n_steps_ = 0;
  std::unique_ptr<EngineLoop> loop_;
};

TEST_F(CudaFaultTest, RecoversFromAnErrorOfACall) {
  start([](int32_t step, void*) {
    if (step == 3)
      throw kernels::cuda::CudaError("CUDA: a call that a test lets fail", cudaErrorUnknown);
  });
  expect_recovery("cuda");
}

TEST_F(CudaFaultTest, ReportsAStepThatDoesNotEndAndGoesOnOnTheCpu) {
  start(
      [](int32_t step, void* stream) {
        if (step != 3) return;
        const cudaError_t code = cudaLaunchHostFunc(
            static_cast<cudaStream_t>(stream),
            [](void*) { std::this_thread::sleep_for(milliseconds(2000)); }, nullptr);
        ASSERT_EQ(code, cudaSuccess);
      },
      milliseconds(300));
  expect_recovery("cpu ");
  EXPECT_NE(loop_->device().last_fault.find("has not ended after"), std::string::npos);
}

// Last: whether a device comes back from this is the driver's decision; either way the next request
// is answered.
TEST_F(CudaFaultTest, RecoversFromAKernelThatReadsWhereThereIsNothing) {
  start([](int32_t step, void* stream) {
    if (step == 3) test::launch_broken_kernel(stream);
  });
  const Generation failed = run(16);
  ASSERT_EQ(failed.reason, FinishReason::kError);
  EXPECT_EQ(failed.error.value().code, ErrorCode::kDevice);
  EXPECT_EQ(run(16).reason, FinishReason::kTokenLimit);
  EXPECT_EQ(loop_->device().n_faults, 1);
  std::printf("[ measured ] %s\n", loop_->device().last_fault.c_str());
}

}  // namespace
}  // namespace incipit::engine
