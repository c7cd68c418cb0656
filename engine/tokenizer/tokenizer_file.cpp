#include "engine/tokenizer/tokenizer_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>

#include "engine/base/json_depth.h"
#include "engine/tokenizer/byte_level.h"
#include "engine/tokenizer/byte_token.h"
#include "engine/tokenizer/space_mark.h"
#include "engine/tokenizer/tokenizer_json.h"
#include "engine/tokenizer/tokenizer_pipeline.h"

namespace incipit::engine {
namespace {

using Json = TokenizerJson;

// Ids by spelling as the file writes it (byte alphabet); views into the parsed JSON.
using IdBySpelling = std::unordered_map<std::string_view, TokenId>;

class Parser : private TokenizerErrors {
 public:
  explicit Parser(const std::string& where) : TokenizerErrors(where), where_(where) {}

  Result<TokenizerFile> parse(std::string_view text) {
    if (nests_too_deep(text)) {
      return Error{ErrorCode::kCorrupt,
                   fmt::format("tokenizer: {}: want at most {} levels of JSON, found more", where_,
                               kMaxJsonDepth)};
    }
    Json root;
    try {
      root = Json::parse(text);
    } catch (const Json::exception& error) {
      return Error{ErrorCode::kCorrupt,
                   fmt::format("tokenizer: {}: not JSON: {}", where_, error.what())};
    }
    if (!root.is_object()) return corrupt("top level", "an object", &root);
    TRY(read_pipeline(root, *this, file_));
    const Json* model = member(root, "model");
    if (model == nullptr || !model->is_object()) return corrupt("model", "an object", model);
    TRY(check_model_options(*model));
    TRY(read_added_tokens(member(root, "added_tokens")));
    if (characters()) add_infill_tokens(member(*model, "vocab"));
    TRY(read_vocabulary(member(*model, "vocab")));
    TRY(read_merges(member(*model, "merges")));
    return std::move(file_);
  }

 private:
  bool characters() const { return file_.unit == SymbolUnit::kCharacter; }

  Result<void> check_model_options(const Json& model) {
    if (const std::string type = type_of(&model); type != "BPE") {
      return unsupported("model.type", "BPE", type);
    }
    if (const Json* dropout = member(model, "dropout"); !is_null(dropout) && *dropout != 0) {
      return unsupported("model.dropout", "null", describe(dropout));
    }
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      if (const Json* affix = member(model, key); !is_null(affix) && *affix != "") {
        return unsupported(fmt::format("model.{}", key), "null", describe(affix));
      }
    }
    if (const Json* fallback = member(model, "byte_fallback");
        !characters() && !is_null(fallback) && *fallback != false) {
      return unsupported("model.byte_fallback", "false", describe(fallback));
    }
    if (const Json* ignore = member(model, "ignore_merges"); !is_null(ignore)) {
      if (!ignore->is_boolean()) return corrupt("model.ignore_merges", "true or false", ignore);
      if (ignore->get<bool>() && characters()) {
        return unsupported("model.ignore_merges", "false with byte_fallback", "true");
      }
      if (ignore->get<bool>()) file_.whole_pieces = WholePieces::kTakeFromVocabulary;
    }
    return {};
  }

  // An id, or an error naming what `field()` says. Ids are dense, so none reaches the number of
  // entries.
  template <class Field>
  Result<TokenId> read_id(const Field& field, const Json* value, size_t n_entries) const {
    if (value == nullptr || !value->is_number_integer()) return corrupt(field(), "an id", value);
    const bool fits = value->is_number_unsigned() && value->get<uint64_t>() < n_entries;
    if (!fits) {
      return corrupt(field(), fmt::format("ids without gaps, 0..{}", n_entries - 1), value);
    }
    return value->get<TokenId>();
  }

  Result<void> read_added_tokens(const Json* added) {
    if (is_null(added)) return {};
    if (!added->is_array()) return corrupt("added_tokens", "an array", added);
    for (size_t idx = 0; idx < added->size(); ++idx) {
      const Json& token = (*added)[idx];
      const std::string field = fmt::format("added_tokens[{}]", idx);
      if (!token.is_object()) return corrupt(field, "an object", &token);
      const Json* content = member(token, "content");
      if (content == nullptr || !content->is_string() ||
          content->get_ref<const std::string&>().empty()) {
        return corrupt(field + ".content", "a spelling", content);
      }
      const Json* id = member(token, "id");
      ASSIGN_OR_RETURN(const TokenId token_id,
                       read_id([&] { return field + ".id"; }, id, kMaxTokens));
      file_.special.push_back({token_id, content->get<std::string>()});
    }
    return {};
  }

  Result<void> read_vocabulary(const Json* vocab) {
    if (vocab == nullptr || !vocab->is_object()) return corrupt("model.vocab", "an object", vocab);
    // An added token may also stand in the vocabulary, with the same id.
    size_t n_entries = vocab->size();
    for (const SpecialToken& token : file_.special) {
      if (!vocab->contains(token.spelling)) ++n_entries;
    }
    if (n_entries > kMaxTokens) {
      return corrupt("model.vocab", fmt::format("at most {} tokens", kMaxTokens), vocab);
    }
    file_.tokens.resize(n_entries);
    taken_.assign(n_entries, false);
    for (const SpecialToken& token : file_.special) TRY(take_special(token, *vocab));
    ids_.reserve(vocab->size());
    for (const auto& entry : vocab->items()) {
      const std::string& spelling = entry.key();
      const Json& value = entry.value();
      const auto field = [&] { return fmt::format("model.vocab[{}]", Json(spelling).dump()); };
      ASSIGN_OR_RETURN(const TokenId id, read_id(field, &value, n_entries));
      if (special_ids_.contains(spelling)) continue;
      const auto idx = static_cast<size_t>(id);
      if (taken_[idx]) return corrupt(field(), "an id of its own", &value);
      taken_[idx] = true;
      ASSIGN_OR_RETURN(file_.tokens[idx], characters() ? read_characters(spelling, id, field)
                                                       : read_byte_level(spelling, field));
      ids_.emplace(spelling, id);
    }
    return check_all_bytes();
  }

  template <class Field>
  Result<std::string> read_byte_level(const std::string& spelling, const Field& field) const {
    auto bytes = byte_level_decode(spelling);
    if (!bytes || bytes->empty()) {
      return unsupported(field(), "a spelling in the byte-level alphabet", Json(spelling).dump());
    }
    return std::move(*bytes);
  }

  template <class Field>
  Result<std::string> read_characters(const std::string& spelling, TokenId id, const Field& field) {
    if (const auto byte = byte_of_spelling(spelling)) {
      if (file_.byte_fallback.empty()) file_.byte_fallback.assign(256, -1);
      file_.byte_fallback[*byte] = id;
      return std::string(1, static_cast<char>(*byte));
    }
    if (spelling.empty() || spelling.find(' ') != std::string::npos) {
      return unsupported(field(), "a spelling with ▁ for a space", Json(spelling).dump());
    }
    return marks_to_spaces(spelling);
  }

  // Those of the vocabulary that are no added tokens already.
  void add_infill_tokens(const Json* vocab) {
    if (vocab == nullptr || !vocab->is_object()) return;
    for (const std::string_view token : kInfillTokens) {
      const std::string spelling(token);
      const Json* id = member(*vocab, spelling);
      const bool added = std::any_of(file_.special.begin(), file_.special.end(),
                                     [&](const auto& one) { return one.spelling == spelling; });
      if (added || id == nullptr || !id->is_number_unsigned() || *id >= vocab->size()) continue;
      file_.special.push_back({id->get<TokenId>(), spelling});
    }
  }

  Result<void> take_special(const SpecialToken& token, const Json& vocab) {
    const auto idx = static_cast<size_t>(token.id);
    const std::string field = fmt::format("added_tokens: {}", Json(token.spelling).dump());
    const Json id = token.id;
    if (const Json* twin = member(vocab, token.spelling); twin != nullptr && *twin != id) {
      return corrupt(field, fmt::format("the vocabulary's id {}", describe(twin)), &id);
    }
    if (idx >= taken_.size()) {
      return corrupt(field, fmt::format("ids without gaps, 0..{}", taken_.size() - 1), &id);
    }
    if (taken_[idx] || !special_ids_.emplace(token.spelling, token.id).second) {
      return corrupt(field, "an id and a spelling of its own", &id);
    }
    taken_[idx] = true;
    return {};
  }

  // Ids are dense and taken once each, so every entry of `tokens` is filled; what is left to check
  // is that any byte can be spelled.
  Result<void> check_all_bytes() const {
    std::vector<bool> seen(256, false);
    for (size_t byte = 0; byte < file_.byte_fallback.size(); ++byte) {
      seen[byte] = file_.byte_fallback[byte] >= 0;
    }
    for (const std::string& token : file_.tokens) {
      if (!characters() && token.size() == 1) seen[static_cast<uint8_t>(token[0])] = true;
    }
    for (size_t byte = 0; byte < seen.size(); ++byte) {
      if (!seen[byte]) {
        return error(ErrorCode::kCorrupt, "model.vocab", "a token for each of the 256 bytes",
                     fmt::format("none for byte 0x{:02x}", byte));
      }
    }
    return {};
  }

  Result<void> read_merges(const Json* merges) {
    if (merges == nullptr || !merges->is_array())
      return corrupt("model.merges", "an array", merges);
    file_.merges.reserve(merges->size());
    std::string joined;
    for (size_t rank = 0; rank < merges->size(); ++rank) {
      const Json& entry = (*merges)[rank];
      const auto pair = split_merge(entry);
      const auto field = [&] { return fmt::format("model.merges[{}]", rank); };
      if (!pair) return corrupt(field(), "\"left right\" or [\"left\", \"right\"]", &entry);
      joined.assign(pair->first).append(pair->second);
      Merge merge{.left = -1, .right = -1, .result = -1, .rank = static_cast<uint32_t>(rank)};
      const std::pair<std::string_view, TokenId*> parts[] = {
          {pair->first, &merge.left}, {pair->second, &merge.right}, {joined, &merge.result}};
      for (const auto& [spelling, id] : parts) {
        const auto found = ids_.find(spelling);
        if (found == ids_.end()) {
          return error(ErrorCode::kCorrupt, field(), "tokens of the vocabulary",
                       Json(spelling).dump());
        }
        *id = found->second;
      }
      file_.merges.push_back(merge);
    }
    return {};
  }

  static std::optional<std::pair<std::string_view, std::string_view>> split_merge(
      const Json& entry) {
    if (entry.is_string()) {
      const std::string_view text = entry.get_ref<const std::string&>();
      const size_t space = text.find(' ');  // neither alphabet has a space
      if (space == std::string_view::npos) return std::nullopt;
      return std::pair(text.substr(0, space), text.substr(space + 1));
    }
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_string()) {
      return std::nullopt;
    }
    return std::pair<std::string_view, std::string_view>(entry[0].get_ref<const std::string&>(),
                                                         entry[1].get_ref<const std::string&>());
  }

  const std::string& where_;
  TokenizerFile file_;
  std::vector<bool> taken_;  // by id
  IdBySpelling ids_;         // ordinary tokens
  IdBySpelling special_ids_;
};

}  // namespace

Result<TokenizerFile> parse_tokenizer_file(std::string_view json, const std::string& where) {
  return Parser(where).parse(json);
}

}  // namespace incipit::engine
