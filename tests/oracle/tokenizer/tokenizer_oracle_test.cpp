// Compares our ids with those that encode_corpus.mjs got from Hugging Face's library just before (a
// ctest fixture), over every kind of tokenizer file (convert_tokenizers.py), and with those of
// SentencePiece where that is installed. Hugging Face's ids must be there and hold what the corpus
// holds: that oracle missing is a failure, never a skip.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/tokenizer/tokenizer.h"

namespace incipit::engine {
namespace {

using Json = nlohmann::json;

class TokenizerOracle : public testing::Test {
 protected:
  static void SetUpTestSuite() { oracle_ = read("ids.json"); }
  static Json read(const char* name) {
    std::ifstream file(made(name));
    return Json::parse(file, nullptr, false);
  }
  static std::filesystem::path made(const char* name) {
    return std::filesystem::path(INCIPIT_ORACLE_DIR) / name;
  }
  static void TearDownTestSuite() { oracle_ = nullptr; }

  void SetUp() override {
    ASSERT_TRUE(oracle_.is_object()) << made("ids.json") << " is missing or no JSON";
    ASSERT_EQ(oracle_["tokenizers"].size(), 4u);
  }

  // Compares all texts of one tokenizer; says at which token and byte the first difference is.
  static void compare(const Json& entry, const std::filesystem::path& file) {
    const auto loaded = Tokenizer::load(file);
    ASSERT_TRUE(loaded.ok()) << loaded.error().message;
    const auto& tokenizer = *loaded;
    // A vocabulary of characters has no way to write the mark that stands for a space.
    const bool has_marks = file.string().find("entencepiece") != std::string::npos ||
                           file.string().find("llama2") != std::string::npos;
    ASSERT_GE(entry["texts"].size(), 600u);
    int n_different = 0;
    for (const Json& text : entry["texts"]) {
      const auto bytes = text["text"].get<std::string>();
      const auto wanted = text["ids"].get<std::vector<TokenId>>();
      const std::vector<TokenId> found = tokenizer->encode(bytes, TextStart::kBeginning);
      if (!has_marks || bytes.find("▁") == std::string::npos) {
        EXPECT_EQ(tokenizer->decode(tokenizer->encode(bytes)), bytes) << text["name"];
      }
      if (found == wanted) continue;
      const auto [at, wanted_at] =
          std::mismatch(found.begin(), found.end(), wanted.begin(), wanted.end());
      const std::string before = tokenizer->decode(std::span(found.begin(), at));
      const std::string around =
          bytes.substr(before.size() - std::min<size_t>(before.size(), 8), 40);
      ADD_FAILURE() << text["name"] << ": token " << at - found.begin() << ", byte "
                    << before.size() << ", near "
                    << Json(around).dump(-1, ' ', true, Json::error_handler_t::replace)
                    << ": want id " << (wanted_at == wanted.end() ? -1 : *wanted_at) << ", found "
                    << (at == found.end() ? -1 : *at);
      if (++n_different == 10) break;
    }
  }

  static Json oracle_;
};

Json TokenizerOracle::oracle_;

TEST_F(TokenizerOracle, GivesTheSameIdsWithTheFullLlama3Tokenizer) {
  ASSERT_NE(oracle_["tokenizers"][0]["file"].get<std::string>().find("tokenizer-llama3"),
            std::string::npos);
  compare(oracle_["tokenizers"][0], oracle_["tokenizers"][0]["file"].get<std::string>());
}

TEST_F(TokenizerOracle, GivesTheSameIdsWithPocketsTokenizer) {
  ASSERT_NE(oracle_["tokenizers"][1]["file"].get<std::string>().find("pocket"), std::string::npos);
  compare(oracle_["tokenizers"][1], oracle_["tokenizers"][1]["file"].get<std::string>());
}

TEST_F(TokenizerOracle, GivesTheSameIdsWithMetasRanksOfLlama3) {
  compare(oracle_["tokenizers"][0], made("models.model"));
}

TEST_F(TokenizerOracle, GivesTheSameIdsWithRanksOfPocketsVocabulary) {
  compare(oracle_["tokenizers"][1], made("pocket.model"));
}

TEST_F(TokenizerOracle, NamesTheSpecialTokensOfRanksAsLlama3Does) {
  const auto theirs = Tokenizer::load(oracle_["tokenizers"][0]["file"].get<std::string>()).value();
  const auto ours = Tokenizer::load(made("models.model")).value();
  ASSERT_EQ(ours->vocab_size(), theirs->vocab_size());
  std::ifstream file(oracle_["tokenizers"][0]["file"].get<std::string>());
  const Json added = Json::parse(file)["added_tokens"];
  ASSERT_EQ(added.size(), 256u);
  for (const Json& token : added) {
    EXPECT_EQ(ours->special(token["content"].get<std::string>()), token["id"]) << token["content"];
  }
}

TEST_F(TokenizerOracle, GivesTheSameIdsWithAVocabularyOfCharacters) {
  for (const size_t idx : {2u, 3u}) {
    SCOPED_TRACE(oracle_["tokenizers"][idx]["file"]);
    compare(oracle_["tokenizers"][idx], oracle_["tokenizers"][idx]["file"].get<std::string>());
  }
}

TEST_F(TokenizerOracle, GivesTheSameIdsAsSentencePiece) {
  const Json theirs = read("sentencepiece_ids.json");
  if (!theirs.is_object()) GTEST_SKIP() << "python3-sentencepiece is not installed";
  compare(theirs, theirs["file"].get<std::string>());
}

// `GivesTheSameIds…` must be able to see a difference.
TEST_F(TokenizerOracle, TellsTheTwoTokenizersApart) {
  const Json& llama3 = oracle_["tokenizers"][0];
  const Json& pocket = oracle_["tokenizers"][1];
  const auto tokenizer = Tokenizer::load(pocket["file"].get<std::string>()).value();
  const Json& text = llama3["texts"][0];
  EXPECT_EQ(text["name"], pocket["texts"][0]["name"]);
  EXPECT_NE(tokenizer->encode(text["text"].get<std::string>()),
            text["ids"].get<std::vector<TokenId>>());
}

}  // namespace
}  // namespace incipit::engine
