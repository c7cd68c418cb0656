// What the pipeline does ahead of the user and behind their back: the next suggestion, and
// generations whose text was edited.
#include <gmock/gmock.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "tests/unit/lsp/completion/pipeline_fixture.h"

namespace incipit::lsp {
namespace {

using test::FakeEngine;
using testing::IsEmpty;

class PipelineAhead : public testing::Test {
 protected:
  void use(FakeEngine::Mode mode) {
    engine_ = make_engine(mode);
    pipeline_ = std::make_unique<CompletionPipeline>(engine_);
  }

  static CompletionRequest request_at(std::string_view marked) {
    CompletionRequest request = lsp::request_at(marked);
    request.options.prepare_next = true;
    return request;
  }

  std::future<CompletionOutcome> start(CompletionRequest request) {
    return lsp::start(*pipeline_, std::move(request));
  }

  // Plays a manual engine until there is an answer.
  CompletionOutcome play(std::future<CompletionOutcome> answer) {
    return lsp::play(*engine_, std::move(answer));
  }

  // What was asked and followed so far has been seen, and the model has not answered since: reading
  // ahead in another file comes after it, and is request number n.
  void wait_until_heard(size_t n) {
    CompletionRequest there = request_at("class A:\n    x = $0\n");
    there.document.uri = "file:///src/b.py";
    pipeline_->prewarm(there.document, there.offset);
    engine_->wait_for_requests(n);
  }

  void wait_until_cancelled(size_t request_idx) {
    while (!engine_->requests().at(request_idx).cancel.cancelled()) std::this_thread::yield();
  }

  static CompletionRequest accepted(const CompletionRequest& request, const CompletionItem& item) {
    CompletionRequest next = request;
    std::string text = *request.document.text;
    text.replace(item.replace_start, item.replace_end - item.replace_start, item.insert_text);
    next.document.text = std::make_shared<const std::string>(std::move(text));
    next.offset = item.replace_start + item.insert_text.size();
    return next;
  }

  std::shared_ptr<FakeEngine> engine_;
  std::unique_ptr<CompletionPipeline> pipeline_;
};

constexpr std::string_view kSum = "def f(items):\n    total = $0\n";

TEST_F(PipelineAhead, TheSuggestionAfterTheOneOnDisplayIsThereWhenThatOneIsTaken) {
  use(FakeEngine::Mode::kThread);
  const auto tokenizer = test::pocket_tokenizer();
  engine_->set_script([tokenizer](const std::vector<engine::TokenId>& prompt) {
    const bool after = tokenizer->decode(prompt).find("sum(item") != std::string::npos;
    return tokenizer->encode(after ? "\n    return total\n" : " sum(items)\n");
  });
  const CompletionRequest request = request_at(kSum);
  const CompletionOutcome first = start(request).get();
  ASSERT_EQ(first.items.at(0).insert_text, "sum(items)");
  engine_->wait_for_requests(2);
  EXPECT_EQ(engine_->requests()[1].priority, engine::Priority::kPrewarm);
  EXPECT_EQ(engine_->requests()[1].prompt.size() > engine_->requests()[0].prompt.size(), true);
  while (engine_->n_unfinished() > 0) std::this_thread::yield();
  const CompletionOutcome second = start(accepted(request, first.items[0])).get();
  EXPECT_EQ(second.items.at(0).insert_text, "\n    return total");
  for (const engine::GenerateRequest& asked : engine_->requests()) {
    if (asked.priority == engine::Priority::kInteractive) {
      EXPECT_EQ(asked.prompt, engine_->requests()[0].prompt)
          << "the model was asked by the user once";
    }
  }
}

TEST_F(PipelineAhead, TakenBeforeItIsReadyWhatWasBegunBecomesTheAnswer) {
  use(FakeEngine::Mode::kManual);
  engine_->reply_with_text(" sum(items)\n");
  const CompletionRequest request = request_at(kSum);
  const CompletionOutcome first = play(start(request));
  ASSERT_EQ(first.items.size(), 1U);
  engine_->wait_for_requests(2);
  engine_->reply_with_text("\n    return 0\n");  // for whoever comes later
  std::future<CompletionOutcome> second = start(accepted(request, first.items[0]));
  wait_until_heard(3);
  EXPECT_EQ(play(std::move(second)).cancelled, false);
  EXPECT_FALSE(engine_->requests()[1].cancel.cancelled());
  for (size_t i = 2; i < engine_->n_requests(); ++i)
    EXPECT_EQ(engine_->requests()[i].priority, engine::Priority::kPrewarm) << "the one after that";
}

TEST_F(PipelineAhead, ADocumentThatWasClosedIsNotReadAgain) {
  use(FakeEngine::Mode::kManual);
  // The context thread is busy until the closing has come behind the reading ahead.
  std::promise<void> reached;
  std::promise<void> released;
  CompletionRequest busy = request_at(kSum);
  busy.document.uri = "file:///src/.env";  // refused at once
  pipeline_->start(std::move(busy), [&](const CompletionOutcome&) {
    reached.set_value();
    released.get_future().wait();
  });
  reached.get_future().wait();
  const CompletionRequest closed = request_at("def closed():\n    x = $0\n");
  pipeline_->prewarm(closed.document, closed.offset);
  pipeline_->forget(closed.document.uri);
  released.set_value();
  wait_until_heard(1);
  const std::vector<engine::TokenId> read = engine_->requests().at(0).prompt;
  EXPECT_THAT(test::pocket_tokenizer()->decode(read), testing::Not(testing::HasSubstr("closed")));
}

TEST_F(PipelineAhead, NothingIsPreparedForADocumentThatWasClosedMeanwhile) {
  use(FakeEngine::Mode::kManual);
  engine_->reply_with_text(" sum(items)\n");
  std::future<CompletionOutcome> answer = start(request_at(kSum));
  engine_->wait_for_requests(1);
  pipeline_->forget("file:///src/a.py");
  wait_until_heard(2);
  ASSERT_EQ(play(std::move(answer)).items.size(), 1U);
  CompletionRequest there = request_at("class C:\n    y = $0\n");
  there.document.uri = "file:///src/c.py";
  pipeline_->prewarm(there.document, there.offset);
  engine_->wait_for_requests(3);
  EXPECT_THAT(test::pocket_tokenizer()->decode(engine_->requests().at(2).prompt),
              testing::Not(testing::HasSubstr("sum(item")));
}

TEST_F(PipelineAhead, NothingIsPreparedUnlessAskedFor) {
  use(FakeEngine::Mode::kThread);
  engine_->reply_with_text(" sum(items)\n");
  CompletionRequest request = request_at(kSum);
  request.options.prepare_next = false;
  ASSERT_EQ(start(request).get().items.size(), 1U);
  ASSERT_EQ(start(request).get().items.size(), 1U);  // the one before has ended by now
  EXPECT_EQ(engine_->n_requests(), 1U);
}

TEST_F(PipelineAhead, WhoTypesTheSuggestionKeepsTheNextOneWhoTypesOtherwiseEndsIt) {
  use(FakeEngine::Mode::kManual);
  engine_->reply_with_text(" sum(items)\n");
  ASSERT_EQ(play(start(request_at(kSum))).items.size(), 1U);
  engine_->wait_for_requests(2);
  const CompletionRequest on = request_at("def f(items):\n    total = sum($0\n");
  pipeline_->follow(on.document, on.offset, true);
  engine_->wait_for_requests(3);  // its own reading ahead
  EXPECT_FALSE(engine_->requests()[1].cancel.cancelled());
  const CompletionRequest off = request_at("def f(items):\n    total = sx$0\n");
  pipeline_->follow(off.document, off.offset, true);
  wait_until_cancelled(1);
}

TEST_F(PipelineAhead, ADeviationEndsTheGenerationAndNamesTheReason) {
  use(FakeEngine::Mode::kManual);
  engine_->reply_with_text(" sum(items) + 12345 + 67890\n");
  std::future<CompletionOutcome> outcome = start(request_at(kSum));
  engine_->wait_for_requests(1);
  engine_->step();
  engine_->step();
  const CompletionRequest now = request_at("def f(items):\n    total = 7$0\n");
  pipeline_->follow(now.document, now.offset, false);
  wait_until_cancelled(0);
  engine_->step();
  const CompletionOutcome got = outcome.get();
  EXPECT_THAT(got.items, IsEmpty());
  EXPECT_EQ(got.why_empty, "the text changed meanwhile");
}

TEST_F(PipelineAhead, ADeviationIsNoticedAlsoWhenTheModelAnswersLater) {
  use(FakeEngine::Mode::kManual);
  engine_->reply_with_text(" sum(items)\n");
  std::future<CompletionOutcome> outcome = start(request_at(kSum));
  engine_->wait_for_requests(1);
  const CompletionRequest now = request_at("def f(items):\n    total = max$0\n");
  pipeline_->follow(now.document, now.offset, false);  // it might have said that
  wait_until_heard(2);
  EXPECT_EQ(play(std::move(outcome)).why_empty, "the text changed meanwhile");
}

TEST_F(PipelineAhead, TypingWhatIsBeingMadeKeepsItComing) {
  use(FakeEngine::Mode::kManual);
  engine_->reply_with_text(" sum(items)\n");
  std::future<CompletionOutcome> outcome = start(request_at(kSum));
  engine_->wait_for_requests(1);
  for (const char* text :
       {"def f(items):\n    total = s$0\n", "def f(items):\n    total = sum($0)\n"}) {
    const CompletionRequest now = request_at(text);
    pipeline_->follow(now.document, now.offset, true);
  }
  EXPECT_EQ(play(std::move(outcome)).items.at(0).insert_text, "sum(items)");
}

// On a busy machine both wait for the worker, which takes the request first.
TEST_F(PipelineAhead, ARequestIsNotEndedByTheReadingAheadForTheTextBeforeIt) {
  use(FakeEngine::Mode::kManual);
  engine_->reply_with_text(" sum(items)\n");
  CompletionRequest elsewhere = request_at(kSum);
  elsewhere.document.uri = "file:///src/c.py";
  elsewhere.options.prepare_next = false;
  std::promise<void> answered;
  std::promise<void> may_go_on;
  pipeline_->start(elsewhere, [&](const CompletionOutcome&) {
    answered.set_value();
    may_go_on.get_future().wait();
  });
  std::future<void> holds_the_worker = answered.get_future();
  while (holds_the_worker.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    engine_->step();
    std::this_thread::yield();
  }
  const CompletionRequest before = request_at("def f(items):\n    total =$0\n");
  pipeline_->follow(before.document, before.offset, true);
  std::future<CompletionOutcome> outcome = start(request_at(kSum));
  may_go_on.set_value();
  wait_until_heard(3);
  EXPECT_EQ(play(std::move(outcome)).items.size(), 1U);
}

TEST_F(PipelineAhead, AnEditElsewhereEndsTheGeneration) {
  use(FakeEngine::Mode::kManual);
  engine_->reply_with_text(" sum(items)\n");
  std::future<CompletionOutcome> outcome = start(request_at(kSum));
  engine_->wait_for_requests(1);
  const CompletionRequest now = request_at("import os$0\ndef f(items):\n    total = \n");
  pipeline_->follow(now.document, now.offset, false);
  wait_until_cancelled(0);
  EXPECT_EQ(play(std::move(outcome)).why_empty, "the text changed meanwhile");
}

TEST_F(PipelineAhead, TheCursorAloneEndsNothing) {
  use(FakeEngine::Mode::kManual);
  engine_->reply_with_text(" sum(items)\n");
  const CompletionRequest request = request_at(kSum);
  std::future<CompletionOutcome> outcome = start(request);
  engine_->wait_for_requests(1);
  pipeline_->follow(request.document, 0, false);
  EXPECT_EQ(play(std::move(outcome)).items.size(), 1U);
}

TEST_F(PipelineAhead, ReadingAheadInOneFileEndsWhereAnotherIsLookedAt) {
  use(FakeEngine::Mode::kManual);
  const CompletionRequest here = request_at(kSum);
  CompletionRequest there = request_at("class A:\n    x = $0\n");
  there.document.uri = "file:///src/b.py";
  pipeline_->prewarm(here.document, here.offset);
  engine_->wait_for_requests(1);
  pipeline_->prewarm(there.document, there.offset);
  engine_->wait_for_requests(2);
  EXPECT_TRUE(engine_->requests()[0].cancel.cancelled());
  engine_->run();
  pipeline_->prewarm(here.document, here.offset);  // it was not finished: once more
  engine_->wait_for_requests(3);
  EXPECT_EQ(engine_->requests()[2].prompt, engine_->requests()[0].prompt);
  engine_->run();
}

TEST_F(PipelineAhead, ReadsAheadWhatTheRequestWillSayOfOtherDocuments) {
  use(FakeEngine::Mode::kManual);
  CompletionRequest request = request_at("basket = make_basket(apples)\nbasket.weigh_all($0\n");
  auto open = std::make_shared<OpenDocuments>();
  open->similar = true;
  open->others.push_back({"file:///src/b.py",
                          "src/b.py",
                          "python",
                          1,
                          std::make_shared<const std::string>(
                              "basket = make_basket(pears)\nbasket.weigh_all(pears)\n"),
                          {}});
  request.open = open;
  pipeline_->prewarm(request.document, request.offset, open);
  engine_->wait_for_requests(1);
  engine_->run();
  std::future<CompletionOutcome> outcome = start(request);
  engine_->wait_for_requests(2);
  EXPECT_EQ(engine_->requests()[0].prompt, engine_->requests()[1].prompt);
  const CompletionOutcome answer = play(std::move(outcome));
  ASSERT_EQ(answer.context.size(), 1u);
  EXPECT_EQ(answer.context[0].path, "src/b.py");
  EXPECT_EQ(answer.context[0].source, ContextSource::kSimilar);
}

}  // namespace
}  // namespace incipit::lsp
