#include "engine/schedule/engine_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <random>
#include <stdexcept>
#include <thread>

#include "tests/unit/engine/engine_loop_fixture.h"

namespace incipit::engine {
namespace {

TEST_F(EngineLoopTest, GeneratesWhatTheModelSays) {
  start();
  loop_->submit(results_.request(counting(40), 20));
  results_.wait(1);
  const Generation generation = results_.at(0);
  EXPECT_EQ(generation.reason, FinishReason::kTokenLimit);
  EXPECT_EQ(generation.tokens, fake_continuation(counting(40), 20));
  EXPECT_EQ(generation.error, std::nullopt);
  const Timings& timings = generation.timings;
  EXPECT_EQ(timings.n_prompt_tokens, 40);
  EXPECT_EQ(timings.n_cached_tokens, 0);
  EXPECT_EQ(timings.n_generated, 20);
  EXPECT_LE(timings.queued, timings.first_token);
  EXPECT_LE(timings.first_token, timings.total);
  expect_no_leak();
  const EngineStats stats = loop_->stats();
  EXPECT_EQ(stats.tokens_prefilled, 40);
  EXPECT_EQ(stats.tokens_generated, 20);
  EXPECT_EQ(stats.requests_finished, 1);
}

TEST_F(EngineLoopTest, AnswersManyAtOnceAsIfEachWereAlone) {
  start({}, 40);
  std::vector<Tokens> prompts;
  for (int i = 0; i < 30; ++i) prompts.push_back(counting(1 + 7 * i % 90, i % 4));
  for (const Tokens& prompt : prompts) loop_->submit(results_.request(prompt, 15));
  results_.wait(prompts.size());
  for (size_t i = 0; i < prompts.size(); ++i)
    EXPECT_EQ(results_.at(i).tokens, fake_continuation(prompts[i], 15)) << i;
  expect_no_leak();
}

TEST_F(EngineLoopTest, DrawsTheSameTokensAloneAndInABatch) {
  const SamplingParams sampling{.temperature = 1.5F, .top_p = 0.95F, .seed = 42};
  start();
  GenerateRequest alone = results_.request(counting(30), 20);
  alone.sampling = sampling;
  loop_->submit(alone);
  results_.wait(1);
  for (int i = 0; i < 5; ++i) {
    GenerateRequest request = results_.request(counting(30, i == 2 ? 0 : i * 7 + 1), 20);
    request.sampling = sampling;
    loop_->submit(request);
  }
  results_.wait(6);
  EXPECT_EQ(results_.at(3).tokens, results_.at(0).tokens);
  EXPECT_NE(results_.at(0).tokens, fake_continuation(counting(30), 20)) << "it did draw";
}

TEST_F(EngineLoopTest, PrefillsWithoutGeneratingAndThenStartsFromTheCache) {
  start();
  loop_->submit(results_.request(counting(100), 0, Priority::kPrewarm));
  results_.wait(1);
  EXPECT_EQ(results_.at(0).reason, FinishReason::kPrefilled);
  EXPECT_TRUE(results_.at(0).tokens.empty());
  loop_->submit(results_.request(counting(100), 5));
  results_.wait(2);
  EXPECT_EQ(results_.at(1).timings.n_cached_tokens, 99);
  EXPECT_EQ(results_.at(1).tokens, fake_continuation(counting(100), 5));
  EXPECT_EQ(loop_->stats().tokens_reused, 99);
  expect_no_leak();
}

TEST_F(EngineLoopTest, StopsAtEachKindOfEnd) {
  start();
  const Tokens prompt = counting(20);
  const Tokens answer = fake_continuation(prompt, 60);

  GenerateRequest request;
  request.prompt = prompt;
  request.stop.max_new_tokens = 60;
  request.stop.stop_tokens = {answer[5]};
  Generation generation = run(request);
  EXPECT_EQ(generation.reason, FinishReason::kStopToken);
  const auto first = std::ranges::find(answer, answer[5]);
  EXPECT_EQ(generation.tokens, Tokens(answer.begin(), first));

  request.stop.stop_tokens.clear();
  const std::string text = spell(answer);
  request.stop.stop_strings = {text.substr(9, 4)};
  generation = run(request);
  EXPECT_EQ(generation.reason, FinishReason::kStopString);
  EXPECT_EQ(spell(generation.tokens), text.substr(0, text.find(text.substr(9, 4))));
  EXPECT_EQ(generation.n_overhang_bytes, 0);

  request.stop.stop_strings.clear();
  request.stop.max_lines = 1;
  const size_t line = text.find('\n');
  ASSERT_NE(line, std::string::npos);
  generation = run(request);
  EXPECT_EQ(generation.reason, FinishReason::kLineLimit);
  EXPECT_EQ(spell(generation.tokens), text.substr(0, line + 1));
}

TEST_F(EngineLoopTest, EndsWhenTheContextIsFull) {
  start({.context_tokens = 48});
  loop_->submit(results_.request(counting(40), 100));
  loop_->submit(results_.request(counting(48, 3), 100));
  results_.wait(2);
  EXPECT_EQ(results_.at(0).reason, FinishReason::kContextFull);
  EXPECT_EQ(results_.at(0).tokens, fake_continuation(counting(40), 8));
  EXPECT_EQ(results_.at(1).reason, FinishReason::kContextFull);
  EXPECT_TRUE(results_.at(1).tokens.empty());
  expect_no_leak();
}

TEST_F(EngineLoopTest, RefusesBadRequestsWithTheReason) {
  start({.context_tokens = 128}, 4);
  const auto refused = [&](auto change) {
    GenerateRequest request;
    request.prompt = counting(4);
    change(request);
    const Generation generation = run(request);
    EXPECT_EQ(generation.reason, FinishReason::kError);
    EXPECT_TRUE(generation.tokens.empty());
    return generation.error.value_or(Error{ErrorCode::kInternal, "no error was given"});
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  using R = GenerateRequest;
  EXPECT_THAT(refused([](R& r) { r.prompt.clear(); }).message, HasSubstr("at least one token"));
  EXPECT_THAT(refused([](R& r) { r.prompt[2] = 97; }).message,
              HasSubstr("prompt[2]: want a token id in 0..96, found 97"));
  EXPECT_THAT(refused([](R& r) { r.prompt[0] = -1; }).message, HasSubstr("found -1"));
  for (float bad : {nan, inf, -1.0F})
    EXPECT_THAT(refused([&](R& r) { r.sampling.temperature = bad; }).message,
                HasSubstr("temperature: want"));
  for (float bad : {nan, 0.0F, 1.5F})
    EXPECT_THAT(refused([&](R& r) { r.sampling.top_p = bad; }).message, HasSubstr("top_p: want"));
  EXPECT_THAT(refused([](R& r) { r.stop.max_new_tokens = -1; }).message,
              HasSubstr("max_new_tokens: want >= 0, found -1"));
  EXPECT_THAT(refused([](R& r) { r.stop.max_lines = -2; }).message, HasSubstr("max_lines"));
  EXPECT_THAT(refused([](R& r) { r.stop.stop_strings = {""}; }).message, HasSubstr("stop_strings"));
  const Error too_long = refused([](R& r) { r.prompt = counting(129); });
  EXPECT_EQ(too_long.code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(too_long.message, HasSubstr("129 tokens, but the context holds 128"));
  const Error too_big = refused([](R& r) { r.prompt = counting(65); });
  EXPECT_EQ(too_big.code, ErrorCode::kOutOfMemory);
  EXPECT_THAT(too_big.message, HasSubstr("65 tokens need 5 KV pages"));
  EXPECT_EQ(loop_->stats().requests_finished, 14);
  expect_no_leak();
}

TEST_F(EngineLoopTest, StopsACancelledRequestBeforeItsNextToken) {
  GenerateRequest request = results_.request(counting(30), 400);
  const auto count = request.on_token;
  request.on_token = [&, count](TokenId token) {
    count(token);
    request.cancel.cancel();  // as another thread may at any moment
  };
  start();
  loop_->submit(request);
  results_.wait(1);
  const Generation generation = results_.at(0);
  EXPECT_EQ(generation.reason, FinishReason::kCancelled);
  EXPECT_EQ(generation.tokens, fake_continuation(counting(30), 1));
  EXPECT_EQ(loop_->stats().requests_cancelled, 1);
  expect_no_leak();
}

TEST_F(EngineLoopTest, KeepsTheFinishedChunksOfACancelledPrompt) {
  const CancelToken cancel;
  int n_steps = 0;
  on_forward_ = [&](const ForwardBatch&) {
    if (++n_steps == 3) cancel.cancel();
  };
  start({.prefill_chunk = 32});
  GenerateRequest request = results_.request(counting(300), 5);
  request.cancel = cancel;
  loop_->submit(request);
  results_.wait(1);
  EXPECT_EQ(results_.at(0).reason, FinishReason::kCancelled);
  EXPECT_EQ(n_steps, 3) << "no step after the one that was running";
  loop_->submit(results_.request(counting(300), 5));
  results_.wait(2);
  EXPECT_EQ(results_.at(1).timings.n_cached_tokens, 96);
  EXPECT_EQ(results_.at(1).tokens, fake_continuation(counting(300), 5));
  expect_no_leak();
}

TEST_F(EngineLoopTest, GivesUpAStepThatIsMostlyForACancelledPrompt) {
  const CancelToken cancel;
  int n_chunks = 0;
  std::mutex gate;
  gate.lock();
  on_forward_ = [&](const ForwardBatch& batch) {
    std::lock_guard lock(gate);
    if (batch.n_rows() > 20 && ++n_chunks == 2) cancel.cancel();
  };
  gives_up_ = true;
  start({.prefill_chunk = 32});
  loop_->submit(results_.request(counting(12, 40), 60));
  GenerateRequest request = results_.request(counting(300), 5);
  request.cancel = cancel;
  loop_->submit(request);
  gate.unlock();
  results_.wait(2);
  // Who shared the step is answered as if nothing had been; chunks that were finished stay cached.
  EXPECT_EQ(results_.at(0).tokens, fake_continuation(counting(12, 40), 60));
  EXPECT_EQ(results_.at(1).reason, FinishReason::kCancelled);
  EXPECT_EQ(n_chunks, 2);
  loop_->submit(results_.request(counting(300), 5));
  results_.wait(3);
  EXPECT_GE(results_.at(2).timings.n_cached_tokens, 16);
  EXPECT_LE(results_.at(2).timings.n_cached_tokens, 32);
  EXPECT_EQ(results_.at(2).tokens, fake_continuation(counting(300), 5));
  expect_no_leak();
}

// A few rows of a cancelled request do not cost the others their step.
TEST_F(EngineLoopTest, RunsAStepToItsEndThatIsMostlyForOthers) {
  const CancelToken cancel;
  int n_given_up = 0;
  std::mutex gate;
  gate.lock();
  on_forward_ = [&](const ForwardBatch& batch) {
    std::lock_guard lock(gate);
    if (batch.n_rows() == 3) cancel.cancel();
    if (batch.is_unwanted()) ++n_given_up;
  };
  gives_up_ = true;
  start();
  for (int32_t i = 0; i < 3; ++i) {
    GenerateRequest request = results_.request(counting(12, 7 * i), 30);
    if (i == 1) request.cancel = cancel;
    loop_->submit(request);
  }
  gate.unlock();
  results_.wait(3);
  for (const size_t i : {0u, 2u}) EXPECT_EQ(results_.at(i).reason, FinishReason::kTokenLimit);
  EXPECT_EQ(results_.at(1).reason, FinishReason::kCancelled);
  EXPECT_EQ(n_given_up, 0);
  expect_no_leak();
}

TEST_F(EngineLoopTest, AnswersACancelledRequestThatStillWaits) {
  GenerateRequest waiting = results_.request(counting(10), 5);
  bool submitted = false;
  on_forward_ = [&](const ForwardBatch&) {
    if (!submitted) loop_->submit(waiting);
    submitted = true;
    waiting.cancel.cancel();
  };
  start({.max_batch = 1});
  loop_->submit(results_.request(counting(20), 50));
  results_.wait(2);
  EXPECT_EQ(results_.at(0).reason, FinishReason::kCancelled);
  EXPECT_EQ(results_.at(0).timings.first_token.count(), 0);
  EXPECT_EQ(results_.at(1).tokens, fake_continuation(counting(20), 50));
}

TEST_F(EngineLoopTest, SurvivesCallbacksThatThrow) {
  start();
  GenerateRequest request = results_.request(counting(10), 5);
  const auto on_finish = request.on_finish;
  const auto on_token = request.on_token;
  request.on_token = [on_token](TokenId token) {
    on_token(token);
    throw std::runtime_error("from on_token");
  };
  request.on_finish = [on_finish](const Generation& generation) {
    on_finish(generation);
    throw 5;  // not even a std::exception
  };
  loop_->submit(request);
  loop_->submit(results_.request(counting(11), 5));
  results_.wait(2);
  EXPECT_EQ(results_.at(0).tokens, fake_continuation(counting(10), 5));
  EXPECT_EQ(results_.at(1).tokens, fake_continuation(counting(11), 5));
}

TEST_F(EngineLoopTest, FailsOnlyTheRequestWhoseLogitsAreNotFinite) {
  nan_token_ = 50;
  start();
  const Tokens poisoned = {1, 2, 50};
  const Tokens good = counting(12);
  loop_->submit(results_.request(good, 3));
  loop_->submit(results_.request(poisoned, 3));
  results_.wait(2);
  EXPECT_EQ(results_.at(0).reason, FinishReason::kTokenLimit);
  const Generation failed = results_.at(1);
  EXPECT_EQ(failed.reason, FinishReason::kError);
  ASSERT_TRUE(failed.error.has_value());
  EXPECT_EQ(failed.error->code, ErrorCode::kInternal);
  EXPECT_THAT(failed.error->message, HasSubstr("position 2 are not finite"));
  expect_no_leak();
}

TEST_F(EngineLoopTest, FailsTheRequestsOfAStepThatThrowsAndGoesOn) {
  bool thrown = false;
  on_forward_ = [&](const ForwardBatch& batch) {
    if (thrown || batch.positions[0] < 20) return;
    thrown = true;
    throw std::runtime_error("device lost");
  };
  start();
  loop_->submit(results_.request(counting(10), 40));
  results_.wait(1);
  EXPECT_EQ(results_.at(0).reason, FinishReason::kError);
  EXPECT_THAT(results_.at(0).error.value().message, HasSubstr("device lost"));
  loop_->submit(results_.request(counting(10), 40));
  results_.wait(2);
  EXPECT_EQ(results_.at(1).tokens, fake_continuation(counting(10), 40));
  expect_no_leak();
}

TEST_F(EngineLoopTest, AcceptsRequestsFromACallback) {
  start();
  GenerateRequest second = results_.request(counting(12), 4);
  GenerateRequest first = results_.request(counting(10), 4);
  const auto on_finish = first.on_finish;
  first.on_finish = [&, on_finish](const Generation& generation) {
    on_finish(generation);
    loop_->submit(second);
  };
  loop_->submit(first);
  results_.wait(2);
  EXPECT_EQ(results_.at(0).tokens, fake_continuation(counting(12), 4));
}

TEST_F(EngineLoopTest, AnswersEveryRequestWhenItIsDestroyed) {
  std::mutex mutex;
  std::condition_variable changed;
  bool running = false;
  on_forward_ = [&](const ForwardBatch&) {
    std::lock_guard lock(mutex);
    running = true;
    changed.notify_all();
  };
  start({.max_batch = 2});
  for (int i = 0; i < 20; ++i) loop_->submit(results_.request(counting(10, i), 400));
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return running; });
  }
  loop_.reset();
  EXPECT_EQ(results_.n_finished(), 20u);
  for (size_t i = 0; i < 20; ++i) {
    const FinishReason reason = results_.at(i).reason;
    EXPECT_TRUE(reason == FinishReason::kCancelled || reason == FinishReason::kTokenLimit);
  }
}

TEST_F(EngineLoopTest, RefusesMoreThanItWillQueue) {
  std::mutex gate;
  gate.lock();
  on_forward_ = [&](const ForwardBatch&) { std::lock_guard lock(gate); };
  start({.max_batch = 1});
  const size_t n = kMaxWaiting + 20;
  for (size_t i = 0; i < n; ++i) loop_->submit(results_.request(counting(3), 1));
  gate.unlock();
  results_.wait(n);
  size_t n_refused = 0;
  for (size_t i = 0; i < n; ++i)
    if (const Generation generation = results_.at(i); generation.reason == FinishReason::kError) {
      EXPECT_THAT(generation.error.value().message, HasSubstr("requests are waiting already"));
      ++n_refused;
    }
  EXPECT_GE(n_refused, 10u);
  EXPECT_LE(n_refused, 20u);
}

// Many threads submit, cancel and read stats at once; every request is answered once and rightly.
TEST_F(EngineLoopTest, ServesSeveralThreadsAtOnce) {
  start({.prefill_chunk = 16}, 24);
  constexpr int kThreads = 4;
  constexpr int kEach = 25;
  std::vector<Results> results(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<uint32_t>(t));
      for (int i = 0; i < kEach; ++i) {
        GenerateRequest request = results[static_cast<size_t>(t)].request(
            counting(5 + i * 3, t), 10, static_cast<Priority>(i % 3));
        loop_->submit(request);
        if (random() % 3 == 0) request.cancel.cancel();
        const EngineStats stats = loop_->stats();
        EXPECT_LE(stats.pages_free + stats.pages_cached, stats.pages_total);
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (int t = 0; t < kThreads; ++t) {
    Results& own = results[static_cast<size_t>(t)];
    own.wait(kEach);
    for (int i = 0; i < kEach; ++i) {
      const Generation generation = own.at(static_cast<size_t>(i));
      const Tokens expected = fake_continuation(counting(5 + i * 3, t), 10);
      ASSERT_LE(generation.tokens.size(), expected.size());
      EXPECT_TRUE(std::equal(generation.tokens.begin(), generation.tokens.end(), expected.begin()));
      const bool cancelled = generation.reason == FinishReason::kCancelled;
      EXPECT_TRUE(cancelled || generation.tokens.size() == expected.size());
    }
  }
  expect_no_leak();
}

}  // namespace
}  // namespace incipit::engine
