// What the model is shown of a document: token healing, and nothing that is secret.
#include <gmock/gmock.h>

#include <future>
#include <memory>
#include <string>

#include "tests/unit/lsp/completion/pipeline_fixture.h"

namespace incipit::lsp {
namespace {

using test::FakeEngine;
using testing::HasSubstr;

struct Healed {
  const char* input;
  const char* forced;    // off the prompt
  const char* answer;    // of the model, forced text included
  const char* inserted;  // from the cursor on
};

TEST(PipelinePrompt, LeavesTheTokenAtTheCursorToTheModelAndTakesItOffTheAnswer) {
  const Healed cases[] = {
      {"def f(total):\n    return $0\n", " ", " total\n", "total"},
      {"def f(total):\n    return to$0\n", " to", " total\n", "tal"},
      {"def f(total):\n    return total.cou$0\n", "u", "unt(1)\n", "nt(1)"},
      {"def f(total):\n    if total !$0\n        pass\n", " !", " != 0:\n", "= 0:"},
      {"def f(total):\n    x = \"gr\u00f6\u00df$0\n", "\u00df", "\u00dfe\"\n", "e\""},
  };
  for (const Healed& one : cases) {
    auto engine = make_engine(FakeEngine::Mode::kThread);
    engine->reply_with_text(one.answer);
    CompletionPipeline pipeline(engine);
    CompletionRequest request = request_at(one.input);
    request.invoked = true;
    const CompletionOutcome outcome = start(pipeline, request).get();
    ASSERT_EQ(outcome.items.size(), 1U) << one.input << outcome.why_empty;
    EXPECT_EQ(outcome.items[0].insert_text, one.inserted) << one.input;
    EXPECT_EQ(outcome.items[0].replace_start, request.offset);
    const engine::GenerateRequest asked = engine->requests().at(0);
    EXPECT_EQ(asked.forced_text, one.forced) << one.input;
    const std::string before = request.document.text->substr(0, request.offset);
    const std::string prompt = test::pocket_tokenizer()->decode(asked.prompt);
    EXPECT_TRUE((prompt + one.forced).ends_with(before)) << prompt;
    EXPECT_GT(asked.stop.max_new_tokens, request.options.max_tokens)
        << "it costs the answer nothing";
  }
}

TEST(PipelinePrompt, LeavesNothingOffWhereNoTokenIsBegun) {
  for (const char* input : {"x = 1\n$0\ny = 2\n", "if x:\n\t$0\n"}) {
    auto engine = make_engine(FakeEngine::Mode::kThread);
    engine->reply_with_text("z = 3\n");
    CompletionPipeline pipeline(engine);
    start(pipeline, request_at(input)).get();
    EXPECT_EQ(engine->requests().at(0).forced_text, "") << input;
  }
}

TEST(PipelinePrompt, TypingOnInAWordKeepsThePrompt) {
  auto engine = make_engine(FakeEngine::Mode::kThread);
  CompletionPipeline pipeline(engine);
  for (const char* input : {"x = f(a)\ny = r$0\n", "x = f(a)\ny = re$0\n", "x = f(a)\ny = ret$0\n"})
    start(pipeline, request_at(input)).get();
  const auto requests = engine->requests();
  ASSERT_EQ(requests.size(), 3U);
  EXPECT_EQ(requests[1].prompt, requests[0].prompt);
  EXPECT_EQ(requests[2].prompt, requests[0].prompt);
}

TEST(PipelinePrompt, CanShowTheTokenToSeeWhatHealingIsWorth) {
  auto engine = make_engine(FakeEngine::Mode::kThread);
  engine->reply_with_text("tal\n");
  CompletionPipeline pipeline(engine);
  CompletionRequest request = request_at("def f(total):\n    return to$0\n");
  request.options.prompt_end = PromptEnd::kBeforeBlank;
  EXPECT_EQ(start(pipeline, request).get().items.at(0).insert_text, "tal");
  EXPECT_EQ(engine->requests().at(0).forced_text, "");
  EXPECT_TRUE(test::pocket_tokenizer()->decode(engine->requests()[0].prompt).ends_with(" to"));
}

TEST(PipelinePrompt, NeverShowsAPrivateKeyToTheModel) {
  auto engine = make_engine(FakeEngine::Mode::kThread);
  CompletionPipeline pipeline(engine);
  const std::string dashes(5, '-');
  const std::string key =
      "# " + dashes + "BEGIN PRIVATE KEY" + dashes + "\n# " + std::string(64, 'A') + "\n";
  const CompletionRequest request = request_at(key + "x = $0\n", "python", "main.py");
  EXPECT_THAT(start(pipeline, request).get().why_empty, HasSubstr("private key"));
  std::promise<ExplainOutcome> explained;
  ExplainRequest explain;
  explain.document = request.document;
  explain.start = key.size();
  explain.end = key.size() + 3;
  pipeline.explain(explain, {}, [&](ExplainOutcome outcome) { explained.set_value(outcome); });
  EXPECT_THAT(explained.get_future().get().error.value().message, HasSubstr("private key"));
  pipeline.prewarm(request.document, key.size());
  start(pipeline, request).get();  // the pre-warming before it has been looked at
  EXPECT_EQ(engine->n_requests(), 0U);
}

TEST(PipelinePrompt, NeverShowsASecretFileToTheModel) {
  auto engine = make_engine(FakeEngine::Mode::kThread);
  CompletionPipeline pipeline(engine);
  CompletionRequest request = request_at("API_KEY=$0\n", "properties", ".env");
  request.invoked = true;
  EXPECT_THAT(start(pipeline, request).get().why_empty, HasSubstr("secrets"));
  CompletionRequest in_folder = request_at("Host $0\n", "sshconfig", "config");
  in_folder.document.uri = "file:///home/a/.ssh/config";
  EXPECT_THAT(start(pipeline, in_folder).get().why_empty, HasSubstr("secrets"));
  std::promise<ExplainOutcome> explained;
  ExplainRequest explain;
  explain.document = request.document;
  explain.end = 5;
  pipeline.explain(explain, {}, [&](ExplainOutcome outcome) { explained.set_value(outcome); });
  EXPECT_THAT(explained.get_future().get().error.value().message, HasSubstr("secrets"));
  pipeline.prewarm(request.document, 0);
  start(pipeline, request).get();  // the pre-warming before it has been looked at
  EXPECT_EQ(engine->n_requests(), 0U);
}

}  // namespace
}  // namespace incipit::lsp
