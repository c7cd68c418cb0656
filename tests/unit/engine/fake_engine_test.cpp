#include "tests/support/fake_engine.h"

#include <gtest/gtest.h>

#include <thread>

namespace incipit::test {
namespace {

using engine::FinishReason;
using engine::GenerateRequest;
using engine::Generation;
using engine::TokenId;
using Tokens = std::vector<TokenId>;

struct Answer {
  Tokens streamed;
  std::vector<Generation> generations;

  GenerateRequest request(Tokens prompt, int32_t max_new_tokens = 10) {
    GenerateRequest request;
    request.prompt = std::move(prompt);
    request.stop.max_new_tokens = max_new_tokens;
    request.on_token = [this](TokenId token) { streamed.push_back(token); };
    request.on_finish = [this](const Generation& g) { generations.push_back(g); };
    return request;
  }
};

TEST(FakeEngine, AnswersBeforeSubmitReturnsInImmediateMode) {
  FakeEngine engine;
  engine.set_script([](const Tokens& prompt) { return Tokens{prompt[0] + 1, prompt[0] + 2}; });
  Answer answer;
  engine.submit(answer.request({5}));
  ASSERT_EQ(answer.generations.size(), 1u);
  EXPECT_EQ(answer.generations[0].tokens, (Tokens{6, 7}));
  EXPECT_EQ(answer.streamed, (Tokens{6, 7}));
  EXPECT_EQ(engine.requests()[0].prompt, (Tokens{5}));
}

TEST(FakeEngine, GivesOneTokenAStepAndHonoursCancelBetweenThem) {
  FakeEngine engine({.mode = FakeEngine::Mode::kManual, .tokenizer = nullptr, .info = {}});
  engine.reply_with({1, 2, 3});
  Answer answer;
  const GenerateRequest request = answer.request({5});
  engine.submit(request);
  EXPECT_TRUE(answer.streamed.empty());
  EXPECT_TRUE(engine.step());
  EXPECT_EQ(answer.streamed, (Tokens{1}));
  request.cancel.cancel();
  EXPECT_TRUE(engine.step());
  ASSERT_EQ(answer.generations.size(), 1u);
  EXPECT_EQ(answer.generations[0].reason, FinishReason::kCancelled);
  EXPECT_EQ(answer.generations[0].tokens, (Tokens{1}));
  EXPECT_FALSE(engine.step());
  EXPECT_EQ(engine.stats().requests_cancelled, 1);
}

TEST(FakeEngine, AppliesLimitsAndStopTokens) {
  FakeEngine engine;
  engine.reply_with({1, 2, 3, 4});
  Answer answer;
  engine.submit(answer.request({5}, 2));
  GenerateRequest stopped = answer.request({5});
  stopped.stop.stop_tokens = {3};
  engine.submit(stopped);
  engine.submit(answer.request({5}, 0));
  ASSERT_EQ(answer.generations.size(), 3u);
  EXPECT_EQ(answer.generations[0].reason, FinishReason::kTokenLimit);
  EXPECT_EQ(answer.generations[0].tokens, (Tokens{1, 2}));
  EXPECT_EQ(answer.generations[1].reason, FinishReason::kStopToken);
  EXPECT_EQ(answer.generations[1].tokens, (Tokens{1, 2}));
  EXPECT_EQ(answer.generations[2].reason, FinishReason::kPrefilled);
}

TEST(FakeEngine, FailsWhenItIsToldTo) {
  FakeEngine engine;
  engine.fail_with({ErrorCode::kInternal, "broken"});
  Answer answer;
  engine.submit(answer.request({5}));
  EXPECT_EQ(answer.generations.at(0).reason, FinishReason::kError);
  EXPECT_EQ(answer.generations.at(0).error.value().message, "broken");
}

TEST(FakeEngine, CancelsWhatIsOpenWhenItIsDestroyed) {
  Answer answer;
  {
    FakeEngine engine({.mode = FakeEngine::Mode::kManual, .tokenizer = nullptr, .info = {}});
    engine.submit(answer.request({5}));
  }
  EXPECT_EQ(answer.generations.at(0).reason, FinishReason::kCancelled);
}

TEST(FakeEngine, AnswersOnAThreadOfItsOwnInThreadMode) {
  Answer answer;
  std::thread::id callback_thread;
  {
    FakeEngine engine({.mode = FakeEngine::Mode::kThread, .tokenizer = nullptr, .info = {}});
    engine.reply_with({1});
    GenerateRequest request = answer.request({5});
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
    request.on_finish = [&](const Generation& g) {
      std::lock_guard lock(mutex);
      answer.generations.push_back(g);
      callback_thread = std::this_thread::get_id();
      done = true;
      changed.notify_all();
    };
    engine.submit(request);
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return done; });
  }
  EXPECT_EQ(answer.generations.at(0).tokens, (Tokens{1}));
  EXPECT_NE(callback_thread, std::this_thread::get_id());
}

}  // namespace
}  // namespace incipit::test
