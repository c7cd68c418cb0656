// Several suggestions for a request by hand.
#include <gmock/gmock.h>

#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/lsp/completion/pipeline_fixture.h"

namespace incipit::lsp {
namespace {

using test::FakeEngine;
using testing::ElementsAre;
using testing::IsEmpty;

class PipelineAlternatives : public testing::Test {
 protected:
  void use(FakeEngine::Mode mode) {
    engine_ = make_engine(mode);
    pipeline_ = std::make_unique<CompletionPipeline>(engine_);
  }

  // By the seed of the draw; 0 is the greedy one. Others say nothing.
  void reply_by_seed(std::map<uint64_t, std::string> texts) {
    engine_->set_request_script([texts = std::move(texts)](const engine::GenerateRequest& asked) {
      const auto found = texts.find(asked.sampling.seed);
      return test::pocket_tokenizer()->encode(found == texts.end() ? "" : found->second);
    });
  }

  static CompletionRequest by_hand(std::string_view marked, int32_t alternatives = 3) {
    CompletionRequest request = request_at(marked);
    request.invoked = true;
    request.options.alternatives = alternatives;
    return request;
  }
  static CompletionRequest by_typing(std::string_view marked) {
    CompletionRequest request = by_hand(marked);
    request.invoked = false;
    return request;
  }

  // The promise makes a second answer throw.
  std::future<CompletionOutcome> start(CompletionRequest request) {
    return lsp::start(*pipeline_, std::move(request));
  }
  std::vector<std::string> texts_of(CompletionRequest request) {
    std::vector<std::string> texts;
    for (const CompletionItem& item : start(std::move(request)).get().items)
      texts.push_back(item.insert_text);
    return texts;
  }

  std::shared_ptr<FakeEngine> engine_;
  std::unique_ptr<CompletionPipeline> pipeline_;
};

constexpr std::string_view kReturn = "def add(a, b):\n    return $0\n\n\nprint(add(1, 2))\n";

TEST_F(PipelineAlternatives, AreDistinctAndTheLikeliestComesFirst) {
  use(FakeEngine::Mode::kThread);
  reply_by_seed({{0, " a + b\n"}, {1, " a - b\n"}, {2, " a + b\n"}, {3, " a * b\n"}});
  EXPECT_THAT(texts_of(by_hand(kReturn)), ElementsAre("a + b", "a - b", "a * b"));
  const auto requests = engine_->requests();
  ASSERT_EQ(requests.size(), 4U) << "one draw said what was there, and was replaced";
  EXPECT_EQ(requests[0].sampling.temperature, 0);
  for (size_t i = 1; i < requests.size(); ++i) {
    EXPECT_GT(requests[i].sampling.temperature, 0);
    EXPECT_EQ(requests[i].sampling.seed, i);
    EXPECT_EQ(requests[i].prompt, requests[0].prompt) << "its pages are shared";
    EXPECT_EQ(requests[i].priority, engine::Priority::kBackground);
  }
}

TEST_F(PipelineAlternatives, AreNotMadeForTypingNorWhenOneIsWanted) {
  use(FakeEngine::Mode::kThread);
  reply_by_seed({{0, " a + b\n"}, {1, " a - b\n"}});
  EXPECT_THAT(texts_of(by_typing(kReturn)), ElementsAre("a + b"));
  pipeline_->forget("file:///src/a.py");
  EXPECT_THAT(texts_of(by_hand(kReturn, 1)), ElementsAre("a + b"));
  EXPECT_EQ(engine_->n_requests(), 2U);
}

TEST_F(PipelineAlternatives, EndWhenAllDrawsSayTheSame) {
  use(FakeEngine::Mode::kThread);
  engine_->reply_with_text(" a + b\n");
  EXPECT_THAT(texts_of(by_hand(kReturn)), ElementsAre("a + b"));
  EXPECT_EQ(engine_->n_requests(), 7U) << "two draws for each that is wanted";
}

TEST_F(PipelineAlternatives, ObeyTheSameRules) {
  use(FakeEngine::Mode::kThread);
  reply_by_seed({{0, " a + b\n"}, {1, " )))\n"}, {2, "\n\n"}, {3, " a / b)\n\n    x = 1\n"}});
  EXPECT_THAT(texts_of(by_hand(kReturn)), ElementsAre("a + b", "a / b"));
}

TEST_F(PipelineAlternatives, AreThereWhenTheLikeliestIsNothing) {
  use(FakeEngine::Mode::kThread);
  reply_by_seed({{1, " a - b\n"}});
  const CompletionOutcome outcome = start(by_hand(kReturn)).get();
  ASSERT_EQ(outcome.items.size(), 1U);
  EXPECT_EQ(outcome.items[0].insert_text, "a - b");
  EXPECT_THAT(outcome.why_empty, IsEmpty());
}

TEST_F(PipelineAlternatives, AreDrawnOnceThePromptIsRead) {
  use(FakeEngine::Mode::kManual);
  reply_by_seed({{0, " a + b\n"}, {1, " a - b\n"}, {2, " a * b\n"}});
  std::future<CompletionOutcome> outcome = start(by_hand(kReturn));
  engine_->wait_for_requests(1);
  CompletionRequest there = by_typing("class A:\n    x = $0\n");
  there.document.uri = "file:///src/b.py";
  pipeline_->prewarm(there.document, there.offset);
  engine_->wait_for_requests(2);  // looked at after the request: no draw came before it
  EXPECT_EQ(engine_->requests()[1].priority, engine::Priority::kPrewarm);
  engine_->step();
  engine_->wait_for_requests(4);
  EXPECT_EQ(engine_->requests()[2].sampling.seed, 1U);
  while (outcome.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    engine_->step();
    std::this_thread::yield();
  }
  EXPECT_EQ(outcome.get().items.size(), 3U);
}

// The first has ended, the draws have not.
TEST_F(PipelineAlternatives, AreWaitedForALimitedTimeThenWholeLinesCount) {
  use(FakeEngine::Mode::kManual);
  const std::string endless = " total = a + b + a + b + a + b + a + b + a + b + a + b + a + b + a";
  reply_by_seed({{0, " return a\n"}, {1, " c = a\n    d = c +" + endless}, {2, endless}});
  std::future<CompletionOutcome> future = start(by_hand("def add(a, b):\n    $0\n", 3));
  engine_->wait_for_requests(1);
  engine_->step();
  engine_->wait_for_requests(3);
  for (int i = 0; i < 10; ++i) engine_->step();
  const CompletionOutcome outcome = future.get();
  ASSERT_EQ(outcome.items.size(), 2U);
  EXPECT_EQ(outcome.items[0].insert_text, "return a");
  EXPECT_EQ(outcome.items[1].insert_text, "c = a");
  for (const engine::GenerateRequest& asked : engine_->requests()) {
    if (asked.sampling.seed > 0) {
      EXPECT_TRUE(asked.cancel.cancelled());
    }
  }
}

TEST_F(PipelineAlternatives, EndWithTheRequest) {
  use(FakeEngine::Mode::kManual);
  reply_by_seed({{0, " a + b\n"}, {1, " a - b - a - b - a - b\n"}, {2, " a * b * a * b * a\n"}});
  const CompletionRequest request = by_hand(kReturn);
  const CancelToken cancel = request.cancel;
  std::future<CompletionOutcome> future = start(request);
  engine_->wait_for_requests(1);
  engine_->step();
  engine_->wait_for_requests(3);
  cancel.cancel();
  for (const engine::GenerateRequest& asked : engine_->requests())
    EXPECT_TRUE(asked.cancel.cancelled());
  engine_->run();
  EXPECT_TRUE(future.get().cancelled);
}

TEST_F(PipelineAlternatives, EndWithThePipelineAndAreAnsweredOnce) {
  use(FakeEngine::Mode::kManual);
  reply_by_seed({{0, " a + b\n"}, {1, " a - b - a - b - a - b\n"}, {2, " a * b * a * b * a\n"}});
  std::future<CompletionOutcome> future = start(by_hand(kReturn));
  engine_->wait_for_requests(1);
  engine_->step();
  engine_->wait_for_requests(3);
  pipeline_.reset();
  EXPECT_TRUE(future.get().cancelled);
  engine_->run();  // late callbacks find nobody
}

TEST_F(PipelineAlternatives, WhatIsOnDisplayComesFirstAndOnlyTheRestIsDrawn) {
  use(FakeEngine::Mode::kThread);
  reply_by_seed({{0, " a + b\n"}, {1, " a - b\n"}, {2, " a * b\n"}});
  EXPECT_THAT(texts_of(by_typing(kReturn)), ElementsAre("a + b"));
  EXPECT_THAT(texts_of(by_hand(kReturn)), ElementsAre("a + b", "a - b", "a * b"));
  EXPECT_EQ(engine_->n_requests(), 3U);
  EXPECT_EQ(engine_->requests()[1].sampling.seed, 1U);
  // From then on all of them are known.
  EXPECT_THAT(texts_of(by_typing(kReturn)), ElementsAre("a + b"));
  EXPECT_THAT(texts_of(by_hand(kReturn)), ElementsAre("a + b", "a - b", "a * b"));
  EXPECT_THAT(texts_of(by_typing("def add(a, b):\n    return a *$0\n\n\nprint(add(1, 2))\n")),
              ElementsAre(" b"));
  EXPECT_EQ(engine_->n_requests(), 3U);
}

TEST_F(PipelineAlternatives, KeepTheirOrderWhenAskedForAgainWhicheverEndedFirst) {
  use(FakeEngine::Mode::kManual);
  reply_by_seed({{0, " a + b\n"}, {1, " a - b - a - b\n"}, {2, " a * b\n"}});
  std::future<CompletionOutcome> future = start(by_hand(kReturn));
  engine_->wait_for_requests(1);
  engine_->step();
  engine_->wait_for_requests(3);
  ASSERT_EQ(play(*engine_, std::move(future)).items.size(), 3U);
  EXPECT_THAT(texts_of(by_hand(kReturn)), ElementsAre("a + b", "a - b - a - b", "a * b"));
  EXPECT_EQ(engine_->n_requests(), 3U);
}

TEST_F(PipelineAlternatives, NoneIsDrawnAnyMoreForATextThatHasChanged) {
  use(FakeEngine::Mode::kManual);
  engine_->reply_with_text(" a + b\n");
  std::future<CompletionOutcome> future = start(by_hand(kReturn));
  engine_->wait_for_requests(1);
  engine_->step();
  engine_->wait_for_requests(3);
  const CompletionRequest now = by_typing("import os$0\n" + std::string("def add(a, b):\n"));
  pipeline_->follow(now.document, now.offset, false);
  while (!engine_->requests()[2].cancel.cancelled()) std::this_thread::yield();
  while (future.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    engine_->step();
    std::this_thread::yield();
  }
  EXPECT_THAT(future.get().items, IsEmpty());
  EXPECT_EQ(engine_->n_requests(), 3U);
}

}  // namespace
}  // namespace incipit::lsp
