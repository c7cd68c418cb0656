// A device that fails under the engine loop: what runs gets kDevice, what waits stays, and the loop
// goes on with another model or refuses everything.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/unit/engine/engine_loop_fixture.h"

namespace incipit::engine {
namespace {

// A device that fails: in the n-th step, once or every time.
class EngineLoopFaultTest : public EngineLoopTest {
 protected:
  // The loop's thread calls what this class holds: it ends before that goes.
  ~EngineLoopFaultTest() override { loop_.reset(); }

  void fail_in_step(int32_t step, DeviceFault::Kind kind = DeviceFault::Kind::kFailed) {
    on_forward_ = [this, step, kind](const ForwardBatch&) {
      if (++n_steps_ == step) throw DeviceFault(kind, "the cable is loose");
    };
  }

  void supply_models(int32_t n_models, int32_t n_pages = 64) {
    supply_ = [this, n_models, n_pages](const DeviceFault& fault) -> Result<PlannedModel> {
      EXPECT_STREQ(fault.what(), "the cable is loose");
      if (++n_supplied_ > n_models) return Error{ErrorCode::kOutOfMemory, "no room left"};
      return PlannedModel{make_model(n_pages), {.context_tokens = 512, .prefill_chunk = 16}};
    };
  }

  // The faults as they are told.
  void watch() {
    loop_->watch_device([this](const DeviceStatus& status) {
      std::lock_guard lock(mutex_);
      told_.push_back(status);
      changed_.notify_all();
    });
  }
  DeviceStatus wait_for_fault(size_t n) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return told_.size() >= n; });
    return told_[n - 1];
  }

  std::atomic<int32_t> n_steps_{0};
  int32_t n_supplied_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<DeviceStatus> told_;
};

TEST_F(EngineLoopFaultTest, FailsWhatRunsAndServesTheNextRequestOnAnotherModel) {
  fail_in_step(4);
  supply_models(1);
  start();
  watch();
  loop_->submit(results_.request(counting(40), 20));
  results_.wait(1);
  const Generation failed = results_.at(0);
  EXPECT_EQ(failed.reason, FinishReason::kError);
  EXPECT_EQ(failed.error.value().code, ErrorCode::kDevice);
  EXPECT_EQ(failed.error->message, "fake failed: the cable is loose");
  EXPECT_EQ(failed.tokens, fake_continuation(counting(40), 3)) << "what came before is right";

  const DeviceStatus status = wait_for_fault(1);
  EXPECT_EQ(status.n_faults, 1);
  EXPECT_EQ(status.device, "fake");
  EXPECT_EQ(status.last_fault,
            "fake failed (the cable is loose); the model was loaded again and runs on fake");
  EXPECT_EQ(loop_->device().last_fault, status.last_fault);

  const Generation next = run(results_.request(counting(40), 20));
  EXPECT_EQ(next.tokens, fake_continuation(counting(40), 20));
  EXPECT_EQ(next.timings.n_cached_tokens, 0) << "the pages went with the device";
  EXPECT_EQ(run(results_.request(counting(40), 5)).timings.n_cached_tokens, 39);
  EXPECT_EQ(loop_->stats().tokens_prefilled, 40 + 40 + 1) << "counted across models";
  expect_no_leak();
}

TEST_F(EngineLoopFaultTest, KeepsWhatWaits) {
  std::mutex gate;
  gate.lock();
  on_forward_ = [&](const ForwardBatch&) {
    std::lock_guard lock(gate);
    if (++n_steps_ == 3) throw DeviceFault(DeviceFault::Kind::kFailed, "the cable is loose");
  };
  supply_models(1);
  start({.max_batch = 2});
  constexpr int32_t kRequests = 6;
  for (int32_t i = 0; i < kRequests; ++i) loop_->submit(results_.request(counting(10, 7 * i), 10));
  gate.unlock();
  results_.wait(kRequests);
  int32_t n_failed = 0;
  for (int32_t i = 0; i < kRequests; ++i) {
    const Generation generation = results_.at(static_cast<size_t>(i));
    if (generation.reason == FinishReason::kError) {
      EXPECT_EQ(generation.error.value().code, ErrorCode::kDevice);
      ++n_failed;
    } else {
      EXPECT_EQ(generation.tokens, fake_continuation(counting(10, 7 * i), 10));
    }
  }
  EXPECT_GE(n_failed, 1);
  EXPECT_LE(n_failed, 2) << "no more than ran";
  expect_no_leak();
}

TEST_F(EngineLoopFaultTest, GoesOnAfterASecondFaultWithASmallerModel) {
  on_forward_ = [this](const ForwardBatch&) {
    ++n_steps_;
    if (n_steps_ == 2 || n_steps_ == 4)
      throw DeviceFault(DeviceFault::Kind::kFailed, "the cable is loose");
  };
  supply_models(2, /*n_pages=*/4);
  start();
  watch();
  EXPECT_EQ(run(results_.request(counting(10), 10)).reason, FinishReason::kError);
  EXPECT_EQ(run(results_.request(counting(10), 10)).reason, FinishReason::kError);
  EXPECT_EQ(wait_for_fault(2).n_faults, 2);
  EXPECT_EQ(run(results_.request(counting(10), 10)).tokens, fake_continuation(counting(10), 10));
  EXPECT_EQ(loop_->stats().pages_total, 4);
  const Generation too_long = run(results_.request(counting(80), 1));
  EXPECT_EQ(too_long.error.value().code, ErrorCode::kOutOfMemory);
  expect_no_leak();
}

TEST_F(EngineLoopFaultTest, RefusesEverythingWhenNoModelIsLeft) {
  fail_in_step(1);
  supply_models(0);
  start({.max_batch = 1});
  watch();
  for (int i = 0; i < 3; ++i) loop_->submit(results_.request(counting(10), 10));
  results_.wait(3);
  const DeviceStatus status = wait_for_fault(1);
  EXPECT_EQ(status.device, kNoDevice);
  EXPECT_EQ(status.last_fault,
            "fake failed (the cable is loose); the model cannot be loaded again: no room left");
  const Generation later = run(results_.request(counting(10), 10));
  EXPECT_EQ(later.error.value().code, ErrorCode::kDevice);
  EXPECT_EQ(loop_->stats().sequences_waiting, 0);
}

// Its memory cannot be given back without waiting for it.
TEST_F(EngineLoopFaultTest, LeavesADeviceThatDoesNotAnswerAlone) {
  fail_in_step(1, DeviceFault::Kind::kDoesNotAnswer);
  supply_models(1);
  start();
  const std::unique_ptr<test::FakeModel> left_alone(model_);
  EXPECT_EQ(run(results_.request(counting(10), 10)).error.value().code, ErrorCode::kDevice);
  EXPECT_EQ(run(results_.request(counting(10), 10)).tokens, fake_continuation(counting(10), 10));
  EXPECT_EQ(left_alone->n_steps(), 1) << "still there";
}

TEST_F(EngineLoopFaultTest, AnswersEveryRequestWhileDevicesComeAndGo) {
  on_forward_ = [this](const ForwardBatch&) {
    if (++n_steps_ % 7 == 0) throw DeviceFault(DeviceFault::Kind::kFailed, "the cable is loose");
  };
  supply_models(1000);
  start({.max_batch = 3});
  constexpr int kThreads = 3;
  constexpr int kEach = 20;
  std::vector<Results> results(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        GenerateRequest request = results[static_cast<size_t>(t)].request(
            counting(5 + i, t), 6, static_cast<Priority>(i % 3));
        loop_->submit(request);
        if (i % 4 == 0) request.cancel.cancel();
        EXPECT_GE(loop_->device().n_faults, 0);
        EXPECT_GE(loop_->stats().pages_total, 0);
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (int t = 0; t < kThreads; ++t) {
    results[static_cast<size_t>(t)].wait(kEach);
    for (int i = 0; i < kEach; ++i) {
      const Generation generation = results[static_cast<size_t>(t)].at(static_cast<size_t>(i));
      const Tokens expected = fake_continuation(counting(5 + i, t), 6);
      ASSERT_LE(generation.tokens.size(), expected.size());
      EXPECT_TRUE(std::equal(generation.tokens.begin(), generation.tokens.end(), expected.begin()));
    }
  }
  EXPECT_GT(loop_->device().n_faults, 0);
}

}  // namespace
}  // namespace incipit::engine
