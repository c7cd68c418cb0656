// Questions about code and the changes that come of them: from the lines in question and the
// model's answer to an edit.
#include <gmock/gmock.h>

#include <chrono>
#include <future>
#include <memory>
#include <random>
#include <string>

#include "lsp/completion/answer_cache.h"
#include "lsp/completion/code_answer.h"
#include "lsp/completion/code_block.h"
#include "lsp/completion/completion_pipeline.h"
#include "lsp/completion/line_changes.h"
#include "lsp/completion/prompt_builder.h"
#include "lsp/completion/task_prompt.h"
#include "tests/support/fake_engine.h"
#include "tests/support/pocket_tokenizer.h"

namespace incipit::lsp {
namespace {

using test::FakeEngine;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr std::chrono::milliseconds kNoLimit = std::chrono::hours(1);

std::string applied(std::string text, const std::vector<TextChange>& changes) {
  for (auto change = changes.rbegin(); change != changes.rend(); ++change) {
    text.replace(change->start, change->end - change->start, change->text);
  }
  return text;
}

TEST(LineChanges, ReplacesOnlyTheLinesThatDiffer) {
  EXPECT_THAT(line_changes("a\nb\nc\nd\n", "a\nB\nc\nd\nd2\n", 100),
              ElementsAre(TextChange{102, 104, "B\n"}, TextChange{108, 108, "d2\n"}));
  EXPECT_THAT(line_changes("a\nb\n", "a\nb\n", 0), IsEmpty());
  EXPECT_THAT(line_changes("a\nb", "a\n", 0), ElementsAre(TextChange{2, 3, ""}));
  EXPECT_THAT(line_changes("", "x", 7), ElementsAre(TextChange{7, 7, "x"}));
}

TEST(LineChanges, MakeOneTextOfTheOther) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n)(random); };
  const auto some_text = [&] {
    std::string text;
    for (size_t i = below(12); i > 0; --i) {
      text += std::string(1, static_cast<char>('a' + below(3))) + (below(9) == 0 ? "" : "\n");
    }
    return text;
  };
  for (int round = 0; round < 500; ++round) {
    const std::string before = some_text();
    const std::string after = some_text();
    const std::vector<TextChange> changes = line_changes(before, after, 0);
    ASSERT_EQ(applied(before, changes), after) << before << "\n->\n" << after;
    for (size_t i = 1; i < changes.size(); ++i) ASSERT_LT(changes[i - 1].end, changes[i].start);
  }
}

TEST(CodeAnswer, IsPutWhereTheLinesWere) {
  EXPECT_EQ(code_of("\n  \n    x = 1\n\n"), "    x = 1");
  EXPECT_EQ(code_of("```python\nx = 1\n```\nThat is all."), "x = 1");
  EXPECT_EQ(code_of(" \n"), "");
  EXPECT_EQ(fitted("def f():\n    return 2\n", "    def f():\n        return 1\n"),
            "    def f():\n        return 2\n");
  EXPECT_EQ(fitted("    x = 2", "    x = 1\n"), "    x = 2\n");
  EXPECT_EQ(fitted("x = 2\n\ny = 3\n", "\tx = 1\r\n\r\n\ty = 2"), "\tx = 2\r\n\r\n\ty = 3");
}

Tree tree_of(const std::string& text, std::string_view language) {
  return DocumentParser(*find_language(language, ""))
      .parse(std::make_shared<const std::string>(text),
             DocumentParser::Clock::now() + std::chrono::hours(1));
}

TEST(CodeBlock, IsTheSelectedLinesOrTheDefinitionAroundTheCursor) {
  const std::string text = "import os\n\n\ndef f(a):\n    b = a\n    return b\n\n\nx = f(1)\n";
  const Tree tree = tree_of(text, "python");
  const auto lines = [&](Span selection) {
    const Span span = block_at(text, tree.get(), selection).value().span;
    return text.substr(span.start, span.end - span.start);
  };
  const size_t inside = text.find("b = a");
  EXPECT_EQ(lines({inside + 1, inside + 3}), "    b = a\n");
  EXPECT_EQ(lines({inside, inside}), "def f(a):\n    b = a\n    return b\n");
  const size_t head = text.find("def f");
  EXPECT_EQ(lines({head, head}), "def f(a):\n    b = a\n    return b\n");
  const auto nowhere = block_at(text, tree.get(), {0, 0});
  ASSERT_FALSE(nowhere.ok());
  EXPECT_THAT(nowhere.error().message, HasSubstr("select the lines"));
  EXPECT_EQ(definition_named_at(text, *tree, text.find("f(1)"), kNoLimit).value().name, "f");
  EXPECT_FALSE(definition_named_at(text, *tree, inside, kNoLimit).has_value());
}

TEST(CodeBlock, IsFoundByNameInAFileOfManyDefinitions) {
  std::string text;
  for (int i = 0; i < 6000; ++i) {
    text += "int fun_" + std::to_string(i) + "(int a) { return a; }\n";
  }
  const size_t middle = text.find("fun_3000");
  text += "int main(void) { return fun_5999(1) + fun_3(2) + nobody(3); }\n";
  const Tree tree = tree_of(text, "c");
  const auto name_at = [&](size_t offset) {
    const auto found = definition_named_at(text, *tree, offset, kNoLimit);
    return found ? found->name : "";
  };
  EXPECT_EQ(name_at(text.find("fun_5999(1)")), "fun_5999");
  EXPECT_EQ(name_at(text.find("fun_3(2)")), "fun_3");
  EXPECT_EQ(name_at(middle), "fun_3000");
  EXPECT_EQ(name_at(text.find("main")), "main");
  EXPECT_EQ(name_at(text.find("nobody")), "");
}

TEST(CodeBlock, IsTheDefinitionThatBeginsBehindACursorAtTheStartOfItsLine) {
  const auto name_at = [](const std::string& text, std::string_view language, size_t cursor) {
    const Tree tree = tree_of(text, language);
    const auto block = block_at(text, tree.get(), {cursor, cursor});
    return block.ok() && block->definition ? block->definition->name : "none";
  };
  EXPECT_EQ(name_at("int f(int a) {\n  return a;\n}\n", "c", 0), "f");
  EXPECT_EQ(name_at("package p\n\nfunc F() {\n}\n", "go", 11), "F");
  EXPECT_EQ(name_at("export function g() {\n  return 1;\n}\n", "javascript", 0), "g");
  const std::string nested = "class C:\n    def m(self):\n        return 1\n";
  for (size_t cursor = 9; cursor < 14; ++cursor)
    EXPECT_EQ(name_at(nested, "python", cursor), "m") << cursor;
  EXPECT_EQ(name_at(nested, "python", 0), "C");
  // What is inside a statement of a function is not what its line begins with.
  const std::string inner = "function f() {\n  const g = () => {\n    return 1;\n  };\n}\n";
  EXPECT_EQ(name_at(inner, "javascript", inner.find("return")), "g");
  EXPECT_EQ(name_at("x = 1\n\n\ndef f():\n    pass\n", "python", 7), "none");
}

TEST(AnswerCache, KeepsTheLastUsed) {
  AnswerCache cache;
  cache.remember("first", "1");
  for (size_t i = 0; i + 1 < AnswerCache::kMaxAnswers; ++i) cache.remember(std::to_string(i), "x");
  EXPECT_EQ(cache.find("first"), "1");
  cache.remember("one more", "2");
  EXPECT_EQ(cache.find("first"), "1");
  EXPECT_EQ(cache.find("0"), std::nullopt);
  cache.remember(std::string(AnswerCache::kMaxKeyBytes + 1, 'x'), "3");
  EXPECT_EQ(cache.find("one more"), "2");
}

engine::PromptFormat instruct_format() {
  engine::PromptFormat format = test::pocket_format();
  format.fim.reset();
  format.chat->skill = engine::ChatSkill::kAnything;
  format.chat->explain_template.clear();
  format.layout = engine::PromptLayout::kInstruct;
  return format;
}

std::string long_module(int n) {
  std::string text = "import os\n\n\n";
  for (int i = 0; i < n; ++i) {
    const std::string name = std::to_string(i);
    text += "def f" + name + "(a):\n    return a + " + name + "\n\n\n";
  }
  return text;
}

TaskQuestion question_about(const std::string& text, std::string_view lines, CodeTask task) {
  TaskQuestion question;
  question.task = task;
  question.path = "src/a.py";
  question.language = "python";
  question.text = text;
  const size_t start = text.find(lines);
  question.block = {start, start + lines.size()};
  question.instruction = "use a loop";
  question.problems = {{3, "undefined name"}};
  return question;
}

TEST(TaskPrompt, SharesTheFilesTextWithACompletion) {
  const std::string text = long_module(40);
  const engine::PromptFormat format = instruct_format();
  const size_t cursor = text.find("    return a + 30");
  const Text shared = std::make_shared<const std::string>(text);
  PromptBuilder builder(*test::pocket_tokenizer(), format);
  const auto completion =
      builder.build(look_at(*shared, cursor, nullptr), shared, nullptr, "src/a.py", 4000).value();
  const auto task =
      task_prompt(*test::pocket_tokenizer(), format,
                  question_about(text, "def f31(a):\n    return a + 31\n", CodeTask::kExplain),
                  4000)
          .value();
  const auto same = std::mismatch(completion.tokens.begin(), completion.tokens.end(),
                                  task.tokens.begin(), task.tokens.end())
                        .first -
                    completion.tokens.begin();
  const auto before = test::pocket_tokenizer()->encode(text.substr(0, text.find("def f30")));
  EXPECT_GE(static_cast<size_t>(same), before.size());
}

TEST(TaskPrompt, StaysWithinItsBudgetAndShowsWhatIsToBeChangedWhole) {
  const std::string text = long_module(100);
  const std::string lines = "def f50(a):\n    return a + 50\n";
  for (const CodeTask task : {CodeTask::kExplain, CodeTask::kDocument, CodeTask::kTests,
                              CodeTask::kFix, CodeTask::kRewrite}) {
    for (const int32_t budget : {250, 400, 1000, 8000}) {
      const auto prompt = task_prompt(*test::pocket_tokenizer(), instruct_format(),
                                      question_about(text, lines, task), budget);
      ASSERT_TRUE(prompt.ok()) << prompt.error().message;
      EXPECT_LE(prompt->tokens.size(), static_cast<size_t>(budget));
      EXPECT_THAT(test::pocket_tokenizer()->decode(prompt->tokens), HasSubstr(lines));
    }
  }
  const auto whole = question_about(text, text, CodeTask::kRewrite);
  const auto refused = task_prompt(*test::pocket_tokenizer(), instruct_format(), whole, 500);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("select fewer lines"));
}

TEST(TaskPrompt, SaysWhatAModelThatOnlyExplainsCannotDo) {
  const std::string text = long_module(2);
  const auto ask = [&](CodeTask task) {
    return task_prompt(*test::pocket_tokenizer(), test::pocket_format(),
                       question_about(text, "def f1(a):\n    return a + 1\n", task), 1000);
  };
  EXPECT_TRUE(ask(CodeTask::kExplain).ok());
  EXPECT_TRUE(ask(CodeTask::kDocument).ok());
  for (const CodeTask task : {CodeTask::kTests, CodeTask::kFix, CodeTask::kRewrite}) {
    ASSERT_FALSE(ask(task).ok());
    EXPECT_THAT(ask(task).error().message, HasSubstr("need an Instruct model"));
  }
}

// The pipeline with a model that can be asked anything.
class CodeTaskPipeline : public testing::Test {
 protected:
  CodeTaskPipeline() {
    FakeEngine::Options options;
    options.mode = FakeEngine::Mode::kThread;
    options.tokenizer = test::pocket_tokenizer();
    options.info.context_tokens = 4096;
    options.info.prompt = instruct_format();
    engine_ = std::make_shared<FakeEngine>(options);
  }

  ExplainOutcome ask(CodeTask task, const std::string& selection, std::string answer) {
    engine_->reply_with_text(std::move(answer));
    ExplainRequest request;
    request.task = task;
    request.document.uri = "file:///a.py";
    request.document.path = "a.py";
    request.document.text = std::make_shared<const std::string>(text_);
    request.start = text_.find(selection);
    request.end = request.start + (selection_is_cursor_ ? 0 : selection.size());
    request.instruction = "add one";
    request.problems = {{1, "b is not defined"}};
    request.max_tokens = max_tokens_;
    request.whole_symbol = whole_symbol_;
    CompletionPipeline pipeline(engine_);
    std::promise<ExplainOutcome> promise;
    pipeline.explain(request, {}, [&](ExplainOutcome o) { promise.set_value(std::move(o)); });
    return promise.get_future().get();
  }
  std::string prompt() const {
    return test::pocket_tokenizer()->decode(engine_->requests().back().prompt);
  }

  std::shared_ptr<FakeEngine> engine_;
  std::string text_ = "def f(a):\n    return b\n\n\nclass C:\n    def g(self):\n        return 1\n";
  bool selection_is_cursor_ = false;
  bool whole_symbol_ = false;
  int32_t max_tokens_ = 200;
};

TEST_F(CodeTaskPipeline, FixesWithTheDiagnosticsAndChangesOnlyWhatDiffers) {
  const ExplainOutcome outcome =
      ask(CodeTask::kFix, "def f(a):\n    return b\n", "def f(a):\n    return a\n```\nDone.");
  ASSERT_FALSE(outcome.error.has_value()) << outcome.error->message;
  EXPECT_THAT(outcome.changes, ElementsAre(TextChange{10, 23, "    return a\n"}));
  EXPECT_THAT(prompt(), HasSubstr("- line 2: b is not defined\n"));
  EXPECT_EQ(engine_->requests().back().stop.stop_strings, std::vector<std::string>{"```"});
}

TEST_F(CodeTaskPipeline, RewritesAMethodWithItsIndentation) {
  const ExplainOutcome outcome = ask(CodeTask::kRewrite, "    def g(self):\n        return 1",
                                     "def g(self):\n    return 2\n```");
  ASSERT_FALSE(outcome.error.has_value()) << outcome.error->message;
  EXPECT_EQ(applied(text_, outcome.changes),
            "def f(a):\n    return b\n\n\nclass C:\n    def g(self):\n        return 2\n");
  EXPECT_THAT(prompt(), HasSubstr("What is wanted: add one"));
}

TEST_F(CodeTaskPipeline, WhatIsWrittenAnewIsAtHandForGuesses) {
  ask(CodeTask::kRewrite, "    def g(self):\n        return 1", "def g(self):\n    return 2\n```");
  const auto texts = engine_->requests().back().draft_texts;
  ASSERT_EQ(texts.size(), 1U);
  EXPECT_THAT(test::pocket_tokenizer()->decode(texts[0]),
              HasSubstr("    def g(self):\n        return 1"));
  ask(CodeTask::kExplain, "def f(a):\n    return b\n", "It returns b.");
  EXPECT_THAT(engine_->requests().back().draft_texts, IsEmpty()) << "prose repeats no code";
}

TEST_F(CodeTaskPipeline, WritesTestsWithoutAChange) {
  const ExplainOutcome outcome = ask(CodeTask::kTests, "def f(a):\n    return b",
                                     "import unittest\n\n\nclass T(unittest.TestCase): pass\n```");
  ASSERT_FALSE(outcome.error.has_value()) << outcome.error->message;
  EXPECT_EQ(outcome.text, "import unittest\n\n\nclass T(unittest.TestCase): pass\n");
  EXPECT_THAT(outcome.changes, IsEmpty());
}

TEST_F(CodeTaskPipeline, DocumentsTheFunctionAroundTheCursor) {
  selection_is_cursor_ = true;
  const ExplainOutcome outcome = ask(CodeTask::kDocument, "return b", " Returns b.");
  ASSERT_FALSE(outcome.error.has_value()) << outcome.error->message;
  EXPECT_THAT(outcome.changes, ElementsAre(TextChange{10, 10, "    \"\"\"Returns b.\"\"\"\n"}));
  EXPECT_THAT(prompt(), HasSubstr("documentation of `f`"));
}

TEST_F(CodeTaskPipeline, ChangesNothingWhenTheAnswerIsNoGood) {
  const std::string lines = "def f(a):\n    return b\n";
  const auto error_of = [&](std::string answer) {
    const ExplainOutcome outcome = ask(CodeTask::kFix, lines, std::move(answer));
    EXPECT_THAT(outcome.changes, IsEmpty());
    return outcome.error ? outcome.error->message : "";
  };
  EXPECT_THAT(error_of("def f(a:\n    return a\n```"), HasSubstr("syntax errors"));
  EXPECT_THAT(error_of(lines + "```"), HasSubstr("as they are"));
  EXPECT_THAT(error_of("```"), HasSubstr("nothing"));
  max_tokens_ = 3;
  EXPECT_THAT(error_of("def f(a):\n    return a\n```"), HasSubstr("incipit.edit.maxTokens"));
}

TEST_F(CodeTaskPipeline, NeverShowsSecretsInAnyTask) {
  const std::string dashes(5, '-');
  text_ =
      "KEY = 1\n# " + dashes + "BEGIN PRIVATE KEY" + dashes + "\n# " + std::string(64, 'A') + "\n";
  for (const CodeTask task : {CodeTask::kTests, CodeTask::kFix, CodeTask::kRewrite}) {
    EXPECT_TRUE(ask(task, "KEY", "x = 1\n```").error.has_value());
  }
  EXPECT_EQ(engine_->n_requests(), 0u);
}

TEST_F(CodeTaskPipeline, ExplainsTheSymbolThatIsPointedAtOnce) {
  text_ += "\n\nprint(f(1), unknown)\n";
  engine_->reply_with_text("Returns b.");
  CompletionPipeline pipeline(engine_);
  const auto point_at = [&](const std::string& place) {
    ExplainRequest request;
    request.whole_symbol = true;
    request.document.uri = "file:///a.py";
    request.document.path = "a.py";
    request.document.text = std::make_shared<const std::string>(text_);
    request.start = request.end = text_.find(place);
    std::promise<ExplainOutcome> promise;
    pipeline.explain(request, {}, [&](ExplainOutcome o) { promise.set_value(std::move(o)); });
    return promise.get_future().get();
  };
  EXPECT_EQ(point_at("f(1)").text, "Returns b.");
  EXPECT_THAT(prompt(), HasSubstr("def f(a):"));
  text_ += "x = 1\n";  // not in the function
  EXPECT_EQ(point_at("f(a)").text, "Returns b.");
  EXPECT_EQ(engine_->n_requests(), 1u);
  EXPECT_TRUE(point_at("unknown").error.has_value());
  EXPECT_EQ(engine_->n_requests(), 1u);
  text_.replace(text_.find("return b"), 8, "return c");
  engine_->reply_with_text("Returns c.");
  EXPECT_EQ(point_at("f(1)").text, "Returns c.");
}

}  // namespace
}  // namespace incipit::lsp
