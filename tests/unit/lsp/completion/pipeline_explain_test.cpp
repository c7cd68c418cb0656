// Explanations, as the pipeline streams them.
#include <gmock/gmock.h>

#include <future>
#include <memory>
#include <string>
#include <utility>

#include "tests/unit/lsp/completion/pipeline_fixture.h"

namespace incipit::lsp {
namespace {

using test::FakeEngine;
using testing::HasSubstr;

struct Explained {
  std::string streamed;
  ExplainOutcome outcome;
};

Explained explain(CompletionPipeline& pipeline, ExplainRequest request) {
  Explained result;
  std::promise<void> done;
  pipeline.explain(
      std::move(request), [&](std::string_view piece) { result.streamed += piece; },
      [&](ExplainOutcome outcome) {
        result.outcome = std::move(outcome);
        done.set_value();
      });
  done.get_future().get();
  return result;
}

ExplainRequest explain_of(std::string text) {
  ExplainRequest request;
  request.document = request_at("$0").document;
  request.document.text = std::make_shared<const std::string>(std::move(text));
  request.end = request.document.text->size();
  return request;
}

TEST(PipelineExplain, StreamsAnExplanationPieceByPiece) {
  auto engine = make_engine(FakeEngine::Mode::kThread);
  engine->reply_with_text("\nReturn the sum of é and 漢.");
  CompletionPipeline pipeline(engine);
  const Explained got = explain(pipeline, explain_of("def f(a):\n    return a\n"));
  EXPECT_EQ(got.outcome.text, "Return the sum of é and 漢.");
  EXPECT_EQ(got.streamed, got.outcome.text);
  EXPECT_EQ(engine->requests()[0].priority, engine::Priority::kBackground);
}

TEST(PipelineExplain, StopsAnExplanationThatRepeatsItself) {
  auto engine = make_engine(FakeEngine::Mode::kThread);
  std::string answer = "It adds numbers.";
  for (int i = 0; i < 20; ++i) answer += " And then it does it again.";
  engine->reply_with_text(answer);
  CompletionPipeline pipeline(engine);
  ExplainRequest request = explain_of("x = 1\n");
  request.max_tokens = 500;
  const Explained got = explain(pipeline, request);
  EXPECT_EQ(got.outcome.text, "It adds numbers. And then it does it again.");
  EXPECT_FALSE(got.outcome.cancelled);
}

TEST(PipelineExplain, CancelsAnExplanation) {
  auto engine = make_engine(FakeEngine::Mode::kManual);
  engine->reply_with_text("Return something that takes a while to say.");
  CompletionPipeline pipeline(engine);
  const ExplainRequest request = explain_of("x = 1\n");
  std::promise<ExplainOutcome> done;
  pipeline.explain(request, {}, [&](ExplainOutcome outcome) { done.set_value(outcome); });
  engine->wait_for_requests(1);
  request.cancel.cancel();
  EXPECT_TRUE(play(*engine, done.get_future()).cancelled);
}

TEST(PipelineExplain, SaysWhatTheModelWasNotShown) {
  auto engine = make_engine(FakeEngine::Mode::kThread);
  engine->reply_with_text("It sets variables.");
  CompletionPipeline pipeline(engine);
  std::string code;
  for (int i = 0; i < 2000; ++i) code += "x = 1\n";
  const Explained got = explain(pipeline, explain_of(code));
  EXPECT_THAT(got.outcome.text, HasSubstr("of 2000 lines"));
  EXPECT_EQ(got.streamed, got.outcome.text);
}

TEST(PipelineExplain, RefusesToExplainNothing) {
  auto engine = make_engine(FakeEngine::Mode::kThread);
  CompletionPipeline pipeline(engine);
  const Explained got = explain(pipeline, explain_of("  \n\n"));
  EXPECT_THAT(got.outcome.error.value().message, HasSubstr("no code"));
}

}  // namespace
}  // namespace incipit::lsp
