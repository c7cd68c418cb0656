#include "engine/tokenizer/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <unordered_map>
#include <utility>

#include "engine/tokenizer/merge_table.h"
#include "engine/tokenizer/pretokenizer.h"
#include "engine/tokenizer/tokenizer_file.h"
#include "engine/tokenizer/utf8.h"
#include "engine/tokenizer/vocabulary.h"

namespace incipit::engine {

struct Tokenizer::Impl {
  Vocabulary vocabulary;
  MergeTable merges;
  Pretokenizer pretokenizer;
  WholePieces whole_pieces;
  std::unordered_map<std::string, TokenId> special_by_spelling;
  std::vector<TokenId> special_ids;  // sorted

  void encode_piece(std::string_view piece, std::vector<TokenId>& out) const {
    if (piece.size() == 1) {
      out.push_back(vocabulary.byte_token(static_cast<uint8_t>(piece[0])));
      return;
    }
    if (whole_pieces == WholePieces::kTakeFromVocabulary) {
      if (const auto id = vocabulary.find(piece)) {
        out.push_back(*id);
        return;
      }
    }
    merges.encode(piece, vocabulary, out);
  }
};

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;

Result<std::shared_ptr<const Tokenizer>> Tokenizer::load(
    const std::filesystem::path& tokenizer_json) {
  const std::string where = tokenizer_json.string();
  std::error_code status;
  if (!std::filesystem::is_regular_file(tokenizer_json, status)) {
    return Error{ErrorCode::kNotFound,
                 fmt::format("tokenizer: {}: want a tokenizer.json file, found {}", where,
                             std::filesystem::exists(tokenizer_json, status) ? "something else"
                                                                             : "nothing")};
  }
  std::ifstream file(tokenizer_json, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file) {
    return Error{ErrorCode::kIo, fmt::format("tokenizer: {}: cannot be read", where)};
  }
  return parse(text, where);
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::parse(std::string_view json,
                                                          const std::string& where) {
  ASSIGN_OR_RETURN(TokenizerFile file, parse_tokenizer_file(json, where));
  ASSIGN_OR_RETURN(Pretokenizer pretokenizer,
                   Pretokenizer::create(file.split_pattern,
                                        fmt::format("tokenizer: {}: pre_tokenizer: Split", where)));
  auto impl = std::make_unique<Impl>(Impl{.vocabulary = Vocabulary(file.tokens),
                                          .merges = MergeTable(file.merges),
                                          .pretokenizer = std::move(pretokenizer),
                                          .whole_pieces = file.whole_pieces,
                                          .special_by_spelling = {},
                                          .special_ids = {}});
  for (SpecialToken& token : file.special) {
    impl->special_ids.push_back(token.id);
    impl->special_by_spelling.emplace(std::move(token.spelling), token.id);
  }
  std::sort(impl->special_ids.begin(), impl->special_ids.end());
  return std::shared_ptr<const Tokenizer>(new Tokenizer(std::move(impl)));
}

int32_t Tokenizer::vocab_size() const {
  return impl_->vocabulary.size();
}

std::vector<TokenId> Tokenizer::encode(std::string_view text) const {
  std::vector<TokenId> out;
  encode_append(text, out);
  return out;
}

void Tokenizer::encode_append(std::string_view text, std::vector<TokenId>& out) const {
  while (!text.empty()) {
    const std::string_view valid = text.substr(0, valid_utf8_prefix(text));
    impl_->pretokenizer.split(valid,
                              [&](std::string_view piece) { impl_->encode_piece(piece, out); });
    text.remove_prefix(valid.size());
    if (text.empty()) break;
    // Bytes that are no UTF-8: each is a token of its own, so that they come back unchanged.
    for (const char byte : text.substr(0, utf8_step(text).length)) {
      out.push_back(impl_->vocabulary.byte_token(static_cast<uint8_t>(byte)));
    }
    text.remove_prefix(utf8_step(text).length);
  }
}

std::optional<TokenId> Tokenizer::special(std::string_view spelling) const {
  const auto found = impl_->special_by_spelling.find(std::string(spelling));
  if (found == impl_->special_by_spelling.end()) return std::nullopt;
  return found->second;
}

bool Tokenizer::is_special(TokenId token) const {
  return std::binary_search(impl_->special_ids.begin(), impl_->special_ids.end(), token);
}

std::string_view Tokenizer::bytes(TokenId token) const {
  return impl_->vocabulary.bytes(token);
}

std::string Tokenizer::decode(std::span<const TokenId> tokens) const {
  std::string text;
  for (const TokenId token : tokens) text += bytes(token);
  return text;
}

}  // namespace incipit::engine
