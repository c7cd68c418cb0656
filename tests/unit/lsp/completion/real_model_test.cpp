// Completions and an explanation by the model in the tree, through the whole pipeline. What is
// asserted is what a user would expect of any model; the texts themselves are printed.
#include <gmock/gmock.h>

#include <chrono>
#include <future>
#include <memory>
#include <set>
#include <string>

#include "lsp/completion/complete_now.h"
#include "lsp/completion/completion_pipeline.h"
#include "lsp/context/cursor_site.h"
#include "lsp/syntax/scope.h"
#include "tests/support/golden.h"
#include "tests/support/marked_text.h"
#include "tests/support/pocket_tokenizer.h"
#include "tests/support/temp_dir.h"

namespace incipit::lsp {
namespace {

std::shared_ptr<engine::Engine> pocket_engine(engine::EngineOptions options = {}) {
  options.model = test::pocket_directory().string();
  options.n_threads = 2;
  if (options.cache_dir.empty()) options.cache_dir = testing::TempDir() + "incipit_real_model_test";
  auto engine = engine::Engine::create(options);
  if (!engine) throw std::runtime_error(engine.error().message);
  return std::move(*engine);
}

class RealModel : public testing::Test {
 protected:
  static void SetUpTestSuite() { pipeline_ = new CompletionPipeline(pocket_engine()); }
  static void TearDownTestSuite() {
    delete pipeline_;
    pipeline_ = nullptr;
  }

  // Other limits find no suggestion of before, so that the model is asked, with the same prompt.
  static CompletionOutcome complete(const DocumentSnapshot& document, size_t offset,
                                    int32_t max_lines = 12) {
    CompletionRequest request;
    request.document = document;
    request.offset = offset;
    request.options.max_lines = max_lines;
    return complete_now(*pipeline_, std::move(request));
  }

  static CompletionPipeline* pipeline_;
};

CompletionPipeline* RealModel::pipeline_ = nullptr;

DocumentSnapshot document_of(const test::GoldenCase& one, std::string text) {
  DocumentSnapshot document;
  document.uri = "file:///" + one.get("path");
  document.path = one.get("path");
  document.text = std::make_shared<const std::string>(std::move(text));
  return document;  // without a languageId: the path says it
}

int errors_of(const DocumentSnapshot& document, const std::string& text) {
  const Language* language = find_language("", document.path);
  if (language == nullptr) return 0;
  const Tree tree =
      DocumentParser(*language).parse(std::make_shared<const std::string>(text),
                                      DocumentParser::Clock::now() + std::chrono::hours(1));
  return count_errors(*tree, {0, text.size()});
}

std::string problem_of(const test::GoldenCase& one, const test::MarkedText& marked,
                       const DocumentSnapshot& document, const CompletionOutcome& outcome) {
  if (outcome.items.size() != 1) {
    std::string why = "no suggestion: " + outcome.why_empty;
    for (const auto& step : outcome.steps) why += "\n" + step.rule + ": " + step.before;
    return why;
  }
  const CompletionItem& item = outcome.items.front();
  std::string text = marked.text;
  text.replace(item.replace_start, item.replace_end - item.replace_start, item.insert_text);
  std::printf("==== %s (%s)\n%s\n", one.name.c_str(), outcome.timings.finish.c_str(),
              (marked.text.substr(0, marked.cursor) + "«" + item.insert_text + "»" +
               marked.text.substr(item.replace_end))
                  .c_str());
  if (item.replace_start != marked.cursor) return "does not start at the cursor";
  if (text.find("<|") != std::string::npos) return "a control token";
  const std::string wanted = one.get("contains");
  if (text.find(wanted) == std::string::npos) return "want \"" + wanted + "\"";
  if (errors_of(document, text) > errors_of(document, marked.text)) return "brings parse errors";
  const CursorSite site = look_at(marked.text, marked.cursor, nullptr);
  const std::string_view last = trim(std::string_view(item.insert_text)
                                         .substr(item.insert_text.rfind('\n') == std::string::npos
                                                     ? 0
                                                     : item.insert_text.rfind('\n')));
  if (!trim(site.next_line).empty() && last == trim(site.next_line)) return "repeats the next line";
  if (trim_right(item.insert_text) != item.insert_text && trim(site.after).empty()) {
    return "blanks at the end";
  }
  return "";
}

TEST_F(RealModel, CompletesASanePieceOfCodeInEveryCase) {
  const auto cases = test::read_golden(std::filesystem::path(INCIPIT_SOURCE_DIR) /
                                       "tests/golden/completion/pocket.txt");
  EXPECT_GE(cases.size(), 12U);
  for (const test::GoldenCase& one : cases) {
    const test::MarkedText marked = test::parse_marked(one.get("input"));
    const DocumentSnapshot document = document_of(one, marked.text);
    const CompletionOutcome outcome = complete(document, marked.cursor);
    EXPECT_EQ(problem_of(one, marked, document, outcome), "") << one.name;
  }
}

// Cut anywhere, a word goes on as it was begun.
TEST_F(RealModel, GoesOnInTheMiddleOfAWord) {
  const std::string text =
      "def total_of(values):\n    result = 0\n    for value in values:\n        result += ";
  const std::string word = "value";
  for (size_t n = 3; n < word.size(); ++n) {
    CompletionRequest request;
    request.document = document_of({"", {{"path", "total.py"}}}, text + word.substr(0, n));
    request.offset = request.document.text->size();
    request.invoked = true;
    request.options.max_lines = 10;
    const CompletionOutcome outcome = complete_now(*pipeline_, std::move(request));
    ASSERT_EQ(outcome.items.size(), 1U) << word.substr(0, n) << ": " << outcome.why_empty;
    EXPECT_TRUE(outcome.items[0].insert_text.starts_with(word.substr(n)))
        << word.substr(0, n) << "|" << outcome.items[0].insert_text;
  }
}

TEST_F(RealModel, TypingReusesThePromptInTheEngineToo) {
  std::string text = "import os\n";
  for (int i = 0; i < 20; ++i) {
    text +=
        "\n\ndef f" + std::to_string(i) + "(a, b):\n    return a + b * " + std::to_string(i) + "\n";
  }
  text += "\n\ndef last(path):\n    name = ";
  test::GoldenCase one{"typing", {{"path", "typing.py"}}};
  complete(document_of(one, text), text.size());
  text += "[";  // not what was suggested: the model is asked again
  const CompletionOutcome outcome = complete(document_of(one, text), text.size());
  const engine::Timings& timings = outcome.timings.engine;
  ASSERT_GT(timings.n_prompt_tokens, 100);
  EXPECT_GE(timings.n_cached_tokens, timings.n_prompt_tokens * 95 / 100);
}

TEST_F(RealModel, AnswersARequestByHandWithDistinctSuggestionsTheUsualOneFirst) {
  CompletionRequest request;
  request.document = document_of({"", {{"path", "alternatives.py"}}},
                                 "import os\n\n\ndef read(path):\n    with open(");
  request.offset = request.document.text->size();
  const CompletionOutcome usual = complete_now(*pipeline_, request);
  request.invoked = true;
  request.options.max_lines = 11;  // not from memory
  request.options.alternatives = 3;
  const CompletionOutcome several = complete_now(*pipeline_, request);
  ASSERT_FALSE(usual.items.empty()) << usual.why_empty;
  ASSERT_GE(several.items.size(), 2U);
  ASSERT_LE(several.items.size(), 3U);
  EXPECT_EQ(several.items[0].insert_text, usual.items[0].insert_text);
  std::set<std::string> texts;
  for (const CompletionItem& item : several.items) {
    std::printf("alternative: %s\n", item.insert_text.c_str());
    texts.insert(item.insert_text);
    std::string spliced = *request.document.text;
    spliced.replace(item.replace_start, item.replace_end - item.replace_start, item.insert_text);
    EXPECT_LE(errors_of(request.document, spliced),
              errors_of(request.document, *request.document.text));
  }
  EXPECT_EQ(texts.size(), several.items.size());
}

// Some pages of text whose numbers tell it from another's.
std::string many_functions(int first) {
  std::string text = "import os\n";
  for (int i = first; i < first + 20; ++i) {
    text +=
        "\n\ndef f" + std::to_string(i) + "(a, b):\n    return a + b * " + std::to_string(i) + "\n";
  }
  return text + "\n\ndef last(path):\n    name = ";
}

DocumentSnapshot python_file(const std::string& path, std::string text) {
  return document_of({"", {{"path", path}}}, std::move(text));
}

TEST_F(RealModel, ComingBackToAnotherFileCostsNoPrefill) {
  const std::string here = many_functions(100);
  const std::string there = many_functions(500);
  complete(python_file("here.py", here), here.size());
  complete(python_file("there.py", there), there.size());
  const engine::Timings back =
      complete(python_file("here.py", here), here.size(), 5).timings.engine;
  ASSERT_GT(back.n_prompt_tokens, 100);
  EXPECT_EQ(back.n_cached_tokens, back.n_prompt_tokens - 1) << "its logits are wanted";
  EXPECT_EQ(back.n_steps_to_first_token, 1);
}

TEST_F(RealModel, WhatWasComputedForARequestThatTheUserTypedOverStays) {
  std::string text = many_functions(900);
  CompletionRequest request;
  request.document = python_file("over.py", text);
  request.offset = text.size();
  std::promise<CompletionOutcome> promise;
  pipeline_->start(request, [&](CompletionOutcome o) { promise.set_value(std::move(o)); });
  text += "[";
  pipeline_->follow(python_file("over.py", text), text.size(), true);
  promise.get_future().get();
  const engine::Timings timings =
      complete(python_file("over.py", text), text.size()).timings.engine;
  EXPECT_GE(timings.n_cached_tokens, timings.n_prompt_tokens * 95 / 100);
}

TEST(KvDisk, ARestartedEngineAnswersItsFirstCompletionWarmAndTheSame) {
  const test::TempDir cache;
  engine::EngineOptions options;
  options.kv_disk = "64MiB";
  options.cache_dir = cache.path().string();
  const std::string text = many_functions(100);
  const auto first_of_a_run = [&](int32_t context_tokens) {
    options.context_tokens = context_tokens;
    const auto engine = pocket_engine(options);
    CompletionPipeline pipeline(engine);
    CompletionRequest request;
    request.document = python_file("yesterday.py", text);
    request.offset = text.size();
    return complete_now(pipeline, std::move(request));
  };
  const CompletionOutcome cold = first_of_a_run(0);
  EXPECT_EQ(cold.timings.engine.n_cached_tokens, 0);
  const CompletionOutcome warm = first_of_a_run(0);
  EXPECT_EQ(warm.timings.engine.n_cached_tokens, warm.timings.engine.n_prompt_tokens - 1);
  EXPECT_EQ(warm.timings.engine.n_steps_to_first_token, 1);
  ASSERT_EQ(warm.items.size(), cold.items.size());
  for (size_t i = 0; i < warm.items.size(); ++i)
    EXPECT_EQ(warm.items[i].insert_text, cold.items[i].insert_text);
  // Stretched positions make other keys.
  EXPECT_EQ(first_of_a_run(8192).timings.engine.n_cached_tokens, 0);
}

TEST_F(RealModel, ExplainsAFunctionInASentence) {
  ExplainRequest request;
  request.document.path = "shapes.py";
  request.document.uri = "file:///shapes.py";
  request.document.text = std::make_shared<const std::string>(
      "def is_prime(n):\n    for i in range(2, n):\n        if n % i == 0:\n"
      "            return False\n    return True\n");
  request.end = request.document.text->size();
  std::string streamed;
  std::promise<ExplainOutcome> promise;
  pipeline_->explain(
      request, [&](std::string_view piece) { streamed += piece; },
      [&](ExplainOutcome outcome) { promise.set_value(std::move(outcome)); });
  const ExplainOutcome outcome = promise.get_future().get();
  ASSERT_FALSE(outcome.error.has_value()) << outcome.error->message;
  std::printf("explanation: %s\n", outcome.text.c_str());
  EXPECT_GT(outcome.text.size(), 10U);
  EXPECT_EQ(outcome.text, trim(streamed));
}

}  // namespace
}  // namespace incipit::lsp
