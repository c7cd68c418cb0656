#include "engine/tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>

#include "tests/support/tiny_tokenizer.h"

namespace incipit::engine {
namespace {

using Json = nlohmann::json;
using Tokens = std::vector<TokenId>;
using support::tiny_tokenizer_json;
using Merges = std::vector<std::pair<std::string, std::string>>;

const std::filesystem::path kSource = INCIPIT_SOURCE_DIR;

const Tokenizer& pocket() {
  static const auto tokenizer =
      Tokenizer::load(kSource / "engine/models/pocket/tokenizer.json").value();
  return *tokenizer;
}

std::shared_ptr<const Tokenizer> tiny(const Merges& merges) {
  return Tokenizer::parse(tiny_tokenizer_json(merges).dump(), "tiny").value();
}

// The spellings of the tokens, to read a failure by.
std::vector<std::string> spelled(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::string> parts;
  for (const TokenId id : tokenizer.encode(text)) parts.emplace_back(tokenizer.bytes(id));
  return parts;
}
using Parts = std::vector<std::string>;

std::string random_bytes(std::mt19937& random, size_t n) {
  std::string bytes(n, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
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
    EXPECT_EQ(encode_trusted(pocket(), text), entry["ids"].get<Tokens>()) << Json(text).dump();
  }
}

TEST(Tokenizer, CountsTheSpecialTokensIntoTheVocabulary) {
  EXPECT_EQ(pocket().vocab_size(), 16384);
}

TEST(Tokenizer, NeverTakesASpecialTokenFromText) {
  for (const char* spelling : {"<|begin_of_text|>", "<|end_of_text|>", "<|fim_middle|>"}) {
    ASSERT_TRUE(pocket().special(spelling).has_value());
    const Tokens ids = pocket().encode(std::string("x") + spelling + spelling);
    EXPECT_TRUE(std::none_of(ids.begin(), ids.end(), [](TokenId id) {
      return pocket().is_special(id);
    })) << spelling;
    EXPECT_EQ(pocket().decode(ids), std::string("x") + spelling + spelling);
  }
}

TEST(Tokenizer, KnowsASpecialTokenByItsExactSpellingOnly) {
  EXPECT_EQ(pocket().special("<|fim_prefix|>"), 16378);
  EXPECT_EQ(pocket().special("<|fim_prefix|> "), std::nullopt);
  EXPECT_EQ(pocket().special("return"), std::nullopt);
  EXPECT_TRUE(pocket().is_special(16378));
  EXPECT_FALSE(pocket().is_special(16372));
  EXPECT_FALSE(pocket().is_special(-1));
}

TEST(Tokenizer, LeavesSpecialAndUnknownIdsOutOfDecodedText) {
  const TokenId word = pocket().encode("return").at(0);
  EXPECT_EQ(pocket().bytes(word), "return");
  const Tokens ids = {16373, word, -1, 16384, INT32_MAX, INT32_MIN, 16374};
  EXPECT_EQ(pocket().decode(ids), "return");
}

TEST(Tokenizer, EncodesInvalidUtf8ByteByByte) {
  // A valid text on both sides of 0xff is cut as if it stood alone.
  Tokens wanted = pocket().encode("return");
  const TokenId byte = pocket().encode("\xff").at(0);
  wanted.push_back(byte);
  for (const TokenId id : pocket().encode("return")) wanted.push_back(id);
  EXPECT_EQ(pocket().encode("return\xffreturn"), wanted);
  EXPECT_EQ(pocket().encode("\xf0\x9f\x98").size(), 3u);      // a cut emoji
  EXPECT_EQ(pocket().encode("\xed\xa0\x80").size(), 3u);      // a surrogate
  EXPECT_EQ(pocket().encode("\xc0\x80").size(), 2u);          // an overlong NUL
  EXPECT_EQ(pocket().encode("\xf4\x90\x80\x80").size(), 4u);  // past U+10FFFF
}

TEST(Tokenizer, GivesAnyBytesBackUnchanged) {
  const uint32_t seed = 811;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const std::string_view bits[] = {"return ", "\xe6\x97\xa5", "\xf0\x9f\x98\x80",
                                   "\r\n",    "\xe6\x97",     "\xf0",
                                   "\xff",    "'s",           {"\0", 1}};
  for (int i = 0; i < 400; ++i) {
    std::string text;
    while (text.size() < 60) {
      text += random() % 3 == 0 ? random_bytes(random, random() % 9)
                                : std::string(bits[random() % std::size(bits)]);
    }
    ASSERT_EQ(pocket().decode(pocket().encode(text)), text) << "round " << i;
  }
}

TEST(Tokenizer, AppendsToWhatIsThere) {
  Tokens ids = {7};
  pocket().encode_append("", ids);
  EXPECT_EQ(ids, Tokens{7});
  pocket().encode_append("\n", ids);
  EXPECT_EQ(ids, (Tokens{7, 198}));
}

TEST(Tokenizer, MergesTheEarliestRankFirstAndTheLeftmostOfEqualOnes) {
  const auto tokenizer = tiny({{"b", "c"}, {"a", "b"}, {"a", "a"}, {"aa", "a"}});
  EXPECT_EQ(spelled(*tokenizer, "abc"), (Parts{"a", "bc"}));
  EXPECT_EQ(spelled(*tokenizer, "aaaa"), (Parts{"aa", "aa"}));
  EXPECT_EQ(spelled(*tokenizer, "aaaaa"), (Parts{"aa", "aaa"}));
}

TEST(Tokenizer, TakesTheLastOfTwoEqualMerges) {
  // The first "a b" alone would win over "b c"; its repetition stands behind it.
  EXPECT_EQ(spelled(*tiny({{"a", "b"}, {"b", "c"}, {"a", "b"}}), "abc"), (Parts{"a", "bc"}));
}

TEST(Tokenizer, TakesAWholePieceFromTheVocabularyWhenMergesAreIgnored) {
  // "abc" is a token, but no merges lead to it from "a" + "bc".
  Json json = tiny_tokenizer_json({{"b", "c"}, {"a", "b"}, {"ab", "c"}});
  EXPECT_EQ(spelled(*Tokenizer::parse(json.dump(), "tiny").value(), "abc"), (Parts{"a", "bc"}));
  json["model"]["ignore_merges"] = true;
  EXPECT_EQ(spelled(*Tokenizer::parse(json.dump(), "tiny").value(), "abc"), (Parts{"abc"}));
}

TEST(Tokenizer, ReadsMergesAsPairsAsWellAsStrings) {
  Json json = tiny_tokenizer_json({{"a", "b"}, {"ab", " "}});
  for (Json& merge : json["model"]["merges"]) {
    const auto text = merge.get<std::string>();
    const size_t space = text.find(' ');
    merge = Json::array({text.substr(0, space), text.substr(space + 1)});
  }
  EXPECT_EQ(spelled(*Tokenizer::parse(json.dump(), "tiny").value(), "abab"), (Parts{"ab", "ab"}));
}

// Byte-pair encoding by the book: look for the best pair in the whole piece, merge it, start again.
Parts merge_slowly(std::string_view piece, const Merges& merges) {
  std::map<std::pair<std::string, std::string>, size_t> rank_of;
  for (size_t rank = 0; rank < merges.size(); ++rank) rank_of[merges[rank]] = rank;
  Parts parts;
  for (const char byte : piece) parts.emplace_back(1, byte);
  for (;;) {
    size_t best = merges.size(), best_at = 0;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto found = rank_of.find({parts[i], parts[i + 1]});
      if (found != rank_of.end() && found->second < best) best = found->second, best_at = i;
    }
    if (best == merges.size()) return parts;
    parts[best_at] += parts[best_at + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best_at) + 1);
  }
}

TEST(Tokenizer, MergesLongAndShortPiecesByTheBook) {
  const uint32_t seed = 4711;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 30; ++round) {
    // Random merges over three letters, in random order: later ones build on earlier ones.
    Parts known = {"a", "b", "c"};
    Merges merges;
    for (int i = 0; i < 40; ++i) {
      const auto left = known[random() % known.size()];
      const auto right = known[random() % known.size()];
      if (left.size() + right.size() > 8) continue;
      merges.emplace_back(left, right);
      known.push_back(left + right);
    }
    std::shuffle(merges.begin(), merges.end(), random);
    const auto tokenizer = tiny(merges);
    for (const size_t length : {2u, 7u, 47u, 48u, 49u, 300u}) {
      std::string piece(length, ' ');
      for (char& letter : piece) letter = static_cast<char>('a' + random() % 3);
      ASSERT_EQ(spelled(*tokenizer, piece), merge_slowly(piece, merges)) << piece;
    }
  }
}

TEST(Tokenizer, EncodesALongLineWithoutABreak) {
  // Quadratic merging would take minutes for each of these.
  for (const std::string_view unit : {"a", "\xf0\x9f\x98\x80", "7", " ", "=", "\xff", "ab\xe3"}) {
    std::string text;
    while (text.size() < 100'000) text += unit;
    text += 'x';
    EXPECT_EQ(pocket().decode(pocket().encode(text)), text) << unit;
  }
}

TEST(Tokenizer, EncodesOnSeveralThreadsAtOnce) {
  const std::string text = "for (int i = 0; i < n; ++i) sum += values[i];\n";
  const Tokens wanted = pocket().encode(text);
  std::vector<std::thread> threads;
  std::vector<int> n_same(4, 0);
  for (int& same : n_same) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) same += pocket().encode(text) == wanted ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(n_same, std::vector<int>(4, 50));
}

// Pushes the bytes one token each; every text that comes out is whole UTF-8.
Parts streamed(std::string_view bytes) {
  StreamingDecoder decoder(pocket());
  Parts parts;
  for (const char byte : bytes) {
    parts.push_back(decoder.push(pocket().encode(std::string_view(&byte, 1)).at(0)));
  }
  parts.push_back(decoder.flush());
  return parts;
}

TEST(StreamingDecoder, HoldsBackAnIncompleteSequence) {
  EXPECT_EQ(streamed("a\xf0\x9f\x98\x80z"), (Parts{"a", "", "", "", "\xf0\x9f\x98\x80", "z", ""}));
}

TEST(StreamingDecoder, ReplacesWhatCanNoLongerBecomeValid) {
  EXPECT_EQ(streamed("\xe6\x97z"), (Parts{"", "", "\ufffdz", ""}));
  EXPECT_EQ(streamed("\xe6\xe6\x97\xa5"), (Parts{"", "\ufffd", "", "日", ""}));
  EXPECT_EQ(streamed("\xff"), (Parts{"\ufffd", ""}));
  EXPECT_EQ(streamed("\xed\xa0"), (Parts{"", "\ufffd\ufffd", ""}));
}

TEST(StreamingDecoder, ReplacesAnIncompleteSequenceAtTheEnd) {
  EXPECT_EQ(streamed("ab\xf0\x9f\x98"), (Parts{"a", "b", "", "", "", "\ufffd"}));
}

TEST(StreamingDecoder, IsEmptyAfterFlush) {
  StreamingDecoder decoder(pocket());
  decoder.push(pocket().encode("\xf0").at(0));
  EXPECT_EQ(decoder.flush(), "\ufffd");
  EXPECT_EQ(decoder.flush(), "");
  EXPECT_EQ(decoder.push(pocket().encode("a").at(0)), "a");
}

TEST(StreamingDecoder, SaysNothingForSpecialTokens) {
  StreamingDecoder decoder(pocket());
  decoder.push(pocket().encode("\xe6").at(0));
  EXPECT_EQ(decoder.push(16374), "");
  decoder.push(pocket().encode("\x97").at(0));
  EXPECT_EQ(decoder.push(pocket().encode("\xa5").at(0)), "日");
}

TEST(StreamingDecoder, TogetherGivesTheDecodedText) {
  const std::string text = "x = \"日本語 👩\u200d👧 naïve\"  # ½\r\n";
  StreamingDecoder decoder(pocket());
  std::string joined;
  for (const TokenId id : pocket().encode(text)) joined += decoder.push(id);
  EXPECT_EQ(joined + decoder.flush(), text);
}

}  // namespace
}  // namespace incipit::engine
