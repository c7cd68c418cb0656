#include "engine/tokenizer/tokenizer_file.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>
#include <utility>

#include "engine/tokenizer/byte_level.h"

namespace incipit::engine {
namespace {

using Json = nlohmann::json;

// Ids by spelling as the file writes it (byte alphabet); views into the parsed JSON.
using IdBySpelling = std::unordered_map<std::string_view, TokenId>;

// What a value is, short enough for a message.
std::string describe(const Json* value) {
  constexpr size_t kLongest = 60;
  if (value == nullptr) return "nothing";
  if (value->is_object() || value->is_array()) {
    return fmt::format("an {} of {}", value->type_name(), value->size());
  }
  std::string text = value->dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "…";
  return text;
}

const Json* member(const Json& object, const std::string& key) {
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

bool is_null(const Json* value) {
  return value == nullptr || value->is_null();
}

class Parser {
 public:
  explicit Parser(const std::string& where) : where_(where) {}

  Result<TokenizerFile> parse(std::string_view text) {
    Json root;
    try {
      root = Json::parse(text);
    } catch (const Json::exception& error) {
      return Error{ErrorCode::kCorrupt,
                   fmt::format("tokenizer: {}: not JSON: {}", where_, error.what())};
    }
    if (!root.is_object()) return corrupt("top level", "an object", &root);
    TRY(read_pipeline(root));
    const Json* model = member(root, "model");
    if (model == nullptr || !model->is_object()) return corrupt("model", "an object", model);
    TRY(check_model_options(*model));
    TRY(read_added_tokens(member(root, "added_tokens")));
    TRY(read_vocabulary(member(*model, "vocab")));
    TRY(read_merges(member(*model, "merges")));
    return std::move(file_);
  }

 private:
  Error error(ErrorCode code, std::string_view field, std::string_view want,
              std::string_view found) const {
    return Error{code,
                 fmt::format("tokenizer: {}: {}: want {}, found {}", where_, field, want, found)};
  }
  Error corrupt(std::string_view field, std::string_view want, const Json* found) const {
    return error(ErrorCode::kCorrupt, field, want, describe(found));
  }
  Error unsupported(std::string_view field, std::string_view want, std::string_view found) const {
    return error(ErrorCode::kUnsupported, field, want, found);
  }

  // The "type" of a normalizer, pre-tokenizer or decoder, for messages and comparison.
  static std::string type_of(const Json* part) {
    if (is_null(part)) return "null";
    const Json* type = part->is_object() ? member(*part, "type") : nullptr;
    return type != nullptr && type->is_string() ? type->get<std::string>() : describe(part);
  }

  Result<void> read_pipeline(const Json& root) {
    if (const Json* normalizer = member(root, "normalizer"); !is_null(normalizer)) {
      return unsupported("normalizer", "null", type_of(normalizer));
    }
    if (const Json* decoder = member(root, "decoder");
        !is_null(decoder) && type_of(decoder) != "ByteLevel") {
      return unsupported("decoder", "ByteLevel", type_of(decoder));
    }
    const Json* pre_tokenizer = member(root, "pre_tokenizer");
    if (type_of(pre_tokenizer) != "Sequence") {
      return unsupported("pre_tokenizer", "a Sequence of Split and ByteLevel",
                         type_of(pre_tokenizer));
    }
    const Json* parts = member(*pre_tokenizer, "pretokenizers");
    if (parts == nullptr || !parts->is_array()) {
      return corrupt("pre_tokenizer.pretokenizers", "an array", parts);
    }
    constexpr const char* kWanted[] = {"Split", "ByteLevel"};
    for (size_t idx = 0; idx < parts->size(); ++idx) {
      const std::string type = type_of(&(*parts)[idx]);
      const char* wanted = idx < 2 ? kWanted[idx] : "no third part";
      if (type != wanted) {
        return unsupported(fmt::format("pre_tokenizer.pretokenizers[{}]", idx), wanted, type);
      }
    }
    if (parts->size() < 2) {
      return unsupported("pre_tokenizer.pretokenizers", "Split and ByteLevel", describe(parts));
    }
    TRY(read_split((*parts)[0]));
    return check_byte_level((*parts)[1]);
  }

  Result<void> read_split(const Json& split) {
    const std::string field = "pre_tokenizer.pretokenizers[0].";
    const Json* pattern = member(split, "pattern");
    const Json* regex =
        pattern != nullptr && pattern->is_object() ? member(*pattern, "Regex") : nullptr;
    if (regex == nullptr || !regex->is_string()) {
      return unsupported(field + "pattern", "{\"Regex\": \"…\"}", describe(pattern));
    }
    if (const Json* behavior = member(split, "behavior");
        behavior == nullptr || *behavior != "Isolated") {
      return unsupported(field + "behavior", "\"Isolated\"", describe(behavior));
    }
    if (const Json* invert = member(split, "invert"); !is_null(invert) && *invert != false) {
      return unsupported(field + "invert", "false", describe(invert));
    }
    file_.split_pattern = regex->get<std::string>();
    return {};
  }

  Result<void> check_byte_level(const Json& byte_level) {
    // trim_offsets concerns character offsets only, which we do not report.
    for (const char* key : {"add_prefix_space", "use_regex"}) {
      const Json* value = member(byte_level, key);
      // Both are true in Hugging Face's library when they are not there.
      if (value == nullptr || *value != false) {
        return unsupported(fmt::format("pre_tokenizer.pretokenizers[1].{}", key), "false",
                           describe(value));
      }
    }
    return {};
  }

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
        !is_null(fallback) && *fallback != false) {
      return unsupported("model.byte_fallback", "false", describe(fallback));
    }
    if (const Json* ignore = member(model, "ignore_merges"); !is_null(ignore)) {
      if (!ignore->is_boolean()) return corrupt("model.ignore_merges", "true or false", ignore);
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
      auto bytes = byte_level_decode(spelling);
      if (!bytes || bytes->empty()) {
        return unsupported(field(), "a spelling in the byte-level alphabet", Json(spelling).dump());
      }
      file_.tokens[idx] = std::move(*bytes);
      ids_.emplace(spelling, id);
    }
    return check_all_bytes();
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
    for (const std::string& token : file_.tokens) {
      if (token.size() == 1) seen[static_cast<uint8_t>(token[0])] = true;
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
      Merge merge{};
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
      const size_t space = text.find(' ');  // the byte alphabet has no space
      if (space == std::string_view::npos) return std::nullopt;
      return std::pair(text.substr(0, space), text.substr(space + 1));
    }
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_string()) {
      return std::nullopt;
    }
    return std::pair<std::string_view, std::string_view>(entry[0].get_ref<const std::string&>(),
                                                         entry[1].get_ref<const std::string&>());
  }

  // Far above any real vocabulary; bounds what a hostile file can make us allocate.
  static constexpr size_t kMaxTokens = 1 << 24;

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
