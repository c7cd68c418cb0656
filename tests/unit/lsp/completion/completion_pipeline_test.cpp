#include "lsp/completion/completion_pipeline.h"

#include <gmock/gmock.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/golden.h"
#include "tests/unit/lsp/completion/pipeline_fixture.h"

namespace incipit::lsp {
namespace {

using test::FakeEngine;
using testing::HasSubstr;
using testing::IsEmpty;

std::string result_of(const CompletionRequest& request, const CompletionOutcome& outcome) {
  if (outcome.items.empty()) return "(nothing: " + outcome.why_empty + ")";
  const CompletionItem& item = outcome.items.front();
  std::string text = *request.document.text;
  return text.replace(item.replace_start, item.replace_end - item.replace_start, item.insert_text);
}

constexpr std::string_view kAdd = "def add(a, b):\n    return $0\n\n\nprint(add(1, 2))\n";

TEST(CompletionPipeline, InsertsWhatTheModelWrote) {
  auto engine = make_engine(FakeEngine::Mode::kThread);
  engine->reply_with_text(" a + b\n\n\nprint(");
  CompletionPipeline pipeline(engine);
  const CompletionRequest request = request_at(kAdd);
  const CompletionOutcome outcome = start(pipeline, request).get();
  EXPECT_EQ(result_of(request, outcome),
            "def add(a, b):\n    return a + b\n\n\nprint(add(1, 2))\n");
  EXPECT_THAT(outcome.why_empty, IsEmpty());
  EXPECT_EQ(outcome.timings.finish, "end of the statement");
}

TEST(CompletionPipeline, AsksWithThePromptOfTheModelAndStopsItAtTheEndOfTheStatement) {
  auto engine = make_engine(FakeEngine::Mode::kManual);
  engine->reply_with_text(" a + b\n    x = 1\n    y = 2\n    z = 3\n    u = 4\n    v = 5\n");
  CompletionPipeline pipeline(engine);
  std::future<CompletionOutcome> outcome = start(pipeline, request_at(kAdd));
  engine->wait_for_requests(1);
  const engine::GenerateRequest asked = engine->requests().front();
  EXPECT_EQ(asked.priority, engine::Priority::kInteractive);
  EXPECT_EQ(asked.prompt.front(), test::pocket_format().bos);
  EXPECT_EQ(asked.stop.stop_tokens, test::pocket_format().stop);
  EXPECT_EQ(play(*engine, std::move(outcome)).items.at(0).insert_text, "a + b");
}

TEST(CompletionPipeline, TheCutDoesNotDependOnWhenTheEngineStops) {
  const std::string answer = " a + b\n    x = 1\n    y = 2\n";
  std::vector<std::string> texts;
  for (const auto mode : {FakeEngine::Mode::kImmediate, FakeEngine::Mode::kThread}) {
    auto engine = make_engine(mode);
    engine->reply_with_text(answer);
    CompletionPipeline pipeline(engine);
    texts.push_back(start(pipeline, request_at(kAdd)).get().items.at(0).insert_text);
  }
  EXPECT_EQ(texts, std::vector<std::string>(2, "a + b"));
}

TEST(CompletionPipeline, AnswersACancelledRequestAndStopsTheEngine) {
  auto engine = make_engine(FakeEngine::Mode::kManual);
  engine->reply_with_text(" a + b");
  CompletionPipeline pipeline(engine);
  CompletionRequest request = request_at(kAdd);
  const CancelToken cancel = request.cancel;
  std::future<CompletionOutcome> outcome = start(pipeline, std::move(request));
  engine->wait_for_requests(1);
  cancel.cancel();
  EXPECT_TRUE(engine->requests().front().cancel.cancelled());
  const CompletionOutcome got = play(*engine, std::move(outcome));
  EXPECT_TRUE(got.cancelled);
  EXPECT_THAT(got.items, IsEmpty());
  EXPECT_EQ(got.why_empty, "cancelled");
}

TEST(CompletionPipeline, NeverAsksForARequestThatWasCancelledBefore) {
  auto engine = make_engine(FakeEngine::Mode::kThread);
  CompletionPipeline pipeline(engine);
  CompletionRequest request = request_at(kAdd);
  request.cancel.cancel();
  EXPECT_TRUE(start(pipeline, request).get().cancelled);
  EXPECT_EQ(engine->n_requests(), 0U);
}

TEST(CompletionPipeline, AnswersEverythingWhenItIsDestroyed) {
  auto engine = make_engine(FakeEngine::Mode::kManual);
  std::vector<std::future<CompletionOutcome>> outcomes;
  std::promise<ExplainOutcome> explained;
  {
    CompletionPipeline pipeline(engine);
    for (int i = 0; i < 20; ++i) outcomes.push_back(start(pipeline, request_at(kAdd)));
    ExplainRequest explain;
    explain.document = request_at(kAdd).document;
    explain.end = explain.document.text->size();
    pipeline.explain(explain, {}, [&](ExplainOutcome outcome) { explained.set_value(outcome); });
    pipeline.prewarm(explain.document, 0);
    engine->wait_for_requests(1);
  }
  for (auto& outcome : outcomes) EXPECT_TRUE(outcome.get().cancelled);
  EXPECT_TRUE(explained.get_future().get().cancelled);
  for (const auto& request : engine->requests()) EXPECT_TRUE(request.cancel.cancelled());
  engine->run();  // late callbacks find nobody
}

TEST(CompletionPipeline, SaysWhyAFailedEngineGaveNothing) {
  auto engine = make_engine(FakeEngine::Mode::kThread);
  engine->fail_with({ErrorCode::kOutOfMemory, "no free page"});
  CompletionPipeline pipeline(engine);
  const CompletionOutcome outcome = start(pipeline, request_at(kAdd)).get();
  EXPECT_FALSE(outcome.cancelled);
  EXPECT_EQ(outcome.why_empty, "the engine could not answer: no free page");
}

TEST(CompletionPipeline, DoesNotAskInTheMiddleOfAWord) {
  auto engine = make_engine(FakeEngine::Mode::kThread);
  CompletionPipeline pipeline(engine);
  const CompletionOutcome outcome = start(pipeline, request_at("pri$0nt(1)\n")).get();
  EXPECT_THAT(outcome.why_empty, HasSubstr("word"));
  EXPECT_EQ(engine->n_requests(), 0U);
}

// What a user sees of a model that writes what the case says.
std::string complete_case(const test::GoldenCase& one) {
  auto engine = make_engine(FakeEngine::Mode::kThread);
  engine->reply_with_text(one.get("generated"));
  CompletionPipeline pipeline(engine);
  CompletionRequest request = request_at(one.get("input"), one.get("language"), "src/file");
  request.invoked = one.has("invoked");
  const CompletionOutcome outcome = start(pipeline, request).get();
  if (outcome.items.empty()) {
    return std::string(engine->n_requests() == 0 ? "nothing is asked: " : "nothing: ") +
           outcome.why_empty;
  }
  const CompletionItem& item = outcome.items.front();
  const std::string& text = *request.document.text;
  const std::string replaced = text.substr(request.offset, item.replace_end - request.offset);
  return text.substr(0, item.replace_start) + "«" + item.insert_text + "»" +
         (replaced.empty() ? "" : "‹" + replaced + "›") + text.substr(item.replace_end);
}

TEST(CompletionPipeline, FitsASuggestionIntoTheLine) {
  EXPECT_THAT(test::check_golden(std::filesystem::path(INCIPIT_SOURCE_DIR) /
                                     "tests/golden/completion/mid_line.txt",
                                 complete_case),
              IsEmpty());
}

TEST(CompletionPipeline, GoesOnWithASuggestionThatIsBeingTyped) {
  auto engine = make_engine(FakeEngine::Mode::kThread);
  engine->reply_with_text(" first_value + second_value\n");
  CompletionPipeline pipeline(engine);
  start(pipeline, request_at("def f():\n    return $0\n")).get();
  const CompletionOutcome typed =
      start(pipeline, request_at("def f():\n    return first_v$0\n")).get();
  EXPECT_EQ(typed.items.at(0).insert_text, "alue + second_value");
  EXPECT_EQ(typed.timings.finish, "typed through");
  // However short the rest has become.
  const CompletionOutcome nearly =
      start(pipeline, request_at("def f():\n    return first_value + second_valu$0\n")).get();
  EXPECT_EQ(nearly.items.at(0).insert_text, "e");
  EXPECT_EQ(engine->n_requests(), 1U);
  // Something else was typed: the model is asked.
  start(pipeline, request_at("def f():\n    return x$0\n")).get();
  EXPECT_EQ(engine->n_requests(), 2U);
}

TEST(CompletionPipeline, AChangedSettingAsksTheModelAgain) {
  auto engine = make_engine(FakeEngine::Mode::kThread);
  CompletionPipeline pipeline(engine);
  CompletionRequest request = request_at("def f(a):\n    $0\n");
  engine->reply_with_text("b = compute(a)\n    c = compute(b)\n");
  request.options.max_lines = 1;
  EXPECT_EQ(start(pipeline, request).get().items.at(0).insert_text, "b = compute(a)");
  request.options.max_lines = 12;
  EXPECT_EQ(start(pipeline, request).get().items.at(0).insert_text,
            "b = compute(a)\n    c = compute(b)");
}

// One request at a time; `ahead` pre-warms every text on the way, as the server does when it has
// the time.
std::vector<engine::TokenId> last_prompt(bool ahead, bool cancel_the_first) {
  auto engine = make_engine(FakeEngine::Mode::kManual);
  CompletionPipeline pipeline(engine);
  size_t n_expected = 0;
  const auto prewarm = [&](const CompletionRequest& at) {
    if (!ahead) return;
    pipeline.prewarm(at.document, at.offset);
    engine->wait_for_requests(++n_expected);
    engine->run();
  };
  constexpr std::string_view kTexts[] = {
      "def add(a, b):\n    s = \"éééé\" + str(\n    return $0\n",
      "def add(a, b):\n    s = \"éééé\" + str(\n    return a.$0\n",
  };
  const CompletionRequest first = request_at(kTexts[0]);
  prewarm(first);
  prewarm(request_at(kTexts[1]));
  CompletionRequest early = request_at("def add(a, b):\n    $0s = \"éééé\" + str(\n    return \n");
  early.invoked = true;
  if (cancel_the_first) early.cancel.cancel();
  std::future<CompletionOutcome> early_outcome = start(pipeline, early);
  if (!cancel_the_first) engine->wait_for_requests(++n_expected);
  play(*engine, std::move(early_outcome));
  prewarm(request_at("def add(a, b):\n    s = \"éééé\" + str(\n    return b$0\n"));
  std::future<CompletionOutcome> outcome =
      start(pipeline, request_at("def add(a, b):\n    s = \"éééé\" + str($0\n    return \n"));
  engine->wait_for_requests(++n_expected);
  play(*engine, std::move(outcome));
  return engine->requests().back().prompt;
}

TEST(CompletionPipeline, ThePromptDependsOnTheRequestsAloneNotOnWhatRanAhead) {
  const std::vector<engine::TokenId> plain = last_prompt(false, false);
  EXPECT_EQ(last_prompt(true, false), plain);
  EXPECT_EQ(last_prompt(true, true), plain);
  EXPECT_EQ(last_prompt(false, true), plain);
}

TEST(CompletionPipeline, HidesWhatTheModelIsNotSureOfUnlessAskedByHand) {
  auto engine = make_engine(FakeEngine::Mode::kThread);
  engine->reply_with_text(" first_value\n");
  engine->be_sure(0.25);
  CompletionPipeline pipeline(engine);
  CompletionRequest request = request_at("def f():\n    return $0\n");
  request.options.min_confidence = 0.5;
  const CompletionOutcome hidden = start(pipeline, request).get();
  EXPECT_THAT(hidden.items, IsEmpty());
  EXPECT_THAT(hidden.why_empty, HasSubstr("not sure enough of it: 0.25"));
  EXPECT_THAT(hidden.why_empty, HasSubstr("minConfidence wants 0.50"));
  ASSERT_FALSE(hidden.steps.empty());
  EXPECT_EQ(hidden.steps.back().rule, kConfidenceRule);
  EXPECT_EQ(hidden.steps.back().before, "first_value");
  EXPECT_NEAR(std::exp(hidden.timings.mean_log_probability.value()), 0.25, 1e-6);

  request.invoked = true;  // it is remembered
  EXPECT_EQ(start(pipeline, request).get().items.at(0).insert_text, "first_value");
  EXPECT_EQ(engine->n_requests(), 1U);
}

TEST(CompletionPipeline, ShowsWhatIsSureEnoughAndEverythingWithoutAThreshold) {
  for (const auto& [probability, least] : {std::pair(0.25, 0.25 - 1e-6), std::pair(0.01, 0.0)}) {
    auto engine = make_engine(FakeEngine::Mode::kThread);
    engine->reply_with_text(" first_value\n");
    engine->be_sure(probability);
    CompletionPipeline pipeline(engine);
    CompletionRequest request = request_at("def f():\n    return $0\n");
    request.options.min_confidence = least;
    EXPECT_EQ(start(pipeline, request).get().items.size(), 1U) << probability;
  }
}

TEST(CompletionPipeline, ForgetsASuggestionWithItsDocument) {
  auto engine = make_engine(FakeEngine::Mode::kThread);
  engine->reply_with_text(" first_value\n");
  CompletionPipeline pipeline(engine);
  const CompletionRequest request = request_at("def f():\n    return $0\n");
  start(pipeline, request).get();
  pipeline.forget(request.document.uri);
  start(pipeline, request).get();
  EXPECT_EQ(engine->n_requests(), 2U);
}

TEST(CompletionPipeline, ExtendsTheSelectedEntryOfTheEditorsList) {
  auto engine = make_engine(FakeEngine::Mode::kThread);
  engine->reply_with_text("(items)\n");
  CompletionPipeline pipeline(engine);
  CompletionRequest request = request_at("total = su$0\n");
  request.selected_text = "sum";
  request.selected_start = 8;
  const CompletionOutcome outcome = start(pipeline, request).get();
  EXPECT_EQ(result_of(request, outcome), "total = sum(items)\n");
  EXPECT_EQ(outcome.items.at(0).replace_start, 8U);
  EXPECT_EQ(outcome.items.at(0).replace_end, request.offset);
}

TEST(CompletionPipeline, BringsAnOffsetOutsideOfTheTextBackInside) {
  auto engine = make_engine(FakeEngine::Mode::kThread);
  engine->reply_with_text("x = 12\n");
  CompletionPipeline pipeline(engine);
  CompletionRequest request = request_at("import os\n$0");
  request.offset = 1000;
  EXPECT_EQ(result_of(request, start(pipeline, request).get()), "import os\nx = 12");
}

TEST(CompletionPipeline, PrewarmsWithoutGeneratingAndOnlyTheNewestPlace) {
  auto engine = make_engine(FakeEngine::Mode::kManual);
  CompletionPipeline pipeline(engine);
  const CompletionRequest first = request_at("import os\nx = $0\n");
  pipeline.prewarm(first.document, first.offset);
  engine->wait_for_requests(1);
  EXPECT_EQ(engine->requests()[0].stop.max_new_tokens, 0);
  EXPECT_EQ(engine->requests()[0].priority, engine::Priority::kPrewarm);
  const CompletionRequest second = request_at("import os\nx = os.path$0\n");
  pipeline.prewarm(second.document, second.offset);
  engine->wait_for_requests(2);
  EXPECT_TRUE(engine->requests()[0].cancel.cancelled());
  EXPECT_FALSE(engine->requests()[1].cancel.cancelled());
  engine->run();
}

TEST(CompletionPipeline, ACompletionTakesThePlaceOfItsPrewarming) {
  auto engine = make_engine(FakeEngine::Mode::kManual);
  CompletionPipeline pipeline(engine);
  const CompletionRequest request = request_at("import os\nx = $0\n");
  pipeline.prewarm(request.document, request.offset);
  engine->wait_for_requests(1);
  std::future<CompletionOutcome> outcome = start(pipeline, request);
  engine->wait_for_requests(2);
  EXPECT_TRUE(engine->requests()[0].cancel.cancelled());
  EXPECT_EQ(engine->requests()[0].prompt, engine->requests()[1].prompt);
  play(*engine, std::move(outcome));
}

TEST(CompletionPipeline, SaysSoWhenTheBudgetLeavesNoRoom) {
  auto engine = make_engine(FakeEngine::Mode::kThread);
  CompletionPipeline pipeline(engine);
  CompletionRequest request = request_at(kAdd);
  request.options.context_tokens = 8;
  EXPECT_THAT(start(pipeline, request).get().why_empty, HasSubstr("budget of 8 tokens"));
}

TEST(CompletionPipeline, ManyRequestsFromManyThreadsAreEachAnsweredOnce) {
  auto engine = make_engine(FakeEngine::Mode::kThread);
  engine->reply_with_text(" a + b\n");
  CompletionPipeline pipeline(engine);
  std::vector<std::thread> threads;
  std::vector<std::future<CompletionOutcome>> outcomes(64);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 16; ++i) {
        CompletionRequest request = request_at(kAdd);
        request.document.uri += std::to_string(t * 16 + i);
        const CancelToken cancel = request.cancel;
        pipeline.prewarm(request.document, request.offset);
        outcomes[static_cast<size_t>(t * 16 + i)] = start(pipeline, std::move(request));
        if (i % 3 == 0) cancel.cancel();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (auto& outcome : outcomes) {
    const CompletionOutcome got = outcome.get();
    EXPECT_TRUE(got.cancelled || got.items.size() == 1) << got.why_empty;
  }
}

}  // namespace
}  // namespace incipit::lsp
