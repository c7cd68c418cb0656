#include "engine/tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

namespace incipit::engine {
namespace {

using Json = nlohmann::json;
using Tokens = std::vector<TokenId>;

const std::filesystem::path kSource = INCIPIT_SOURCE_DIR;

std::shared_ptr<const Tokenizer> pocket() {
  static const auto tokenizer =
      Tokenizer::load(kSource / "engine/models/pocket/tokenizer.json").value();
  return tokenizer;
}

// What a prompt builder does: special tokens where `text` spells them, plain text between them. The
// oracle's library does this to any text.
Tokens encode_trusted(const Tokenizer& tokenizer, std::string_view text) {
  Tokens ids;
  while (!text.empty()) {
    const size_t open = std::min(text.find("<|"), text.size());
    const size_t close = text.find("|>", open);
    const auto special = close == std::string_view::npos
                             ? std::nullopt
                             : tokenizer.special(text.substr(open, close + 2 - open));
    const size_t plain = special ? open : text.size();
    tokenizer.encode_append(text.substr(0, plain), ids);
    if (special) ids.push_back(*special);
    text.remove_prefix(special ? close + 2 : plain);
  }
  return ids;
}

TEST(Tokenizer, GivesTheGoldenIdsOfPocket) {
  std::ifstream file(kSource / "tests/golden/tokenizer/pocket_encodings.json");
  const Json golden = Json::parse(file);
  ASSERT_EQ(golden["encodings"].size(), 45u);
  for (const Json& entry : golden["encodings"]) {
    const auto text = entry["text"].get<std::string>();
    EXPECT_EQ(encode_trusted(*pocket(), text), entry["ids"].get<Tokens>()) << Json(text).dump();
  }
}

}  // namespace
}  // namespace incipit::engine
