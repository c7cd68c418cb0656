// Reading tokenizer.json: what a value is, and errors that name file, field, wanted and found. Used
// by tokenizer_file and tokenizer_pipeline alone. Loading thread.
#pragma once

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "engine/base/result.h"

namespace incipit::engine {

using TokenizerJson = nlohmann::json;

// What a value is, short enough for a message.
inline std::string describe(const TokenizerJson* value) {
  constexpr size_t kLongest = 60;
  if (value == nullptr) return "nothing";
  if (value->is_object() || value->is_array()) {
    return fmt::format("an {} of {}", value->type_name(), value->size());
  }
  std::string text = value->dump(-1, ' ', true, TokenizerJson::error_handler_t::replace);
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "…";
  return text;
}

// nullptr when it is not there, or `object` is none.
inline const TokenizerJson* member(const TokenizerJson& object, const std::string& key) {
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

inline bool is_null(const TokenizerJson* value) {
  return value == nullptr || value->is_null();
}

// The "type" of a normalizer, pre-tokenizer or decoder, for messages and comparison.
inline std::string type_of(const TokenizerJson* part) {
  if (is_null(part)) return "null";
  const TokenizerJson* type = part->is_object() ? member(*part, "type") : nullptr;
  return type != nullptr && type->is_string() ? type->get<std::string>() : describe(part);
}

// Errors of one file.
class TokenizerErrors {
 public:
  explicit TokenizerErrors(const std::string& where) : where_(where) {}

  Error error(ErrorCode code, std::string_view field, std::string_view want,
              std::string_view found) const {
    return Error{code,
                 fmt::format("tokenizer: {}: {}: want {}, found {}", where_, field, want, found)};
  }
  Error corrupt(std::string_view field, std::string_view want, const TokenizerJson* found) const {
    return error(ErrorCode::kCorrupt, field, want, describe(found));
  }
  Error unsupported(std::string_view field, std::string_view want, std::string_view found) const {
    return error(ErrorCode::kUnsupported, field, want, found);
  }

 private:
  const std::string& where_;
};

}  // namespace incipit::engine
