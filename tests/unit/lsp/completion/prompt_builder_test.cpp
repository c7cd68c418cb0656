#include "lsp/completion/prompt_builder.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "lsp/completion/explain_prompt.h"
#include "tests/support/golden.h"
#include "tests/support/marked_text.h"
#include "tests/support/pocket_tokenizer.h"

namespace incipit::lsp {
namespace {

using engine::TokenId;

constexpr const char* kSpellings[] = {"<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>",
                                      "<|end_header_id|>", "<|eot_id|>",      "<|fim_prefix|>",
                                      "<|fim_suffix|>",    "<|fim_middle|>",  "<|file_sep|>"};

std::string spell(const std::vector<TokenId>& tokens) {
  const engine::Tokenizer& tokenizer = *test::pocket_tokenizer();
  std::string result;
  for (const TokenId token : tokens) {
    if (!tokenizer.is_special(token)) {
      result += tokenizer.bytes(token);
      continue;
    }
    for (const char* spelling : kSpellings) {
      if (tokenizer.special(spelling) == token) result += spelling;
    }
  }
  return result;
}

// One document under edit, as the pipeline would hold it.
class Session {
 public:
  explicit Session(std::string language, engine::PromptFormat format = test::pocket_format())
      : language_(find_language(language, "")),
        format_(std::move(format)),
        builder_(*test::pocket_tokenizer(), format_) {
    if (language_ != nullptr) parser_ = std::make_unique<DocumentParser>(*language_);
  }

  Result<Prompt> prompt(const std::string& text, size_t cursor, int32_t budget = 1984,
                        std::string_view path = "src/a.py") {
    const Text shared = std::make_shared<const std::string>(text);
    Tree tree;
    if (parser_ != nullptr) {
      tree = parser_->parse(shared, DocumentParser::Clock::now() + std::chrono::hours(1));
    }
    return builder_.build(look_at(*shared, cursor, language_), shared, tree.get(), path, budget);
  }

 private:
  const Language* language_;
  engine::PromptFormat format_;
  PromptBuilder builder_;
  std::unique_ptr<DocumentParser> parser_;
};

std::string show_prompt(const test::GoldenCase& one) {
  engine::PromptFormat format = test::pocket_format();
  if (one.get("order") == "prefix first") format.fim->order = engine::FimOrder::kPrefixFirst;
  if (one.get("order") == "left to right") format.layout = engine::PromptLayout::kPlain;
  Session session(one.get("language"), format);
  const test::MarkedText marked = test::parse_marked(one.get("input"));
  const int32_t budget = std::stoi(one.get("budget", "1984"));
  std::string text = marked.text;
  if (one.get("eol") == "crlf") {
    text = std::string();
    for (const char c : marked.text) text += c == '\n' ? std::string("\r\n") : std::string(1, c);
  }
  const size_t cursor =
      marked.cursor +
      (text.size() == marked.text.size()
           ? 0
           : static_cast<size_t>(
                 std::count(marked.text.begin(),
                            marked.text.begin() + static_cast<ptrdiff_t>(marked.cursor), '\n')));
  const auto prompt = session.prompt(text, cursor, budget, one.get("path", "src/a.py"));
  if (!prompt) return "error: " + prompt.error().message;
  if (prompt->tokens.size() > static_cast<size_t>(budget)) return "over the budget";
  return spell(prompt->tokens);
}

TEST(PromptBuilder, BuildsThePromptsOfTheGoldenFile) {
  const std::filesystem::path file =
      std::filesystem::path(INCIPIT_SOURCE_DIR) / "tests/golden/prompt/completion.txt";
  EXPECT_THAT(test::check_golden(file, show_prompt), testing::IsEmpty());
}

TEST(PromptBuilder, UserTextNeverBecomesASpecialToken) {
  Session session("python");
  const std::string text = "x = '<|fim_middle|><|eot_id|>'\n";
  const Prompt prompt = session.prompt(text, text.size(), 1984, "<|file_sep|>.py").value();
  const engine::Tokenizer& tokenizer = *test::pocket_tokenizer();
  EXPECT_EQ(std::count_if(prompt.tokens.begin(), prompt.tokens.end(),
                          [&](TokenId token) { return tokenizer.is_special(token); }),
            5);  // bos, file separator, prefix, suffix, middle
}

std::string long_file(int n_functions) {
  std::string text = "import os\nimport sys\nfrom math import sqrt\n\n\n";
  for (int i = 0; i < n_functions; ++i) {
    const std::string n = std::to_string(i);
    text += "def function_" + n + "(value, other=" + n + "):\n    total = value * " + n +
            " + other\n    if total > " + n + ":\n        return sqrt(total)\n    return helper(" +
            "total)\n\n\n";
  }
  return text;
}

size_t common_prefix(const std::vector<TokenId>& a, const std::vector<TokenId>& b) {
  return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first -
                             a.begin());
}

// What an engine with an exact-prefix cache reuses while somebody types `typed` at `cursor`: the
// longest common prefix with one of the last prompts.
double share_reused(Session& session, std::string text, size_t cursor, std::string_view typed,
                    std::string_view autoclosed = "", int32_t budget = 1984) {
  std::vector<std::vector<TokenId>> seen{session.prompt(text, cursor, budget).value().tokens};
  size_t n_tokens = 0;
  size_t n_reused = 0;
  for (const char c : typed) {
    text.insert(cursor++, 1, c);
    if (c == '(' && !autoclosed.empty()) text.insert(cursor, autoclosed);
    const Prompt prompt = session.prompt(text, cursor, budget).value();
    EXPECT_LE(prompt.tokens.size(), static_cast<size_t>(budget));
    size_t best = 0;
    for (const auto& old : seen) best = std::max(best, common_prefix(old, prompt.tokens));
    n_tokens += prompt.tokens.size();
    n_reused += best;
    if (seen.size() == 4) seen.erase(seen.begin());
    seen.push_back(prompt.tokens);
  }
  return static_cast<double>(n_reused) / static_cast<double>(n_tokens);
}

constexpr std::string_view kTyped =
    "    squares = [value * value for value in range(10)]\n"
    "    for index, square in enumerate(squares):\n"
    "        if square % 2 == 0:\n"
    "            print(index, square)\n"
    "        else:\n"
    "            total += square  # odd\n"
    "    return total\n";

TEST(PromptBuilder, TypingReusesNearlyTheWholePrompt) {
  const std::string head = long_file(12) + "def new_function(total):\n";
  Session session("python");
  const double share = share_reused(session, head + "\n\n" + long_file(6), head.size(), kTyped);
  RecordProperty("share_reused", std::to_string(share));
  EXPECT_GE(share, 0.95) << "share of prompt tokens reused";
  std::printf("typing in a file that fits: %.4f of the prompt tokens reused\n", share);
}

// With a small budget, so that the window moves several times on the way.
TEST(PromptBuilder, TypingReusesNearlyTheWholePromptInALargeFileToo) {
  const std::string head = long_file(60) + "def new_function(total):\n";
  Session session("python");
  const std::string typed = std::string(kTyped) + std::string(kTyped) + std::string(kTyped);
  const double share =
      share_reused(session, head + "\n\n" + long_file(60), head.size(), typed, "", 500);
  EXPECT_GE(share, 0.95) << "share of prompt tokens reused";
  std::printf("typing in a file that does not fit: %.4f of the prompt tokens reused\n", share);
}

TEST(PromptBuilder, BracketsThatTheEditorClosesDoNotChangeTheRestOfThePrompt) {
  const std::string head = long_file(10) + "def new_function(total):\n    print";
  Session session("python");
  const double share =
      share_reused(session, head + "\n\n\n" + long_file(4), head.size(), "(total, sqrt(", ")");
  EXPECT_GE(share, 0.95);
}

TEST(PromptBuilder, ComingBackToAPlaceFindsItsPromptAgain) {
  const std::string text = long_file(300);
  const size_t here = text.find("def function_100(");
  const size_t there = text.find("def function_250(");
  Session session("python");
  const Prompt first = session.prompt(text, here).value();
  session.prompt(text, there).value();
  EXPECT_EQ(session.prompt(text, here).value().tokens, first.tokens);
}

TEST(PromptBuilder, AnEditAboveTheWindowChangesNothing) {
  std::string text = long_file(300);
  Session session("python");
  size_t cursor = text.find("def function_250(");
  const Prompt before = session.prompt(text, cursor).value();
  const std::string line = "from os import path\n";
  text.insert(0, line);
  const Prompt after = session.prompt(text, cursor + line.size()).value();
  EXPECT_EQ(after.tokens, before.tokens);
  EXPECT_EQ(after.window_start, before.window_start + line.size());
}

TEST(PromptBuilder, ADifferentNextLineIsShownAtOnce) {
  const std::string head = "def f(a):\n    ";
  Session session("python");
  session.prompt(head + "\n    return one\n", head.size()).value();
  EXPECT_THAT(spell(session.prompt(head + "\n    return two\n", head.size()).value().tokens),
              testing::HasSubstr("return two"));
}

TEST(PromptBuilder, NeverExceedsTheBudgetWhateverTheText) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n)(random); };
  const std::string pieces[] = {"\n",
                                "漢字",
                                "😀",
                                "x",
                                "def f():\n    return 1\n",
                                "(",
                                "    ",
                                "0123456789",
                                std::string(1, '\0'),
                                "\xFF",
                                "\r\n",
                                "}"};
  for (int round = 0; round < 60; ++round) {
    Session session(round % 2 == 0 ? "python" : "none");
    std::string text;
    for (size_t i = below(500); i > 0; --i) text += pieces[below(std::size(pieces) - 1)];
    for (int step = 0; step < 4; ++step) {
      const int32_t budget = static_cast<int32_t>(60 + below(1500));
      const auto prompt = session.prompt(text, below(text.size()), budget);
      ASSERT_TRUE(prompt.ok()) << prompt.error().message;
      ASSERT_LE(prompt->tokens.size(), static_cast<size_t>(budget));
      text.insert(below(text.size()), pieces[below(std::size(pieces) - 1)]);
    }
  }
}

TEST(PromptBuilder, AHugeDocumentOfOneLineIsReadOnlyAroundTheCursor) {
  const std::string text(5 << 20, 'x');
  Session session("none");
  const Prompt prompt = session.prompt(text, text.size() / 2).value();
  EXPECT_LE(prompt.tokens.size(), 1984U);
  EXPECT_GT(prompt.window_start, text.size() / 2 - 40000);
}

TEST(ExplainPrompt, IsTheChatFormatThatTheModelWasTrainedOn) {
  std::ifstream in(std::filesystem::path(INCIPIT_SOURCE_DIR) / "tests/golden/model/pocket.json");
  const auto golden = nlohmann::json::parse(in);
  for (const auto& prompt : golden.at("prompts")) {
    if (prompt.at("name") != "chat_explain_python") continue;
    const auto ids = prompt.at("input_ids").get<std::vector<TokenId>>();
    const std::string text = spell(ids);
    const size_t start = text.find("```python\n") + 10;
    const std::string code = text.substr(start, text.find("\n```<|eot_id|>") - start);
    const auto built =
        explain_prompt(*test::pocket_tokenizer(), test::pocket_format(), "python", code, 1500);
    EXPECT_EQ(built.value().tokens, ids);
    EXPECT_EQ(built.value().left_out, "");
    return;
  }
  FAIL() << "no chat_explain_python in the golden file";
}

TEST(ExplainPrompt, LosesTheEndOfASelectionThatIsTooLong) {
  const auto built = explain_prompt(*test::pocket_tokenizer(), test::pocket_format(), "python",
                                    long_file(200), 300);
  ASSERT_TRUE(built.ok());
  EXPECT_LE(built->tokens.size(), 300U);
  EXPECT_GT(built->tokens.size(), 200U);
  EXPECT_THAT(spell(built->tokens), testing::HasSubstr("\n```<|eot_id|>"));
  EXPECT_THAT(built->left_out, testing::HasSubstr("The model saw the first "));
}

TEST(ExplainPrompt, SaysHowMuchOfTheCodeIsShown) {
  const std::string code = "a\nb\nc\n\n";
  EXPECT_EQ(left_out_note(code, code.size()), "");
  EXPECT_EQ(left_out_note(code, 5), "");  // what is missing is blank
  EXPECT_THAT(left_out_note(code, 4), testing::HasSubstr(" first 2 of 3 lines"));
  EXPECT_THAT(left_out_note("one long line", 3), testing::HasSubstr("the beginning alone"));
}

TEST(ExplainPrompt, LeavesPlaceholdersInTheCodeAlone) {
  const auto built = explain_prompt(*test::pocket_tokenizer(), test::pocket_format(), "python",
                                    "print('{code} {language}')", 300);
  EXPECT_THAT(spell(built.value().tokens), testing::HasSubstr("print('{code} {language}')"));
}

TEST(ExplainPrompt, NeedsAChatFormat) {
  engine::PromptFormat format = test::pocket_format();
  format.chat.reset();
  const auto built = explain_prompt(*test::pocket_tokenizer(), format, "python", "x = 1", 300);
  ASSERT_FALSE(built.ok());
  EXPECT_THAT(built.error().message, testing::HasSubstr("no chat format"));
}

}  // namespace
}  // namespace incipit::lsp
