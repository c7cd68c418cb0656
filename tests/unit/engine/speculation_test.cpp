// Guesses ahead, forced beginnings and log probabilities through the engine loop, over the fake
// model, which notices every slot that is wrong.
#include "tests/unit/engine/engine_loop_fixture.h"

namespace incipit::engine {
namespace {

constexpr SchedulerOptions kGuessing = {.draft_tokens = 7};

// The end of the prompt, and what the model will say after it.
Tokens foreseen(const Tokens& prompt, int n) {
  Tokens text(prompt.end() - 5, prompt.end());
  const Tokens answer = fake_continuation(prompt, n);
  text.insert(text.end(), answer.begin(), answer.end());
  return text;
}

TEST_F(EngineLoopTest, NeedsFewerStepsWhenGuessesComeTrue) {
  start(kGuessing);
  GenerateRequest request = results_.request(counting(40), 60);
  request.draft_texts = {foreseen(counting(40), 60)};
  loop_->submit(request);
  results_.wait(1);
  const Generation generation = results_.at(0);
  EXPECT_EQ(generation.tokens, fake_continuation(counting(40), 60));
  EXPECT_EQ(generation.timings.n_generated, 60);
  EXPECT_LE(generation.timings.n_decode_steps, 12);
  EXPECT_EQ(generation.timings.n_accepted, generation.timings.n_drafted);
  EXPECT_EQ(generation.timings.n_accepted + generation.timings.n_decode_steps, 60);
  expect_no_leak();
}

TEST_F(EngineLoopTest, SaysTheSameWhenGuessesAreWrong) {
  start(kGuessing);
  GenerateRequest request = results_.request(counting(40), 60);
  Tokens text = foreseen(counting(40), 60);
  for (size_t i = 9; i < text.size(); i += 6) text[i] = (text[i] + 1) % 97;
  request.draft_texts = {text};
  loop_->submit(request);
  results_.wait(1);
  const Generation generation = results_.at(0);
  EXPECT_EQ(generation.tokens, fake_continuation(counting(40), 60));
  EXPECT_LT(generation.timings.n_accepted, generation.timings.n_drafted);
  EXPECT_GT(generation.timings.n_accepted, 0);
  // What was computed of wrong guesses is not in the cache: the same again, and on from it.
  loop_->submit(results_.request(generation.tokens, 5));
  Tokens longer = counting(40);
  longer.insert(longer.end(), generation.tokens.begin(), generation.tokens.end());
  loop_->submit(results_.request(longer, 20));
  results_.wait(3);
  EXPECT_EQ(results_.at(1).tokens, fake_continuation(generation.tokens, 5));
  EXPECT_EQ(results_.at(2).tokens, fake_continuation(longer, 20));
  EXPECT_EQ(results_.at(2).timings.n_cached_tokens, 99);
  expect_no_leak();
}

TEST_F(EngineLoopTest, DrawsTheSameWithGuesses) {
  const SamplingParams sampling{.temperature = 1.5F, .top_p = 0.95F, .seed = 42};
  start();
  GenerateRequest request;
  request.prompt = counting(30);
  request.sampling = sampling;
  request.stop.max_new_tokens = 40;
  const Generation plain = run(request);
  start(kGuessing);
  Tokens text(request.prompt.end() - 5, request.prompt.end());
  text.insert(text.end(), plain.tokens.begin(), plain.tokens.end());
  request.draft_texts = {text};
  const Generation guessed = run(request);
  EXPECT_EQ(guessed.tokens, plain.tokens);
  EXPECT_EQ(guessed.log_probabilities, plain.log_probabilities);
  EXPECT_LT(guessed.timings.n_decode_steps, 15);
}

TEST_F(EngineLoopTest, SharesOneLimitOfGuessesAndLeavesRoomForPrompts) {
  int32_t most_rows = 0;
  on_forward_ = [&](const ForwardBatch& batch) { most_rows = std::max(most_rows, batch.n_rows()); };
  start({.max_batch = 4, .prefill_chunk = 16, .draft_tokens = 10});
  for (int i = 0; i < 8; ++i) {
    const Tokens prompt = counting(20 + 11 * i, 3 * i);
    GenerateRequest request = results_.request(prompt, 30);
    request.draft_texts = {foreseen(prompt, 30)};
    loop_->submit(request);
  }
  results_.wait(8);
  for (size_t i = 0; i < 8; ++i) {
    const auto n = static_cast<int32_t>(i);
    EXPECT_EQ(results_.at(i).tokens, fake_continuation(counting(20 + 11 * n, 3 * n), 30)) << i;
  }
  EXPECT_LE(most_rows, 20);
  expect_no_leak();
}

TEST_F(EngineLoopTest, StopsInsideOfGuessesAsWithoutThem) {
  const Tokens prompt = counting(20);
  const Tokens answer = fake_continuation(prompt, 60);
  GenerateRequest request;
  request.prompt = prompt;
  request.stop.max_new_tokens = 60;
  request.stop.stop_tokens = {answer[13]};
  start();
  const Generation plain = run(request);
  start(kGuessing);
  request.draft_texts = {foreseen(prompt, 60)};
  Generation guessed = run(request);
  EXPECT_EQ(guessed.tokens, plain.tokens);
  EXPECT_EQ(guessed.reason, FinishReason::kStopToken);
  EXPECT_EQ(guessed.log_probabilities.size(), guessed.tokens.size() + 1);
  request.stop.stop_tokens.clear();
  request.stop.max_lines = 1;
  guessed = run(request);
  EXPECT_EQ(guessed.reason, FinishReason::kLineLimit);
  EXPECT_EQ(bytes_of_id(guessed.tokens.back()), "\n");
  expect_no_leak();
}

TEST_F(EngineLoopTest, GuessesUpToTheEndOfTheContextAndOfThePages) {
  start({.context_tokens = 48, .draft_tokens = 7}, 4);
  for (int i = 0; i < 3; ++i) {
    GenerateRequest request = results_.request(counting(30, 5 * i), 100);
    request.draft_texts = {foreseen(counting(30, 5 * i), 40)};
    loop_->submit(request);
  }
  results_.wait(3);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(results_.at(i).reason, FinishReason::kContextFull);
    EXPECT_EQ(results_.at(i).tokens,
              fake_continuation(counting(30, 5 * static_cast<int32_t>(i)), 18));
  }
  expect_no_leak();
}

TEST_F(EngineLoopTest, RefusesAForcedTextThatTheVocabularyCannotSpell) {
  start();
  GenerateRequest request;
  request.prompt = counting(25);
  request.forced_text = "ab1";
  const Generation generation = run(request);
  EXPECT_EQ(generation.reason, FinishReason::kError);
  ASSERT_TRUE(generation.error.has_value());
  EXPECT_THAT(generation.error->message, HasSubstr("no token for the byte 0x31"));
}

TEST_F(EngineLoopTest, BeginsWithTheForcedTextAndGoesOnFreely) {
  for (const int32_t n_guesses : {0, 7}) {
    start({.draft_tokens = n_guesses});
    GenerateRequest request;
    request.prompt = counting(25);
    request.stop.max_new_tokens = 20;
    request.forced_text = "zebra\n";
    const Generation generation = run(request);
    EXPECT_TRUE(spell(generation.tokens).starts_with("zebra\n")) << spell(generation.tokens);
    // After it the model is free: as if the tokens of the text had been the prompt's.
    Tokens prompt = counting(25);
    prompt.insert(prompt.end(), generation.tokens.begin(), generation.tokens.begin() + 6);
    EXPECT_EQ(Tokens(generation.tokens.begin() + 6, generation.tokens.end()),
              fake_continuation(prompt, 14));
    EXPECT_EQ(generation.log_probabilities.size(), 20U);
    expect_no_leak();
  }
}

}  // namespace
}  // namespace incipit::engine
