#include "engine/tokenizer/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <unordered_map>
#include <utility>

#include "engine/tokenizer/join_table.h"
#include "engine/tokenizer/merge_table.h"
#include "engine/tokenizer/pretokenizer.h"
#include "engine/tokenizer/space_mark.h"
#include "engine/tokenizer/tokenizer_file.h"
#include "engine/tokenizer/tokenizer_model_file.h"
#include "engine/tokenizer/utf8.h"
#include "engine/tokenizer/vocabulary.h"

namespace incipit::engine {

struct Tokenizer::Impl {
  Vocabulary vocabulary;
  MergeTable merges;
  std::optional<Pretokenizer> pretokenizer;  // of a vocabulary of bytes
  std::optional<JoinTable> joins;            // of one of characters
  WholePieces whole_pieces;
  LeadingSpace leading_space;
  std::unordered_map<std::string, TokenId> special_by_spelling;
  std::vector<TokenId> special_ids;  // sorted

  void encode_piece(std::string_view piece, std::vector<TokenId>& out) const {
    if (whole_pieces == WholePieces::kTakeFromVocabulary) {
      if (const auto id = vocabulary.find(piece)) {
        out.push_back(*id);
        return;
      }
    }
    const size_t first = out.size();
    for (const char unit : piece) {
      out.push_back(vocabulary.byte_token(static_cast<uint8_t>(unit)));
    }
    merges.merge(out, first);
  }

  void encode_valid(std::string_view text, std::vector<TokenId>& out) const {
    if (pretokenizer) {
      pretokenizer->split(text, [&](std::string_view piece) { encode_piece(piece, out); });
      return;
    }
    while (!text.empty()) {
      const size_t size = joins->first_piece(text);
      const size_t first = out.size();
      vocabulary.append_characters(text.substr(0, size), out);
      merges.merge(out, first);
      text.remove_prefix(size);
    }
  }

  void encode(std::string_view text, std::vector<TokenId>& out) const {
    while (!text.empty()) {
      const std::string_view valid = text.substr(0, valid_utf8_prefix(text));
      encode_valid(valid, out);
      text.remove_prefix(valid.size());
      if (text.empty()) break;
      // Bytes that are no UTF-8: each is a token of its own, so that they come back unchanged.
      for (const char byte : text.substr(0, utf8_step(text).length)) {
        out.push_back(vocabulary.byte_token(static_cast<uint8_t>(byte)));
      }
      text.remove_prefix(utf8_step(text).length);
    }
  }

  bool wants_space(std::string_view text) const {
    if (text.empty() || leading_space == LeadingSpace::kNever) return false;
    const bool there = text.starts_with(' ') || text.starts_with(kSpaceMark);
    return leading_space == LeadingSpace::kAlways || !there;
  }
};

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;

Result<std::shared_ptr<const Tokenizer>> Tokenizer::load(const std::filesystem::path& path) {
  const std::string where = path.string();
  const bool is_model = path.extension() == ".model";
  std::error_code status;
  if (!std::filesystem::is_regular_file(path, status)) {
    return Error{ErrorCode::kNotFound,
                 fmt::format("tokenizer: {}: want a {} file, found {}", where,
                             is_model ? "tokenizer.model" : "tokenizer.json or tokenizer.model",
                             std::filesystem::exists(path, status) ? "something else" : "nothing")};
  }
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file) {
    return Error{ErrorCode::kIo, fmt::format("tokenizer: {}: cannot be read", where)};
  }
  return is_model ? parse_model(text, where) : parse(text, where);
}

std::filesystem::path Tokenizer::find(const std::filesystem::path& model_dir) {
  const std::filesystem::path usual = model_dir / "tokenizer.json";
  std::error_code ignored;
  for (const auto& path :
       {usual, model_dir / "tokenizer.model", model_dir / "original" / "tokenizer.model"}) {
    if (std::filesystem::exists(path, ignored)) return path;
  }
  return usual;
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::parse(std::string_view json,
                                                          const std::string& where) {
  ASSIGN_OR_RETURN(TokenizerFile file, parse_tokenizer_file(json, where));
  return make(std::move(file), where);
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::parse_model(std::string_view bytes,
                                                                const std::string& where) {
  ASSIGN_OR_RETURN(TokenizerFile file, parse_tokenizer_model_file(bytes, where));
  return make(std::move(file), where);
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::make(TokenizerFile file,
                                                         const std::string& where) {
  auto impl = std::make_unique<Impl>(Impl{.vocabulary = Vocabulary(file.tokens, file.byte_fallback),
                                          .merges = MergeTable(file.merges),
                                          .pretokenizer = {},
                                          .joins = {},
                                          .whole_pieces = file.whole_pieces,
                                          .leading_space = file.leading_space,
                                          .special_by_spelling = {},
                                          .special_ids = {}});
  if (file.unit == SymbolUnit::kByte) {
    ASSIGN_OR_RETURN(
        impl->pretokenizer,
        Pretokenizer::create(file.split_pattern,
                             fmt::format("tokenizer: {}: pre_tokenizer: Split", where)));
  } else {
    impl->joins.emplace(file.tokens);
  }
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

std::vector<TokenId> Tokenizer::encode(std::string_view text, TextStart start) const {
  std::vector<TokenId> out;
  encode_append(text, out, start);
  return out;
}

void Tokenizer::encode_append(std::string_view text, std::vector<TokenId>& out,
                              TextStart start) const {
  std::string changed;
  if (impl_->joins) {
    const bool has_marks = text.find(kSpaceMark) != std::string_view::npos;
    const bool wants_space = start == TextStart::kBeginning && impl_->wants_space(text);
    if (has_marks || wants_space) {
      if (wants_space) changed = " ";
      changed += has_marks ? marks_to_spaces(text) : text;
      text = changed;
    }
  }
  impl_->encode(text, out);
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
