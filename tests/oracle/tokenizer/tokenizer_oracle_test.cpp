// Compares our ids with those that encode_corpus.mjs got from Hugging Face's library just before (a
// ctest fixture). The file must be there and hold what the corpus holds: a missing oracle is a
// failure, never a skip.
#include <gtest/gtest.h>

#include <algorithm>
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
  static void SetUpTestSuite() {
    std::ifstream file(INCIPIT_ORACLE_IDS);
    oracle_ = Json::parse(file, nullptr, false);
  }
  static void TearDownTestSuite() { oracle_ = nullptr; }

  void SetUp() override {
    ASSERT_TRUE(oracle_.is_object()) << INCIPIT_ORACLE_IDS << " is missing or no JSON";
    ASSERT_EQ(oracle_["tokenizers"].size(), 2u);
  }

  // Compares all texts of one tokenizer; says at which token and byte the first difference is.
  static void compare(const Json& entry) {
    const auto tokenizer = Tokenizer::load(entry["file"].get<std::string>()).value();
    ASSERT_GE(entry["texts"].size(), 600u);
    int n_different = 0;
    for (const Json& text : entry["texts"]) {
      const auto bytes = text["text"].get<std::string>();
      const auto wanted = text["ids"].get<std::vector<TokenId>>();
      const std::vector<TokenId> found = tokenizer->encode(bytes);
      EXPECT_EQ(tokenizer->decode(found), bytes) << text["name"];
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
  compare(oracle_["tokenizers"][0]);
}

TEST_F(TokenizerOracle, GivesTheSameIdsWithPocketsTokenizer) {
  ASSERT_NE(oracle_["tokenizers"][1]["file"].get<std::string>().find("pocket"), std::string::npos);
  compare(oracle_["tokenizers"][1]);
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
