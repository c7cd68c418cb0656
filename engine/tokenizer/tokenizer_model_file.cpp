#include "engine/tokenizer/tokenizer_model_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <unordered_set>
#include <utility>
#include <vector>

#include "engine/tokenizer/byte_token.h"
#include "engine/tokenizer/sentencepiece_model.h"
#include "engine/tokenizer/space_mark.h"
#include "engine/tokenizer/tiktoken_file.h"
#include "engine/tokenizer/utf8.h"

namespace incipit::engine {
namespace {

// A SentencePiece model as bytes, ids and merges.
class PieceReader {
 public:
  PieceReader(const SentencePieceModel& model, const std::string& where)
      : model_(model), where_(where) {}

  Result<TokenizerFile> read() {
    TRY(check_options());
    file_.unit = SymbolUnit::kCharacter;
    file_.byte_fallback.assign(256, -1);
    file_.leading_space = model_.add_dummy_prefix ? LeadingSpace::kAlways : LeadingSpace::kNever;
    for (const SentencePiece& piece : model_.pieces) TRY(read_piece(piece));
    for (size_t byte = 0; byte < file_.byte_fallback.size(); ++byte) {
      if (file_.byte_fallback[byte] < 0) {
        return wrong(ErrorCode::kCorrupt, "pieces", "a byte piece for each of the 256 bytes",
                     fmt::format("none for byte 0x{:02x}", byte));
      }
    }
    rank_pieces();
    const Vocabulary vocabulary(file_.tokens, file_.byte_fallback);
    file_.merges = merges_of_vocabulary(file_.tokens, vocabulary, file_.unit, [&](TokenId id) {
      return ranks_[static_cast<size_t>(id)];
    });
    return std::move(file_);
  }

 private:
  Error wrong(ErrorCode code, std::string_view field, std::string_view want,
              std::string_view found) const {
    return Error{code,
                 fmt::format("tokenizer: {}: {}: want {}, found {}", where_, field, want, found)};
  }

  Result<void> check_options() const {
    const auto unsupported = [&](const char* field, const char* want, const std::string& found) {
      return wrong(ErrorCode::kUnsupported, field, want, found);
    };
    if (model_.pieces.empty()) return wrong(ErrorCode::kCorrupt, "pieces", "some", "none");
    if (model_.model_type != SentencePieceModel::kBpe) {
      return unsupported("trainer_spec.model_type", "2 (BPE)",
                         fmt::format("{}", model_.model_type));
    }
    if (!model_.byte_fallback) return unsupported("trainer_spec.byte_fallback", "true", "false");
    if (model_.space_behind) {
      return unsupported("trainer_spec.treat_whitespace_as_suffix", "false", "true");
    }
    if (model_.has_normalization) {
      return unsupported("normalizer_spec.precompiled_charsmap", "none (identity)", "a table");
    }
    if (model_.remove_extra_spaces) {
      return unsupported("normalizer_spec.remove_extra_whitespaces", "false", "true");
    }
    if (!model_.escape_spaces) {
      return unsupported("normalizer_spec.escape_whitespaces", "true", "false");
    }
    return {};
  }

  Result<void> read_piece(const SentencePiece& piece) {
    const auto id = static_cast<TokenId>(file_.tokens.size());
    const std::string name = fmt::format("piece {}", id);
    const auto corrupt = [&](std::string_view want, std::string_view found) {
      return wrong(ErrorCode::kCorrupt, name, want, found);
    };
    file_.tokens.emplace_back();
    if (piece.spelling.empty() || piece.spelling.size() > kLongestMergedToken ||
        valid_utf8_prefix(piece.spelling) != piece.spelling.size()) {
      return corrupt(fmt::format("a spelling of 1..{} bytes of UTF-8", kLongestMergedToken),
                     fmt::format("{} bytes", piece.spelling.size()));
    }
    if (!spellings_.insert(piece.spelling).second)
      return corrupt("a piece of its own", "one twice");
    if (!std::isfinite(piece.score)) return corrupt("a number as score", "none");
    if (piece.type == PieceType::kByte) {
      const auto byte = byte_of_spelling(piece.spelling);
      if (!byte) return corrupt("a byte as \"<0x0A>\"", "another spelling");
      file_.byte_fallback[*byte] = id;
      file_.tokens.back() = std::string(1, static_cast<char>(*byte));
      return {};
    }
    if (piece.type != PieceType::kNormal || is_infill_token(piece.spelling)) {
      file_.special.push_back({id, piece.spelling});
      return {};
    }
    if (piece.spelling.find(' ') != std::string::npos) {
      return corrupt("a spelling with ▁ for a space", "one with a space");
    }
    file_.tokens.back() = marks_to_spaces(piece.spelling);
    return {};
  }

  // The highest score merges first; equal scores are equal ranks, of which the leftmost goes first.
  void rank_pieces() {
    std::vector<float> scores;
    for (const SentencePiece& piece : model_.pieces) scores.push_back(piece.score);
    std::sort(scores.begin(), scores.end(), std::greater<>());
    scores.erase(std::unique(scores.begin(), scores.end()), scores.end());
    for (const SentencePiece& piece : model_.pieces) {
      const auto at = std::lower_bound(scores.begin(), scores.end(), piece.score, std::greater<>());
      ranks_.push_back(static_cast<uint32_t>(at - scores.begin()));
    }
  }

  const SentencePieceModel& model_;
  const std::string& where_;
  TokenizerFile file_;
  std::unordered_set<std::string_view> spellings_;
  std::vector<uint32_t> ranks_;  // by id
};

}  // namespace

Result<TokenizerFile> parse_tokenizer_model_file(std::string_view bytes, const std::string& where) {
  // base64 has no line end that could begin a file of ranks.
  if (!bytes.starts_with('\n')) return parse_tiktoken_file(bytes, where);
  ASSIGN_OR_RETURN(const SentencePieceModel model, parse_sentencepiece_model(bytes, where));
  return PieceReader(model, where).read();
}

}  // namespace incipit::engine
