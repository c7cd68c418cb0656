#include "engine/weights/gguf_tokenizer.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/tokenizer/llama3_vocabulary.h"
#include "engine/tokenizer/sentencepiece_model.h"
#include "engine/weights/gguf_metadata.h"

namespace incipit::engine {
namespace {

using Json = nlohmann::json;

Result<void> check_pre_tokenizer(const GgufMetadata& metadata) {
  ASSIGN_OR_RETURN(const std::string pre, metadata.text("tokenizer.ggml.pre"));
  if (pre != "llama-bpe" && pre != "llama3" && pre != "llama-v3") {
    return metadata.wanted("tokenizer.ggml.pre", "llama-bpe", pre, ErrorCode::kUnsupported);
  }
  return {};
}

// Tokens of every type but the plain one are never made from text.
Result<void> add_tokens(const GgufFile& file, Json& vocab, Json& added) {
  constexpr int64_t kPlain = 1;
  const GgufMetadata metadata(file);
  ASSIGN_OR_RETURN(const auto* tokens, metadata.texts("tokenizer.ggml.tokens"));
  const auto* types = file.value<std::vector<int64_t>>("tokenizer.ggml.token_type");
  if (types == nullptr || types->size() != tokens->size()) {
    return metadata.wanted("tokenizer.ggml.token_type", fmt::format("{} integers", tokens->size()),
                           types == nullptr ? "none" : fmt::format("{}", types->size()));
  }
  for (size_t id = 0; id < tokens->size(); ++id) {
    const std::string spelling((*tokens)[id]);
    if ((*types)[id] != kPlain) {
      added.push_back({{"id", id}, {"content", spelling}, {"special", true}});
    } else if (!vocab.emplace(spelling, id).second) {
      return metadata.wanted("tokenizer.ggml.tokens", "each token once",
                             fmt::format("number {} twice", id));
    }
  }
  return {};
}

Result<std::string> byte_level_json(const GgufFile& file) {
  const GgufMetadata metadata(file);
  TRY(check_pre_tokenizer(metadata));
  Json vocab = Json::object();
  Json added = Json::array();
  TRY(add_tokens(file, vocab, added));
  ASSIGN_OR_RETURN(const auto* merges, metadata.texts("tokenizer.ggml.merges"));
  const Json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"trim_offsets", true},
                           {"use_regex", false}};
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", kLlama3SplitPattern}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  const Json json = {
      {"version", "1.0"},
      {"added_tokens", std::move(added)},
      {"normalizer", nullptr},
      {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {split, byte_level}}}},
      {"post_processor", nullptr},
      {"decoder", byte_level},
      {"model",
       {{"type", "BPE"},
        {"byte_fallback", false},
        {"ignore_merges", true},
        {"vocab", std::move(vocab)},
        {"merges", *merges}}}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// The same pieces, scores and types as in the file that the converter read.
Result<std::string> sentencepiece_bytes(const GgufFile& file) {
  const GgufMetadata metadata(file);
  ASSIGN_OR_RETURN(const auto* tokens, metadata.texts("tokenizer.ggml.tokens"));
  const auto* scores = file.value<std::vector<double>>("tokenizer.ggml.scores");
  const auto* types = file.value<std::vector<int64_t>>("tokenizer.ggml.token_type");
  if (scores == nullptr || scores->size() != tokens->size()) {
    return metadata.wanted("tokenizer.ggml.scores", fmt::format("{} numbers", tokens->size()),
                           scores == nullptr ? "none" : fmt::format("{}", scores->size()));
  }
  if (types == nullptr || types->size() != tokens->size()) {
    return metadata.wanted("tokenizer.ggml.token_type", fmt::format("{} integers", tokens->size()),
                           types == nullptr ? "none" : fmt::format("{}", types->size()));
  }
  SentencePieceModel model;
  model.model_type = SentencePieceModel::kBpe;
  model.byte_fallback = true;
  model.remove_extra_spaces = false;
  ASSIGN_OR_RETURN(model.add_dummy_prefix,
                   metadata.boolean_or("tokenizer.ggml.add_space_prefix", true));
  for (size_t id = 0; id < tokens->size(); ++id) {
    if ((*types)[id] < 1 || (*types)[id] > 6) {
      return metadata.wanted(fmt::format("tokenizer.ggml.token_type[{}]", id), "1..6",
                             fmt::format("{}", (*types)[id]));
    }
    model.pieces.push_back({std::string((*tokens)[id]), static_cast<float>((*scores)[id]),
                            static_cast<PieceType>((*types)[id])});
  }
  return write_sentencepiece_model(model);
}

}  // namespace

Result<GgufTokenizer> gguf_tokenizer(const GgufFile& file) {
  const auto* kind = file.value<std::string_view>("tokenizer.ggml.model");
  GgufTokenizer tokenizer;
  if (kind != nullptr && *kind == "gpt2") {
    tokenizer.name = "tokenizer.json";
    ASSIGN_OR_RETURN(tokenizer.bytes, byte_level_json(file));
  } else if (kind != nullptr && *kind == "llama") {
    tokenizer.name = "tokenizer.model";
    ASSIGN_OR_RETURN(tokenizer.bytes, sentencepiece_bytes(file));
  } else {
    return GgufMetadata(file).wanted("tokenizer.ggml.model",
                                     "gpt2 (byte-level BPE) or llama (SentencePiece)",
                                     kind == nullptr ? "nothing" : *kind, ErrorCode::kUnsupported);
  }
  return tokenizer;
}

}  // namespace incipit::engine
