#include "engine/config/prompt_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/tokenizer/tokenizer.h"
#include "tests/support/tiny_tokenizer.h"

namespace incipit::engine {
namespace {

using Json = nlohmann::json;
using Tokens = std::vector<TokenId>;
using testing::AllOf;
using testing::HasSubstr;

const std::filesystem::path kPocketDirectory =
    std::filesystem::path(INCIPIT_SOURCE_DIR) / "engine/models/pocket";

// A model folder of its own for each test, removed afterwards.
class PromptFormatTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    dir_ = std::filesystem::temp_directory_path() /
           (std::string("incipit_prompt_format_") + info->name() + std::to_string(getpid()));
    std::filesystem::create_directories(dir_);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  void write(const char* name, const std::string& text) { std::ofstream(dir_ / name) << text; }

  // Loads the folder's format with a tokenizer that has these special tokens, ids from 256 on.
  Result<PromptFormat> load(const std::vector<std::string>& special) {
    const Json json = support::tiny_tokenizer_json({}, special);
    return load_prompt_format(dir_, *Tokenizer::parse(json.dump(), "tiny").value());
  }

  std::filesystem::path dir_;
};

TEST_F(PromptFormatTest, ReadsWhatComesWithPocket) {
  const auto tokenizer = Tokenizer::load(kPocketDirectory / "tokenizer.json").value();
  const PromptFormat format = load_prompt_format(kPocketDirectory, *tokenizer).value();
  EXPECT_EQ(format.bos, 16373);
  ASSERT_TRUE(format.fim.has_value());
  EXPECT_EQ(format.fim->prefix, 16378);
  EXPECT_EQ(format.fim->suffix, 16379);
  EXPECT_EQ(format.fim->middle, 16380);
  EXPECT_EQ(format.fim->file_separator, 16383);
  EXPECT_EQ(format.fim->repository, tokenizer->special("<|repo_name|>").value());
  EXPECT_EQ(format.fim->order, FimOrder::kSuffixFirst);
  ASSERT_TRUE(format.chat.has_value());
  EXPECT_EQ(format.chat->start_header, 16375);
  EXPECT_EQ(format.chat->end_header, 16376);
  EXPECT_EQ(format.chat->end_of_turn, 16377);
  EXPECT_EQ(format.chat->explain_template, "Explain this code:\n```{language}\n{code}\n```");
  EXPECT_EQ(format.chat->skill, ChatSkill::kExplainsOnly);
  EXPECT_EQ(format.layout, PromptLayout::kFim);
  EXPECT_EQ(format.stop, (Tokens{16374, 16377, 16381, 16383}));
}

TEST_F(PromptFormatTest, ReadsFromTheTemplateWhereTheMiddleTokenStands) {
  const char* rest = R"("prefix": "<P>", "suffix": "<S>", "middle": "<M>")";
  const auto read = [&](const std::string& templates) {
    write("pocket.json", "{\"fim\": {" + std::string(rest) + templates + "}}");
    return load({"<P>", "<S>", "<M>"});
  };
  EXPECT_FALSE(read(R"(, "spm": "<P><S>{suffix}<M>{prefix}")").value().fim->middle_at_cursor);
  EXPECT_TRUE(read(R"(, "spm": "<S>{suffix}<P>{prefix}<M>")").value().fim->middle_at_cursor);
  EXPECT_FALSE(read("").value().fim->middle_at_cursor);
  const auto wrong = read(R"(, "spm": 3)");
  ASSERT_FALSE(wrong.ok());
  EXPECT_THAT(wrong.error().message, AllOf(HasSubstr("fim.spm"), HasSubstr("a string")));
}

TEST_F(PromptFormatTest, KnowsTheFimTokensOfCommonFamilies) {
  struct Family {
    std::vector<std::string> special;
    FimOrder order;
  };
  const Family families[] = {
      {{"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"}, FimOrder::kPrefixFirst},
      {{"<fim_prefix>", "<fim_suffix>", "<fim_middle>"}, FimOrder::kPrefixFirst},
      {{"▁<PRE>", "▁<SUF>", "▁<MID>"}, FimOrder::kSuffixFirst},
      {{"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"}, FimOrder::kPrefixFirst},
  };
  for (const Family& family : families) {
    SCOPED_TRACE(family.special[0]);
    const PromptFormat format = load(family.special).value();
    ASSERT_TRUE(format.fim.has_value());
    EXPECT_EQ(format.fim->prefix, 256);
    EXPECT_EQ(format.fim->suffix, 257);
    EXPECT_EQ(format.fim->middle, 258);
    EXPECT_EQ(format.fim->file_separator, -1);
    EXPECT_EQ(format.fim->order, family.order);
    EXPECT_EQ(format.stop, (Tokens{256, 257, 258}));
    EXPECT_FALSE(format.chat.has_value());
  }
}

TEST_F(PromptFormatTest, KnowsLlama3ChatAndItsEnds) {
  write("config.json", R"({"bos_token_id": 256, "eos_token_id": [257, 260]})");
  const PromptFormat format = load({"<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>",
                                    "<|end_header_id|>", "<|eot_id|>"})
                                  .value();
  EXPECT_EQ(format.bos, 256);
  EXPECT_FALSE(format.fim.has_value());  // Llama 3 has no infilling tokens
  ASSERT_TRUE(format.chat.has_value());
  EXPECT_EQ(format.chat->start_header, 258);
  EXPECT_EQ(format.chat->end_header, 259);
  EXPECT_EQ(format.chat->end_of_turn, 260);
  EXPECT_EQ(format.chat->skill, ChatSkill::kAnything);
  EXPECT_EQ(format.chat->explain_template, "");
  EXPECT_EQ(format.stop, (Tokens{257, 260}));
}

TEST_F(PromptFormatTest, DatesTheSystemTurnWhereTheModelWasTrainedSo) {
  const std::vector<std::string> llama3 = {"<|start_header_id|>", "<|end_header_id|>",
                                           "<|eot_id|>"};
  std::vector<std::string> llama31 = llama3;
  llama31.push_back("<|eom_id|>");
  EXPECT_EQ(load(llama3).value().chat->system, SystemTurn::kWhenGiven);
  EXPECT_EQ(load(llama31).value().chat->system, SystemTurn::kAlwaysDated);
  write("config.json", R"({"rope_scaling": {"rope_type": "llama3"}})");
  EXPECT_EQ(load(llama3).value().chat->system, SystemTurn::kAlwaysDated);
  write("tokenizer_config.json", R"({"chat_template": "no dates"})");  // what it says counts
  EXPECT_EQ(load(llama31).value().chat->system, SystemTurn::kWhenGiven);
  write("chat_template.jinja", "Cutting Knowledge Date: December 2023");
  EXPECT_EQ(load(llama3).value().chat->system, SystemTurn::kAlwaysDated);
}

// Base and Instruct checkpoints have the same tokenizer.
TEST_F(PromptFormatTest, AsksABaseModelNoQuestions) {
  const std::vector<std::string> llama3 = {"<|end_of_text|>", "<|start_header_id|>",
                                           "<|end_header_id|>", "<|eot_id|>"};
  const auto layout_of = [&](const char* config, const char* settings) {
    write("config.json", config);
    write("tokenizer_config.json", settings);
    const PromptFormat format = load(llama3).value();
    EXPECT_EQ(format.chat.has_value(), format.layout == PromptLayout::kInstruct);
    return format.layout;
  };
  EXPECT_EQ(layout_of(R"({"eos_token_id": 256})", "{}"), PromptLayout::kBase);
  EXPECT_EQ(layout_of(R"({"eos_token_id": 256})", R"({"eos_token": "<|end_of_text|>"})"),
            PromptLayout::kBase);
  EXPECT_EQ(layout_of(R"({"eos_token_id": [256, 259]})", "{}"), PromptLayout::kInstruct);
  EXPECT_EQ(layout_of(R"({"eos_token_id": 256})", R"({"chat_template": "{{ x }}"})"),
            PromptLayout::kInstruct);
  EXPECT_EQ(layout_of(R"({"eos_token_id": 256})", R"({"eos_token": {"content": "<|eot_id|>"}})"),
            PromptLayout::kInstruct);
  EXPECT_EQ(layout_of("{}", "{}"), PromptLayout::kInstruct);  // nothing says what it is
}

TEST_F(PromptFormatTest, StopsAtTheEndTokensOfBothConfigurations) {
  write("config.json", R"({"eos_token_id": 256})");
  write("generation_config.json", R"({"eos_token_id": [256, 257], "bos_token_id": 3})");
  const PromptFormat format = load({"<x>", "<y>"}).value();
  EXPECT_EQ(format.stop, (Tokens{256, 257}));
  EXPECT_EQ(format.bos, 3);
}

TEST_F(PromptFormatTest, HasNothingForATokenizerWithoutSuchTokens) {
  const PromptFormat format = load({"<unrelated>"}).value();
  EXPECT_EQ(format.bos, -1);
  EXPECT_FALSE(format.fim.has_value());
  EXPECT_FALSE(format.chat.has_value());
  EXPECT_TRUE(format.stop.empty());
}

TEST_F(PromptFormatTest, WantsAllThreeFimTokens) {
  EXPECT_FALSE(load({"<|fim_prefix|>", "<|fim_suffix|>"}).value().fim.has_value());
}

TEST_F(PromptFormatTest, FollowsAFormatFileThatKnowsPrefixFirstOnly) {
  write(
      "pocket.json",
      R"({"fim": {"prefix": "<p>", "suffix": "<s>", "middle": "<m>", "psm": "…", "stop": ["<m>"]}})");
  const PromptFormat format = load({"<p>", "<s>", "<m>"}).value();
  ASSERT_TRUE(format.fim.has_value());
  EXPECT_EQ(format.fim->order, FimOrder::kPrefixFirst);
  EXPECT_EQ(format.fim->file_separator, -1);
  EXPECT_EQ(format.stop, Tokens{258});
}

TEST_F(PromptFormatTest, NamesFileFieldWantedAndFound) {
  struct Case {
    const char* file;
    const char* text;
    std::vector<const char*> says;
  };
  const Case cases[] = {
      {"pocket.json", "{", {"pocket.json", "not JSON"}},
      {"pocket.json", "[]", {"pocket.json", "top level", "an object"}},
      {"pocket.json",
       R"([[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[)",
       {"pocket.json", "top level", "want at most 64 levels of JSON"}},
      {"pocket.json", R"({"fim": 3})", {"fim", "want an object", "found 3"}},
      {"pocket.json", R"({"fim": {"suffix": "<s>"}})", {"fim.prefix", "a string", "nothing"}},
      {"pocket.json",
       R"({"fim": {"prefix": "<nope>"}})",
       {"fim.prefix", "a special token", "\"<nope>\""}},
      {"pocket.json",
       R"({"fim": {"prefix": "<p>", "suffix": "<s>", "middle": 1}})",
       {"fim.middle", "a string", "found 1"}},
      {"pocket.json",
       R"({"fim": {"prefix": "<p>", "suffix": "<s>", "middle": "<m>", "stop": ["<p>", "<q>"]}})",
       {"fim.stop[1]", "\"<q>\""}},
      {"pocket.json",
       R"({"fim": {"prefix": "<p>", "suffix": "<s>", "middle": "<m>", "stop": "<p>"}})",
       {"fim.stop", "an array"}},
      {"pocket.json", R"({"chat": {"explain": "{code}"}})", {"chat", "<|eot_id|>"}},
      {"config.json", R"({"eos_token_id": 259})", {"eos_token_id", "0..258", "259"}},
      {"config.json", R"({"eos_token_id": "2"})", {"eos_token_id", "\"2\""}},
      {"generation_config.json", R"({"bos_token_id": -1})", {"bos_token_id", "found -1"}},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.text);
    write(one.file, one.text);
    const auto result = load({"<p>", "<s>", "<m>"});
    std::filesystem::remove(dir_ / one.file);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(result.error().message, AllOf(HasSubstr("prompt format: "), HasSubstr(one.file)));
    for (const char* part : one.says) EXPECT_THAT(result.error().message, HasSubstr(part));
  }
}

TEST_F(PromptFormatTest, WantsTheCodeInTheExplainTemplate) {
  write("pocket.json", R"({"chat": {"explain": "Explain!"}})");
  const auto result = load({"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"});
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message, AllOf(HasSubstr("chat.explain"), HasSubstr("{code}")));
}

}  // namespace
}  // namespace incipit::engine
