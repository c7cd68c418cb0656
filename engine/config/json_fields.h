// JsonFields: typed reading of one JSON object, for the small configuration files beside a
// checkpoint. Every error names the file, the key, what is wanted and what was found. Borrowing:
// it lives no longer than the object it reads. Used by engine/config alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace incipit::engine {

// The text of a small file (at most 64 MiB); kNotFound when there is none.
Result<std::string> read_text_file(const std::filesystem::path& path);

// Parses an object; `where` names the file in errors.
Result<nlohmann::json> parse_json_object(std::string_view text, const std::string& where);

// A value as it is shown in an error: JSON, at most 60 bytes of it.
std::string shown(const nlohmann::json& value);

class JsonFields {
 public:
  // `prefix` is put before keys in errors: "rope_scaling." for a nested object.
  JsonFields(const nlohmann::json& object, std::string where, std::string prefix = "");

  // A key that is absent or null counts as missing everywhere below.
  bool has(const char* key) const { return find(key) != nullptr; }

  Result<int64_t> integer(const char* key, int64_t min, int64_t max) const;
  Result<int64_t> integer_or(const char* key, int64_t fallback, int64_t min, int64_t max) const;
  Result<double> number(const char* key, double min, double max) const;
  Result<double> number_or(const char* key, double fallback, double min, double max) const;
  Result<bool> boolean_or(const char* key, bool fallback) const;
  Result<std::string> string_or(const char* key, const std::string& fallback) const;
  Result<std::vector<std::string>> strings_or_empty(const char* key) const;
  // One integer or a list of them; nothing when missing.
  Result<std::vector<int64_t>> integer_or_list(const char* key, int64_t min, int64_t max) const;
  // The nested object; nullptr when missing.
  Result<const nlohmann::json*> object_or_null(const char* key) const;

  // "config.json: hidden_size: want ..., found ...".
  Error wanted(const char* key, const std::string& want,
               ErrorCode code = ErrorCode::kInvalidArgument) const;

 private:
  const nlohmann::json* find(const char* key) const;

  const nlohmann::json& object_;
  std::string where_;
  std::string prefix_;
};

}  // namespace incipit::engine
