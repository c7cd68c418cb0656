// Every error names the file, the field, what is wanted and what was found.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "engine/tokenizer/tokenizer.h"
#include "tests/support/tiny_tokenizer.h"

namespace incipit::engine {
namespace {

using Json = nlohmann::json;
using support::tiny_tokenizer_json;
using testing::AllOf;
using testing::HasSubstr;

struct BadTokenizer {
  const char* name;
  std::function<void(Json&)> spoil;
  ErrorCode code;
  std::vector<std::string> says;
};

Json& model(Json& json) {
  return json["model"];
}
Json& part(Json& json, int idx) {
  return json["pre_tokenizer"]["pretokenizers"][static_cast<size_t>(idx)];
}

const std::vector<BadTokenizer>& bad_tokenizers() {
  constexpr ErrorCode kCorrupt = ErrorCode::kCorrupt;
  constexpr ErrorCode kUnsupported = ErrorCode::kUnsupported;
  static const std::vector<BadTokenizer> all = {
      {"normalizer",
       [](Json& j) {
         j["normalizer"] = {{"type", "NFC"}};
       },
       kUnsupported,
       {"normalizer", "want null", "found NFC"}},
      {"decoder",
       [](Json& j) {
         j["decoder"] = {{"type", "WordPiece"}};
       },
       kUnsupported,
       {"decoder", "want ByteLevel", "found WordPiece"}},
      {"no pre-tokenizer",
       [](Json& j) { j["pre_tokenizer"] = nullptr; },
       kUnsupported,
       {"pre_tokenizer", "Sequence", "found null"}},
      {"other pre-tokenizer",
       [](Json& j) {
         j["pre_tokenizer"] = {{"type", "Metaspace"}};
       },
       kUnsupported,
       {"pre_tokenizer", "found Metaspace"}},
      {"other first part",
       [](Json& j) {
         part(j, 0) = {{"type", "Digits"}};
       },
       kUnsupported,
       {"pre_tokenizer.pretokenizers[0]", "want Split", "found Digits"}},
      {"one part",
       [](Json& j) { j["pre_tokenizer"]["pretokenizers"].erase(1); },
       kUnsupported,
       {"pre_tokenizer.pretokenizers", "Split and ByteLevel"}},
      {"three parts",
       [](Json& j) {
         j["pre_tokenizer"]["pretokenizers"].push_back({{"type", "Digits"}});
       },
       kUnsupported,
       {"pre_tokenizer.pretokenizers[2]", "found Digits"}},
      {"string pattern",
       [](Json& j) {
         part(j, 0)["pattern"] = {{"String", " "}};
       },
       kUnsupported,
       {"pattern", "Regex"}},
      {"behavior",
       [](Json& j) { part(j, 0)["behavior"] = "Removed"; },
       kUnsupported,
       {"behavior", "want \"Isolated\"", "found \"Removed\""}},
      {"invert", [](Json& j) { part(j, 0)["invert"] = true; }, kUnsupported, {"invert"}},
      {"bad regex",
       [](Json& j) { part(j, 0)["pattern"]["Regex"] = "(unclosed"; },
       kUnsupported,
       {"Split", "(unclosed", "missing closing parenthesis"}},
      {"long regex",
       [](Json& j) { part(j, 0)["pattern"]["Regex"] = std::string(20000, 'a'); },
       kUnsupported,
       {"Split", "16384 bytes", "found 20000"}},
      {"prefix space",
       [](Json& j) { part(j, 1)["add_prefix_space"] = true; },
       kUnsupported,
       {"pretokenizers[1].add_prefix_space", "want false", "found true"}},
      {"default of use_regex",
       [](Json& j) { part(j, 1).erase("use_regex"); },
       kUnsupported,
       {"pretokenizers[1].use_regex", "found nothing"}},
      {"no model", [](Json& j) { j.erase("model"); }, kCorrupt, {"model", "found nothing"}},
      {"model type",
       [](Json& j) { model(j)["type"] = "Unigram"; },
       kUnsupported,
       {"model.type", "want BPE", "found Unigram"}},
      {"dropout", [](Json& j) { model(j)["dropout"] = 0.1; }, kUnsupported, {"model.dropout"}},
      {"suffix",
       [](Json& j) { model(j)["end_of_word_suffix"] = "</w>"; },
       kUnsupported,
       {"model.end_of_word_suffix", "found \"</w>\""}},
      {"byte fallback",
       [](Json& j) { model(j)["byte_fallback"] = true; },
       kUnsupported,
       {"model.byte_fallback"}},
      {"ignore_merges",
       [](Json& j) { model(j)["ignore_merges"] = "yes"; },
       kCorrupt,
       {"model.ignore_merges", "found \"yes\""}},
      {"no vocabulary",
       [](Json& j) { model(j).erase("vocab"); },
       kCorrupt,
       {"model.vocab", "want an object", "found nothing"}},
      {"vocabulary as array",
       [](Json& j) {
         model(j)["vocab"] = Json::array({1, 2});
       },
       kCorrupt,
       {"model.vocab", "want an object", "found an array of 2"}},
      {"gap",
       [](Json& j) { model(j)["vocab"]["ab"] = 300; },
       kCorrupt,
       {"model.vocab[\"ab\"]", "without gaps, 0..258", "found 300"}},
      {"same id twice",
       [](Json& j) { model(j)["vocab"]["ab"] = 257; },
       kCorrupt,
       {"model.vocab", "an id of its own", "found 257"}},
      {"negative id",
       [](Json& j) { model(j)["vocab"]["ab"] = -1; },
       kCorrupt,
       {"model.vocab[\"ab\"]", "found -1"}},
      {"id as text",
       [](Json& j) { model(j)["vocab"]["ab"] = "256"; },
       kCorrupt,
       {"model.vocab[\"ab\"]", "want an id", "found \"256\""}},
      {"not of the alphabet",
       [](Json& j) {
         model(j)["vocab"].erase("ab");
         model(j)["vocab"]["a b"] = 256;
       },
       kUnsupported,
       {"model.vocab[\"a b\"]", "byte-level alphabet"}},
      {"empty token",
       [](Json& j) {
         model(j)["vocab"].erase("ab");
         model(j)["vocab"][""] = 256;
       },
       kUnsupported,
       {"model.vocab[\"\"]"}},
      {"a byte without token",
       [](Json& j) {
         model(j)["vocab"].erase("z");
         model(j)["vocab"]["zz"] = 122;
       },
       kCorrupt,
       {"model.vocab", "256 bytes", "0x7a"}},
      {"no merges", [](Json& j) { model(j).erase("merges"); }, kCorrupt, {"model.merges"}},
      {"unknown left",
       [](Json& j) { model(j)["merges"][1] = "qq c"; },
       kCorrupt,
       {"model.merges[1]", "tokens of the vocabulary", "found \"qq\""}},
      {"unknown result",
       [](Json& j) { model(j)["merges"][1] = "c a"; },
       kCorrupt,
       {"model.merges[1]", "found \"ca\""}},
      {"merge of one",
       [](Json& j) { model(j)["merges"][0] = "ab"; },
       kCorrupt,
       {"model.merges[0]", "found \"ab\""}},
      {"merge of three",
       [](Json& j) {
         model(j)["merges"][0] = Json::array({"a", "b", "c"});
       },
       kCorrupt,
       {"model.merges[0]", "an array of 3"}},
      {"merge into a special token",
       [](Json& j) {
         j["added_tokens"].push_back({{"id", 256}, {"content", "ab"}});
       },
       kCorrupt,
       {"model.merges[0]", "found \"ab\""}},
      {"added tokens as object",
       [](Json& j) { j["added_tokens"] = Json::object(); },
       kCorrupt,
       {"added_tokens", "want an array"}},
      {"added without content",
       [](Json& j) { j["added_tokens"][0].erase("content"); },
       kCorrupt,
       {"added_tokens[0].content", "found nothing"}},
      {"added without id",
       [](Json& j) { j["added_tokens"][0].erase("id"); },
       kCorrupt,
       {"added_tokens[0].id", "found nothing"}},
      {"added far away",
       [](Json& j) { j["added_tokens"][0]["id"] = 1000; },
       kCorrupt,
       {"added_tokens", "<|end_of_text|>", "0..258", "found 1000"}},
      {"added on an ordinary id",
       [](Json& j) { j["added_tokens"][0]["id"] = 97; },
       kCorrupt,
       {"found 97"}},
      {"added twice",
       [](Json& j) { j["added_tokens"].push_back(j["added_tokens"][0]); },
       kCorrupt,
       {"added_tokens"}},
  };
  return all;
}

Json sound() {
  return tiny_tokenizer_json({{"a", "b"}, {"ab", "c"}});
}

TEST(TokenizerFile, NamesFileFieldWantedAndFound) {
  ASSERT_TRUE(Tokenizer::parse(sound().dump(), "x.json").ok());
  for (const BadTokenizer& one : bad_tokenizers()) {
    SCOPED_TRACE(one.name);
    Json json = sound();
    one.spoil(json);
    const auto result = Tokenizer::parse(json.dump(), "x.json");
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, one.code) << result.error().message;
    EXPECT_THAT(result.error().message, HasSubstr("tokenizer: x.json: "));
    for (const std::string& part : one.says) EXPECT_THAT(result.error().message, HasSubstr(part));
  }
}

TEST(TokenizerFile, AcceptsASpecialTokenThatTheVocabularyListsToo) {
  Json json = sound();
  json["model"]["vocab"]["<|end_of_text|>"] = 258;
  const auto tokenizer = Tokenizer::parse(json.dump(), "x.json").value();
  EXPECT_EQ(tokenizer->vocab_size(), 259);
  EXPECT_EQ(tokenizer->special("<|end_of_text|>"), 258);
  EXPECT_EQ(tokenizer->bytes(258), "");
}

TEST(TokenizerFile, SaysThatTextIsNoJson) {
  for (const char* text : {"", "{", "[1, 2", "{\"model\": \xff}", "nonsense"}) {
    const auto result = Tokenizer::parse(text, "x.json");
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(result.error().message, HasSubstr("tokenizer: x.json: not JSON"));
  }
  const auto deep = Tokenizer::parse(std::string(100, '['), "x.json");
  ASSERT_FALSE(deep.ok());
  EXPECT_THAT(deep.error().message, HasSubstr("want at most 64 levels of JSON, found more"));
  const auto list = Tokenizer::parse("[]", "x.json");
  ASSERT_FALSE(list.ok());
  EXPECT_THAT(list.error().message, AllOf(HasSubstr("top level"), HasSubstr("an object")));
}

TEST(TokenizerFile, SurvivesDeepNesting) {
  std::string text;
  for (int i = 0; i < 100000; ++i) text += "{\"a\":[";
  EXPECT_FALSE(Tokenizer::parse(text, "x.json").ok());
}

TEST(TokenizerFile, NamesAFileThatIsNotThere) {
  const auto missing = Tokenizer::load("/nowhere/tokenizer.json");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().message, HasSubstr("/nowhere/tokenizer.json"));
  EXPECT_FALSE(Tokenizer::load(std::filesystem::path(INCIPIT_SOURCE_DIR)).ok());
}

TEST(TokenizerFile, NeverCrashesOnADamagedFile) {
  const uint32_t seed = 99;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const std::string whole = sound().dump();
  int n_refused = 0;
  for (int i = 0; i < 300; ++i) {
    std::string text = whole;
    for (int k = 0; k < 3; ++k) text[random() % text.size()] = static_cast<char>(random());
    if (i % 3 == 0) text.resize(random() % text.size());
    const auto result = Tokenizer::parse(text, "x.json");
    if (!result.ok()) {
      EXPECT_THAT(result.error().message, HasSubstr("tokenizer: x.json: "));
      ++n_refused;
    } else {
      EXPECT_EQ(result.value()->decode(result.value()->encode("abc 1\xff")), "abc 1\xff");
    }
  }
  EXPECT_GT(n_refused, 100);
}

}  // namespace
}  // namespace incipit::engine
