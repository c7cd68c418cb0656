#include "engine/config/json_fields.h"

#include <fmt/core.h>

#include <cmath>
#include <fstream>
#include <system_error>
#include <utility>

#include "engine/base/json_depth.h"

namespace incipit::engine {

using nlohmann::json;

Result<std::string> read_text_file(const std::filesystem::path& path) {
  constexpr uintmax_t kMaxBytes = uintmax_t{64} << 20;
  std::error_code failure;
  const auto size = std::filesystem::file_size(path, failure);
  if (failure) {
    const bool absent = failure == std::errc::no_such_file_or_directory;
    return Error{absent ? ErrorCode::kNotFound : ErrorCode::kIo,
                 fmt::format("{}: {}", path.string(), failure.message())};
  }
  if (size > kMaxBytes) {
    return Error{ErrorCode::kInvalidArgument, fmt::format("{}: want at most {} bytes, found {}",
                                                          path.string(), kMaxBytes, size)};
  }
  std::ifstream in(path, std::ios::binary);
  std::string text(size, '\0');
  if (!in.read(text.data(), static_cast<std::streamsize>(size))) {
    return Error{ErrorCode::kIo, fmt::format("{}: cannot be read", path.string())};
  }
  return text;
}

std::string shown(const json& value) {
  constexpr size_t kMaxShown = 60;
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > kMaxShown) text = text.substr(0, kMaxShown) + "...";
  return text;
}

Result<json> parse_json_object(std::string_view text, const std::string& where) {
  constexpr size_t kMaxObject = size_t{8} << 20;  // an index of the largest models has 0.2 MB
  if (text.size() > kMaxObject) {
    return Error{ErrorCode::kCorrupt, fmt::format("{}: want at most {} bytes of JSON, found {}",
                                                  where, kMaxObject, text.size())};
  }
  if (nests_too_deep(text)) {
    return Error{ErrorCode::kCorrupt, fmt::format("{}: want at most {} levels of JSON, found more",
                                                  where, kMaxJsonDepth)};
  }
  json parsed;
  try {
    parsed = json::parse(text);
  } catch (const json::exception& failure) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("{}: want a JSON object, found: {}", where, failure.what())};
  }
  if (!parsed.is_object()) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("{}: want a JSON object, found {}", where, shown(parsed))};
  }
  return parsed;
}

JsonFields::JsonFields(const json& object, std::string where, std::string prefix)
    : object_(object), where_(std::move(where)), prefix_(std::move(prefix)) {}

const json* JsonFields::find(const char* key) const {
  const auto it = object_.find(key);
  return it == object_.end() || it->is_null() ? nullptr : &*it;
}

Error JsonFields::wanted(const char* key, const std::string& want, ErrorCode code) const {
  const json* value = find(key);
  return Error{code, fmt::format("{}: {}{}: want {}, found {}", where_, prefix_, key, want,
                                 value == nullptr ? "nothing" : shown(*value))};
}

Result<int64_t> JsonFields::integer(const char* key, int64_t min, int64_t max) const {
  const json* value = find(key);
  const std::string want = fmt::format("an integer in {}..{}", min, max);
  if (value == nullptr || !value->is_number_integer()) return wanted(key, want);
  // An unsigned value above the signed range is compared as unsigned: it must not wrap.
  const bool too_large =
      value->is_number_unsigned() && value->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX);
  if (too_large || value->get<int64_t>() < min || value->get<int64_t>() > max) {
    return wanted(key, want);
  }
  return value->get<int64_t>();
}

Result<int64_t> JsonFields::integer_or(const char* key, int64_t fallback, int64_t min,
                                       int64_t max) const {
  if (!has(key)) return fallback;
  return integer(key, min, max);
}

Result<double> JsonFields::number(const char* key, double min, double max) const {
  const json* value = find(key);
  const std::string want = fmt::format("a number in {}..{}", min, max);
  if (value == nullptr || !value->is_number()) return wanted(key, want);
  const double number = value->get<double>();
  if (!std::isfinite(number) || number < min || number > max) return wanted(key, want);
  return number;
}

Result<double> JsonFields::number_or(const char* key, double fallback, double min,
                                     double max) const {
  if (!has(key)) return fallback;
  return number(key, min, max);
}

Result<bool> JsonFields::boolean_or(const char* key, bool fallback) const {
  const json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) return wanted(key, "true or false");
  return value->get<bool>();
}

Result<std::string> JsonFields::string_or(const char* key, const std::string& fallback) const {
  const json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_string()) return wanted(key, "a string");
  return value->get<std::string>();
}

Result<std::vector<std::string>> JsonFields::strings_or_empty(const char* key) const {
  std::vector<std::string> strings;
  const json* value = find(key);
  if (value == nullptr) return strings;
  if (!value->is_array()) return wanted(key, "a list of strings");
  for (const json& item : *value) {
    if (!item.is_string()) return wanted(key, "a list of strings");
    strings.push_back(item.get<std::string>());
  }
  return strings;
}

Result<std::vector<int64_t>> JsonFields::integer_or_list(const char* key, int64_t min,
                                                         int64_t max) const {
  std::vector<int64_t> integers;
  const json* value = find(key);
  if (value == nullptr) return integers;
  const json list = value->is_array() ? *value : json::array({*value});
  for (const json& item : list) {
    const json holder = {{key, item}};
    const auto integer = JsonFields(holder, where_, prefix_).integer(key, min, max);
    if (!integer.ok()) {
      return wanted(key, fmt::format("an integer in {}..{} or a list of them", min, max));
    }
    integers.push_back(*integer);
  }
  return integers;
}

Result<const json*> JsonFields::object_or_null(const char* key) const {
  const json* value = find(key);
  if (value != nullptr && !value->is_object()) return wanted(key, "an object");
  return value;
}

}  // namespace incipit::engine
