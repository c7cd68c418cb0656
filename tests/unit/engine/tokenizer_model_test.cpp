// Files called tokenizer.model: tiktoken's ranks and SentencePiece's message; vocabularies of
// characters in a tokenizer.json; where a checkpoint's tokenizer is looked for. Ids of the
// SentencePiece fixture are the library's own (0.1.97; tests/oracle/tokenizer compares hundreds of
// texts).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "engine/tokenizer/sentencepiece_model.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/tools/model_store.h"
#include "engine/weights/gguf_tokenizer.h"
#include "tests/support/environment.h"
#include "tests/support/gguf_builder.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_checkpoint.h"

namespace incipit::engine {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using Ids = std::vector<TokenId>;
using ModelJson = nlohmann::json;

const fs::path kPieceFixture =
    fs::path(INCIPIT_SOURCE_DIR) / "tests/golden/tokenizer/sentencepiece.model";

std::string base64(std::string_view bytes) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t at = 0; at < bytes.size(); at += 3) {
    uint32_t bits = 0;
    for (size_t i = 0; i < 3; ++i) {
      bits = bits << 8 | (at + i < bytes.size() ? static_cast<uint8_t>(bytes[at + i]) : 0u);
    }
    for (size_t i = 0; i < 4; ++i) {
      text += at + i > bytes.size() ? '=' : kAlphabet[bits >> (18 - 6 * i) & 63];
    }
  }
  return text;
}

// The 256 bytes, then these tokens.
std::string ranks(const std::vector<std::string>& tokens) {
  std::string text;
  size_t rank = 0;
  for (int byte = 0; byte < 256; ++byte) {
    text += base64(std::string(1, static_cast<char>(byte))) + " " + std::to_string(rank++) + "\n";
  }
  for (const std::string& token : tokens) {
    text += base64(token) + " " + std::to_string(rank++) + "\n";
  }
  return text;
}

TEST(TiktokenFile, MergesByRankAndTakesWholePieces) {
  // "bc" comes before "ab": "abc" as such is a token, " abcd" is cut by ranks.
  const auto tokenizer =
      Tokenizer::parse_model(ranks({"bc", "ab", "abc", "xyz", "\n\n"}), "ranks").value();
  EXPECT_EQ(tokenizer->vocab_size(), 261 + 256);
  EXPECT_EQ(tokenizer->encode("abc"), Ids{258});
  EXPECT_EQ(tokenizer->encode(" abcd"), (Ids{' ', 258, 'd'}));  // bc, then a + bc
  EXPECT_EQ(tokenizer->encode("xyz"), Ids{259});                // no merges lead to it
  EXPECT_EQ(tokenizer->encode(" xyz"), (Ids{' ', 'x', 'y', 'z'}));
  EXPECT_EQ(tokenizer->encode("a\n\nb"), (Ids{'a', 260, 'b'}));
  EXPECT_EQ(tokenizer->encode("ab", TextStart::kBeginning), Ids{257});  // no space in front
  EXPECT_EQ(tokenizer->decode(Ids{258, 260, 0xff}), "abc\n\n\xff");
}

TEST(TiktokenFile, HasLlama3sSpecialTokensBehindTheRanks) {
  const auto tokenizer = Tokenizer::parse_model(ranks({}), "ranks").value();
  EXPECT_EQ(tokenizer->special("<|begin_of_text|>"), 256);
  EXPECT_EQ(tokenizer->special("<|end_of_text|>"), 257);
  EXPECT_EQ(tokenizer->special("<|reserved_special_token_3|>"), 261);
  EXPECT_EQ(tokenizer->special("<|start_header_id|>"), 262);
  EXPECT_EQ(tokenizer->special("<|end_header_id|>"), 263);
  EXPECT_EQ(tokenizer->special("<|reserved_special_token_4|>"), 264);
  EXPECT_EQ(tokenizer->special("<|eot_id|>"), 265);
  EXPECT_EQ(tokenizer->special("<|reserved_special_token_250|>"), 511);
  EXPECT_EQ(tokenizer->special("<|reserved_special_token_251|>"), std::nullopt);
  for (const TokenId id : tokenizer->encode("<|eot_id|>")) EXPECT_LT(id, 256);
}

TEST(TiktokenFile, NamesLineWantedAndFound) {
  struct Bad {
    std::string text;
    std::vector<const char*> says;
  };
  const std::string good = ranks({});
  const Bad bad[] = {
      {"", {"line 1", "found nothing"}},
      {"{\"a\": 1}", {"line 1", "want base64"}},
      {"<!DOCTYPE html>\n", {"line 1", "want base64", "<!DOCTYPE html>"}},
      {good + "YQ= 256\n", {"line 257", "\"YQ= 256\""}},
      {good + "Y%== 256\n", {"line 257", "want base64"}},
      {good + "YWI= 256 \n", {"line 257", "a rank"}},
      {good + "YWI= -1\n", {"line 257", "a rank"}},
      {good + "YWI=\n", {"line 257", "\"YWI=\""}},
      {good + "YWI=\x01 1\n", {"line 257", "\\x01"}},
      {good + "\nYWI= 256\n", {"line 257", "found \"\""}},
      {good + "YWI= 257\n", {"line 257", "0..256", "found 257"}},
      {good + "YWI= 99999999999999999999\n", {"line 257", "a rank"}},
      {good + "YWI= 255\n", {"line 257", "a rank of its own", "255 again"}},
      {good + "YQ== 256\n", {"rank 256", "a token of its own", "rank 97"}},
      {"YQ== 0\n", {"256 bytes", "none for byte 0x00"}},
      {good + base64(std::string(513, 'a')) + " 256\n", {"line 257", "512 bytes", "513"}},
  };
  for (const Bad& one : bad) {
    const auto result = Tokenizer::parse_model(one.text, "d/tokenizer.model");
    ASSERT_FALSE(result.ok()) << one.says[0];
    EXPECT_EQ(result.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(result.error().message, HasSubstr("tokenizer: d/tokenizer.model: "));
    for (const char* part : one.says) EXPECT_THAT(result.error().message, HasSubstr(part));
  }
}

TEST(SentencePieceFile, GivesTheIdsOfTheLibrary) {
  const auto tokenizer = Tokenizer::load(kPieceFixture).value();
  EXPECT_EQ(tokenizer->vocab_size(), 1204);
  const auto begin = [&](std::string_view text) {
    return tokenizer->encode(text, TextStart::kBeginning);
  };
  EXPECT_EQ(begin("def add(a, b):\n    return a + b\n"),
            (Ids{527, 1128, 1108, 628, 1126, 1115, 1131, 317, 1125, 1123, 13, 264, 318, 310, 354,
                 317, 13}));
  EXPECT_EQ(begin(" x"), (Ids{259, 1143}));  // the space in front comes on top
  EXPECT_EQ(begin("  return 1234;"), (Ids{262, 318, 1108, 1147, 1149, 1156, 1158, 1130}));
  EXPECT_EQ(begin("größe 日本 😀"), (Ids{479, 1116, 198, 185, 198, 162, 1109, 1108, 233, 154, 168,
                                        233, 159, 175, 1108, 243, 162, 155, 131}));
  EXPECT_EQ(begin("\t\r\n"), (Ids{1108, 12, 16, 13}));
  EXPECT_EQ(begin("▁a"), (Ids{259, 1115}));  // the mark is a space
  EXPECT_EQ(begin("<0x0A>"), (Ids{328, 1146, 1143, 1146, 1169, 1144}));
  EXPECT_EQ(begin(""), Ids{});
}

TEST(SentencePieceFile, PutsTheSpaceInFrontOfABeginningOnly) {
  const auto tokenizer = Tokenizer::load(kPieceFixture).value();
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("def f", TextStart::kBeginning)), " def f");
  for (const char* text : {"def f", " x", "größe\xff\xf0\x9f 日", "\n\n", "a\xe2\x96"}) {
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  }
}

TEST(SentencePieceFile, TakesControlAndInfillTokensForSpecial) {
  const auto tokenizer = Tokenizer::load(kPieceFixture).value();
  EXPECT_EQ(tokenizer->special("<s>"), 1);
  EXPECT_EQ(tokenizer->special("▁<PRE>"), 1200);
  EXPECT_EQ(tokenizer->special("▁<EOT>"), 1203);
  EXPECT_EQ(tokenizer->bytes(1), "");
  EXPECT_EQ(tokenizer->bytes(13), "\n");  // <0x0A>
  for (const char* text : {"<s> ▁<PRE> x ▁<SUF>", " <MID>", "</s>", "<unk>"}) {
    for (const TokenId id : tokenizer->encode(text)) EXPECT_FALSE(tokenizer->is_special(id));
  }
}

TEST(SentencePieceFile, EncodesALongLineWithoutABreak) {
  const auto tokenizer = Tokenizer::load(kPieceFixture).value();
  for (const std::string_view unit : {"a", " ", "=", "日", "e s"}) {
    std::string text;
    while (text.size() < 100'000) text += unit;
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text) << unit;
  }
}

SentencePieceModel small_model() {
  SentencePieceModel model;
  model.model_type = SentencePieceModel::kBpe;
  model.byte_fallback = true;
  model.remove_extra_spaces = false;
  model.pieces.push_back({"<unk>", 0, PieceType::kUnknown});
  for (int byte = 0; byte < 256; ++byte) {
    char spelling[8];
    std::snprintf(spelling, sizeof(spelling), "<0x%02X>", byte);
    model.pieces.push_back({spelling, 0, PieceType::kByte});
  }
  const char* const pieces[] = {"▁", "a", "b", "aa", "▁a", "ab"};
  for (size_t i = 0; i < std::size(pieces); ++i) {
    model.pieces.push_back({pieces[i], -static_cast<float>(i)});
  }
  return model;
}

TEST(SentencePieceFile, MergesTheBestScoreFirstAndTheLeftmostOfEqualOnes) {
  SentencePieceModel model = small_model();
  const auto encode = [&](std::string_view text) {
    return Tokenizer::parse_model(write_sentencepiece_model(model), "m").value()->encode(text);
  };
  EXPECT_EQ(encode("aab"), (Ids{260, 259}));  // aa before ab
  model.pieces[260].score = -9;
  EXPECT_EQ(encode("aab"), (Ids{258, 262}));  // ab before aa
  model.pieces[262].score = -9;
  EXPECT_EQ(encode("aab"), (Ids{260, 259}));  // aa stands first
}

TEST(SentencePieceFile, RefusesWhatItDoesNotDoByName) {
  struct Bad {
    std::function<void(SentencePieceModel&)> spoil;
    const char* says;
  };
  using Model = SentencePieceModel;
  const Bad bad[] = {
      {[](Model& m) { m.model_type = 1; }, "trainer_spec.model_type: want 2 (BPE), found 1"},
      {[](Model& m) { m.byte_fallback = false; }, "trainer_spec.byte_fallback: want true"},
      {[](Model& m) { m.space_behind = true; }, "treat_whitespace_as_suffix: want false"},
      {[](Model& m) { m.remove_extra_spaces = true; }, "remove_extra_whitespaces: want false"},
      {[](Model& m) { m.escape_spaces = false; }, "escape_whitespaces: want true"},
      {[](Model& m) { m.pieces[258].spelling = ""; }, "piece 258: want a spelling of 1..512"},
      {[](Model& m) { m.pieces[258].spelling = "\xff"; }, "piece 258: want a spelling"},
      {[](Model& m) { m.pieces[258].spelling.assign(600, 'a'); }, "found 600 bytes"},
      {[](Model& m) { m.pieces[258].spelling = "x y"; }, "piece 258: want a spelling with ▁"},
      {[](Model& m) { m.pieces[259].spelling = "a"; }, "piece 259: want a piece of its own"},
      {[](Model& m) { m.pieces[259].score = NAN; }, "piece 259: want a number as score"},
      {[](Model& m) { m.pieces[1].spelling = "<0xG0>"; }, "piece 1: want a byte as"},
      {[](Model& m) { m.pieces[1].type = PieceType::kUnused; }, "none for byte 0x00"},
      {[](Model& m) { m.pieces.clear(); }, "line 1"},  // no piece comes first: no such file
  };
  for (const Bad& one : bad) {
    SentencePieceModel model = small_model();
    one.spoil(model);
    const auto result = Tokenizer::parse_model(write_sentencepiece_model(model), "m");
    ASSERT_FALSE(result.ok()) << one.says;
    EXPECT_THAT(result.error().message, HasSubstr("tokenizer: m: "));
    EXPECT_THAT(result.error().message, HasSubstr(one.says));
  }
}

TEST(SentencePieceFile, RefusesDamageWithThePlaceOfIt) {
  const std::string whole = write_sentencepiece_model(small_model());
  for (size_t size = 1; size < whole.size(); ++size) {
    EXPECT_FALSE(Tokenizer::parse_model(whole.substr(0, size), "m").ok()) << size;
  }
  const auto says = [](std::string_view bytes, const char* part) {
    const auto result = Tokenizer::parse_model(bytes, "m");
    ASSERT_FALSE(result.ok()) << part;
    EXPECT_THAT(result.error().message, AllOf(HasSubstr("m: byte "), HasSubstr(part)));
  };
  says("\n\x7f", "byte 2: want 127 bytes, found 0");
  says("\n\x05\x0a\x01zz", "want 5 bytes, found 4");
  says("\n\x02\x18\x09", "a type of piece, 1..6, found 9");
  says("\n\x02\x1f\x09", "wire type 7");
  says("\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "a number of up to ten bytes");
}

ModelJson character_json() {
  ModelJson vocab = {{"<unk>", 0}};
  const SentencePieceModel model = small_model();
  for (size_t id = 1; id < model.pieces.size(); ++id) vocab[model.pieces[id].spelling] = id;
  const ModelJson replace = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}};
  return {{"added_tokens", {{{"id", 0}, {"content", "<unk>"}}}},
          {"normalizer",
           {{"type", "Sequence"},
            {"normalizers", ModelJson::array({{{"type", "Prepend"}, {"prepend", "▁"}}, replace})}}},
          {"pre_tokenizer", nullptr},
          {"decoder", nullptr},
          {"model",
           {{"type", "BPE"},
            {"byte_fallback", true},
            {"vocab", vocab},
            {"merges", {"a a", "▁ a", "a b"}}}}};
}

TEST(CharacterVocabulary, ReadsBothSpellingsOfTheLeadingSpace) {
  const auto encode = [](const ModelJson& json, std::string_view text) {
    return Tokenizer::parse(json.dump(), "t").value()->encode(text, TextStart::kBeginning);
  };
  ModelJson json = character_json();
  EXPECT_EQ(encode(json, "a b"), (Ids{261, 257, 259}));
  EXPECT_EQ(encode(json, " ab"), (Ids{257, 261, 259}));
  EXPECT_EQ(encode(json, "\n"), (Ids{257, 11}));
  json["normalizer"] = nullptr;
  json["pre_tokenizer"] = {
      {"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "first"}, {"split", false}};
  EXPECT_EQ(encode(json, "a b"), (Ids{261, 257, 259}));
  EXPECT_EQ(encode(json, " ab"), (Ids{261, 259}));  // there is one already
  json["pre_tokenizer"]["prepend_scheme"] = "never";
  EXPECT_EQ(encode(json, "ab"), Ids{262});
}

TEST(CharacterVocabulary, RefusesByNameWhatItDoesNotDo) {
  struct Bad {
    std::function<void(ModelJson&)> spoil;
    const char* says;
  };
  const Bad bad[] = {
      {[](ModelJson& j) { j["normalizer"] = nullptr; }, "normalizer: want Replace, or a"},
      {[](ModelJson& j) {
         j["normalizer"] = {{"type", "NFC"}};
       },
       "found NFC"},
      {[](ModelJson& j) { j["normalizer"]["normalizers"].erase(0); }, "found an array of 1"},
      {[](ModelJson& j) { j["normalizer"]["normalizers"][0]["prepend"] = "x"; },
       "normalizers[0].prepend: want \"▁\", found \"x\""},
      {[](ModelJson& j) { j["normalizer"]["normalizers"][1]["content"] = "_"; },
       "normalizers[1].content"},
      {[](ModelJson& j) {
         j["normalizer"]["normalizers"][1]["pattern"] = {{"Regex", " "}};
       },
       "normalizers[1].pattern"},
      {[](ModelJson& j) {
         j["decoder"] = {{"type", "WordPiece"}};
       },
       "decoder: want"},
      {[](ModelJson& j) { j["model"]["ignore_merges"] = true; }, "model.ignore_merges"},
      {[](ModelJson& j) { j["model"]["vocab"].erase("<0x41>"); }, "ids without gaps"},
      {[](ModelJson& j) {
         j["pre_tokenizer"] = {{"type", "Metaspace"}};
       },
       "beside a normalizer"},
      {[](ModelJson& j) {
         j["normalizer"] = nullptr;
         j["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "▁"}};
       },
       "pre_tokenizer.split: want false, found nothing"},
  };
  for (const Bad& one : bad) {
    ModelJson json = character_json();
    one.spoil(json);
    const auto result = Tokenizer::parse(json.dump(), "t");
    ASSERT_FALSE(result.ok()) << one.says;
    EXPECT_THAT(result.error().message, AllOf(HasSubstr("tokenizer: t: "), HasSubstr(one.says)));
  }
}

TEST(CharacterVocabulary, TakesInfillTokensOutOfTheVocabulary) {
  ModelJson json = character_json();
  json["model"]["vocab"]["▁<PRE>"] = 263;
  const auto tokenizer = Tokenizer::parse(json.dump(), "t").value();
  EXPECT_EQ(tokenizer->special("▁<PRE>"), 263);
  EXPECT_EQ(tokenizer->bytes(263), "");
}

TEST(TokenizerPlace, IsTheFirstOfThreeFiles) {
  const test::TempDir dir;
  EXPECT_EQ(Tokenizer::find(dir.path()), dir / "tokenizer.json");
  fs::create_directory(dir / "original");
  test::write_file(dir.path() / "original" / "tokenizer.model", ranks({}));
  EXPECT_EQ(Tokenizer::find(dir.path()), dir.path() / "original" / "tokenizer.model");
  test::write_file(dir / "tokenizer.model", ranks({}));
  EXPECT_EQ(Tokenizer::find(dir.path()), dir / "tokenizer.model");
  test::write_file(dir / "tokenizer.json", "{}");
  EXPECT_EQ(Tokenizer::find(dir.path()), dir / "tokenizer.json");
}

struct AddedTokenizer : testing::Test {
  test::TempDir dir;
  test::Environment home{"HOME", (dir / "home").string()};
  test::Environment data{"XDG_DATA_HOME", (dir / "data").string()};
  test::Environment cache{"XDG_CACHE_HOME", (dir / "cache").string()};
};

TEST_F(AddedTokenizer, IsMetasFileWhereThereIsNoOther) {
  test::TinyOptions options;
  options.vocab = 520;
  const fs::path source = dir / "llama";
  test::write_tiny_checkpoint(source, options);
  fs::remove(source / "tokenizer.json");
  fs::create_directory(source / "original");
  test::write_file(source / "original" / "tokenizer.model", ranks({"ab"}));
  const auto added = add_model({source, ""});
  ASSERT_TRUE(added.ok()) << added.error().message;
  const fs::path copy = Tokenizer::find(added->directory);
  EXPECT_EQ(copy.filename(), "tokenizer.model");
  EXPECT_EQ(Tokenizer::load(copy).value()->encode("ab"), Ids{256});
  EXPECT_EQ(add_model({source, ""}).value().outcome, AddedModel::Outcome::kAlreadyThere);

  test::write_file(source / "original" / "tokenizer.model", ranks({"ab"}) + "x\n");
  const auto damaged = add_model({source, "other"});
  ASSERT_FALSE(damaged.ok());
  EXPECT_THAT(damaged.error().message, HasSubstr("original/tokenizer.model: line 258: want"));
}

// A GGUF file's metadata with this vocabulary in it.
std::string gguf_of_pieces(const SentencePieceModel& model) {
  test::GgufBuilder builder;
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  std::string scores;
  for (const SentencePiece& piece : model.pieces) {
    tokens.push_back(piece.spelling);
    types.push_back(static_cast<int32_t>(piece.type));
    scores += test::GgufBuilder::bytes(piece.score);
  }
  builder.add("tokenizer.ggml.model", "llama");
  builder.add("tokenizer.ggml.tokens", tokens);
  builder.add("tokenizer.ggml.token_type", types);
  builder.add_raw(test::GgufBuilder::string("tokenizer.ggml.scores") +
                  test::GgufBuilder::bytes(uint32_t{9}) + test::GgufBuilder::bytes(uint32_t{6}) +
                  test::GgufBuilder::bytes(uint64_t{tokens.size()}) + scores);
  return builder.file();
}

TEST(GgufTokenizer, OfSentencePieceIsTheFileItWasMadeFrom) {
  const std::string original = test::read_file(kPieceFixture);
  const std::string bytes = gguf_of_pieces(parse_sentencepiece_model(original, "m").value());
  const auto file = GgufFile::parse(std::as_bytes(std::span(bytes)), "m.gguf");
  ASSERT_TRUE(file.ok()) << file.error().message;
  const auto tokenizer = gguf_tokenizer(*file);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_EQ(tokenizer->name, "tokenizer.model");
  const auto ours = Tokenizer::parse_model(tokenizer->bytes, "m.gguf").value();
  const auto theirs = Tokenizer::load(kPieceFixture).value();
  EXPECT_EQ(ours->vocab_size(), theirs->vocab_size());
  for (const char* text : {"def mean(values):\n    return  1234", "größe\r\n\t\"don't\"", "x"}) {
    EXPECT_EQ(ours->encode(text, TextStart::kBeginning),
              theirs->encode(text, TextStart::kBeginning));
  }
}

TEST(GgufTokenizer, OfSentencePieceWantsAScoreATokenAndATypeFrom1To6) {
  SentencePieceModel model = small_model();
  std::string bytes = gguf_of_pieces(model);
  bytes.replace(bytes.find("ggml.scores"), 11, "ggml.SCORES");
  EXPECT_THAT(gguf_tokenizer(GgufFile::parse(std::as_bytes(std::span(bytes)), "m.gguf").value())
                  .error()
                  .message,
              HasSubstr("m.gguf: tokenizer.ggml.scores: want 263 numbers, found none"));
  model.pieces[5].type = static_cast<PieceType>(9);
  bytes = gguf_of_pieces(model);
  EXPECT_THAT(gguf_tokenizer(GgufFile::parse(std::as_bytes(std::span(bytes)), "m.gguf").value())
                  .error()
                  .message,
              HasSubstr("tokenizer.ggml.token_type[5]: want 1..6, found 9"));
}

}  // namespace
}  // namespace incipit::engine
