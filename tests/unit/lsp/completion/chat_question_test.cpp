// Conversations: what the model is shown of them, what it is not, and how answers come back.
#include "lsp/completion/chat_question.h"

#include <gmock/gmock.h>

#include <future>
#include <memory>
#include <string>

#include "lsp/completion/completion_pipeline.h"
#include "tests/support/fake_engine.h"
#include "tests/support/pocket_tokenizer.h"

namespace incipit::lsp {
namespace {

using test::FakeEngine;
using testing::HasSubstr;
using testing::Not;

// pocket's tokens, in a model that can be asked anything.
engine::PromptFormat talking_format() {
  engine::PromptFormat format = test::pocket_format();
  format.chat->skill = engine::ChatSkill::kAnything;
  format.chat->explain_template.clear();
  return format;
}

std::string text_of(const std::vector<engine::TokenId>& tokens) {
  return test::pocket_tokenizer()->decode(tokens);
}

Result<ChatPrompt> ask(const Conversation& messages, int32_t budget = 4000) {
  return chat_question(*test::pocket_tokenizer(), talking_format(), messages, budget);
}

std::string error_of(const Conversation& messages, int32_t budget = 4000) {
  const auto prompt = ask(messages, budget);
  return prompt ? "" : prompt.error().message;
}

TEST(ChatQuestion, TakesTurnsThatEndWithAQuestion) {
  const ChatMessage system{"system", "Be brief."};
  const ChatMessage question{"user", "Why?"};
  const ChatMessage answer{"assistant", "Because."};
  for (const Conversation& good :
       {Conversation{question}, {system, question}, {question, answer, question}}) {
    EXPECT_EQ(why_no_question(good), std::nullopt);
  }
  const auto why = [](const Conversation& messages) { return why_no_question(messages).value(); };
  EXPECT_THAT(why({}), HasSubstr("found 0 messages"));
  EXPECT_THAT(why({system}), HasSubstr("found 1 message"));
  EXPECT_THAT(why({question, answer}), HasSubstr("end with a question"));
  EXPECT_EQ(why({answer}), "[0].role: want \"user\", found \"assistant\"");
  EXPECT_EQ(why({question, question, question}), "[1].role: want \"assistant\", found \"user\"");
  EXPECT_EQ(why({{"user", " \n"}}), "[0].content: want a text, found a blank one");
  EXPECT_EQ(why_no_question({{"user", "", {{"a.py", "python", "x"}}}}), std::nullopt);
  EXPECT_THAT(why({question, {"assistant", "a", {{"a.py", "python", "x"}}}, question}),
              HasSubstr("[1].context"));
}

TEST(ChatQuestion, ShowsAttachedCodeInFencesOfItsLanguageBeforeTheQuestion) {
  const auto prompt =
      ask({{"system", "Be brief."},
           {"user",
            "What is this?",
            {{"src/a.py", "python", "x = '```'\r\n"}, {"b.unknown", "klingon", "tlh"}}}});
  ASSERT_TRUE(prompt.ok()) << prompt.error().message;
  EXPECT_THAT(text_of(prompt->tokens),
              HasSubstr("`src/a.py`:\n\n````python\nx = '```'\n````\n\n"
                        "`b.unknown`:\n\n```klingon\ntlh\n```\n\nWhat is this?"));
  EXPECT_EQ(prompt->n_left_out, 0u);
}

TEST(ChatQuestion, BeginsAsTheQuestionBeforeItDid) {
  const Conversation first = {{"user", "What is this?", {{"a.py", "python", "x = 1\n"}}}};
  Conversation second = first;
  second.push_back({"assistant", "An assignment."});
  second.push_back({"user", "Of what?"});
  const auto before = ask(first)->tokens;
  const auto after = ask(second)->tokens;
  ASSERT_GT(after.size(), before.size());
  EXPECT_TRUE(std::equal(before.begin(), before.end(), after.begin()));
}

TEST(ChatQuestion, LeavesTheOldestOutInLeapsAndKeepsTheSystemTurn) {
  Conversation messages = {{"system", "Be brief."}};
  size_t left_out = 0;
  int n_leaps = 0;
  std::vector<engine::TokenId> before;
  for (int turn = 0; turn < 60; ++turn) {
    messages.push_back({"user", "Question number " + std::to_string(turn) + ", which is long?"});
    const auto prompt = ask(messages, 600);
    ASSERT_TRUE(prompt.ok()) << prompt.error().message;
    EXPECT_LE(prompt->tokens.size(), 600u);
    EXPECT_THAT(text_of(prompt->tokens), HasSubstr("Be brief."));
    EXPECT_THAT(text_of(prompt->tokens), HasSubstr(messages.back().content));
    if (prompt->n_left_out == left_out) {
      ASSERT_TRUE(std::equal(before.begin(), before.end(), prompt->tokens.begin()));
    } else {
      EXPECT_EQ((prompt->n_left_out - left_out) % 2, 0u);
      ++n_leaps;
    }
    left_out = prompt->n_left_out;
    before = prompt->tokens;
    messages.push_back({"assistant", "Answer number " + std::to_string(turn) + "."});
  }
  EXPECT_GE(n_leaps, 2);
  EXPECT_LE(n_leaps, 12);
}

TEST(ChatQuestion, RefusesWhatDoesNotFitAndWhatLooksSecret) {
  EXPECT_THAT(error_of({{"user", "Why?", {{"a.py", "python", std::string(90000, 'x')}}}}),
              HasSubstr("attach less"));
  EXPECT_THAT(error_of({{"user", "Why? " + std::string(3000, '?')}}, 100),
              HasSubstr("attach less"));
  EXPECT_THAT(error_of({{"user", "Why?", {{"src/.env", "", "KEY=1"}}}}),
              HasSubstr("src/.env looks like it holds secrets"));
  const std::string key =
      std::string("-----BEGIN RSA PRIVATE KEY-----\n") + std::string(64, 'M') + "\n";
  EXPECT_THAT(error_of({{"user", "Why?", {{"notes.md", "", key}}}}), HasSubstr("private key"));
  EXPECT_THAT(error_of({{"user", "Whose is this?\n" + key}}), HasSubstr("private key"));
  EXPECT_THAT(error_of({{"system", key}, {"user", "Why?"}}), HasSubstr("private key"));
  EXPECT_EQ(error_of({{"user", "Show a key."}, {"assistant", key}, {"user", "Why?"}}), "");
  EXPECT_EQ(error_of({{"user", "What does \"-----BEGIN PRIVATE KEY-----\" mean?"}}), "");
  EXPECT_EQ(error_of({{"user", "Why?", {{"src/env.py", "python", "KEY = 1"}}}}), "");
}

TEST(ChatQuestion, AModelThatOnlyExplainsExplainsWhatIsAttachedLast) {
  const auto ask_pocket = [](const Conversation& messages) {
    return chat_question(*test::pocket_tokenizer(), test::pocket_format(), messages, 2000);
  };
  const auto prompt = ask_pocket(
      {{"user", "What?", {{"a.py", "python", "a = 1\n"}}},
       {"assistant", "That."},
       {"user", "And?", {{"b.rs", "rust", "let b = 2;"}, {"c.rs", "rust", "let c = 3;"}}}});
  ASSERT_TRUE(prompt.ok()) << prompt.error().message;
  EXPECT_THAT(text_of(prompt->tokens), HasSubstr("```rust\nlet b = 2;\nlet c = 3;\n```"));
  EXPECT_THAT(text_of(prompt->tokens), Not(HasSubstr("a = 1")));
  const auto refused = ask_pocket({{"user", "Hello!"}});
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("attach the code"));
}

ExplainOutcome answer_to(const std::shared_ptr<FakeEngine>& engine, int32_t max_tokens,
                         std::string* streamed) {
  ExplainRequest request;
  request.task = CodeTask::kChat;
  request.conversation = {{"user", "Say it three times."}};
  request.max_tokens = max_tokens;
  CompletionPipeline pipeline(engine);
  std::promise<ExplainOutcome> promise;
  pipeline.explain(
      request, [&](std::string_view piece) { streamed->append(piece); },
      [&](ExplainOutcome o) { promise.set_value(std::move(o)); });
  return promise.get_future().get();
}

TEST(ChatPipeline, StreamsTheAnswerEvenWhereItRepeatsItself) {
  FakeEngine::Options options;
  options.mode = FakeEngine::Mode::kThread;
  options.tokenizer = test::pocket_tokenizer();
  options.info.context_tokens = 4096;
  options.info.prompt = talking_format();
  const auto engine = std::make_shared<FakeEngine>(options);
  const std::string said = "it is so, it is so, it is so, it is so, it is so.";
  std::vector<engine::TokenId> tokens = test::pocket_tokenizer()->encode(said);
  tokens.push_back(talking_format().stop.front());
  engine->reply_with(tokens);
  std::string streamed;
  const ExplainOutcome whole = answer_to(engine, 200, &streamed);
  ASSERT_FALSE(whole.error.has_value()) << whole.error->message;
  EXPECT_EQ(whole.text, said);
  EXPECT_EQ(streamed, said);
  EXPECT_FALSE(whole.cut_off);
  engine->reply_with(tokens);
  streamed.clear();
  EXPECT_TRUE(answer_to(engine, 3, &streamed).cut_off);
}

}  // namespace
}  // namespace incipit::lsp
