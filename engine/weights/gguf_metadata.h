// Typed reading of a GGUF file's metadata, with errors that name file, key, wanted and found. Used
// by gguf_model and gguf_tokenizer alone. Loading thread.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/weights/gguf_file.h"

namespace incipit::engine {

class GgufMetadata {
 public:
  explicit GgufMetadata(const GgufFile& file) : file_(file) {}

  bool has(std::string_view key) const { return file_.metadata().contains(key); }

  Error wanted(std::string_view key, std::string_view want, std::string_view found,
               ErrorCode code = ErrorCode::kCorrupt) const {
    return Error{code, fmt::format("{}: {}: want {}, found {}", file_.where(), key, want, found)};
  }

  Result<int64_t> integer(std::string_view key) const {
    if (const auto* value = file_.value<int64_t>(key)) return *value;
    return wanted(key, "an integer", has(key) ? "something else" : "nothing");
  }
  Result<int64_t> integer_or(std::string_view key, int64_t fallback) const {
    return has(key) ? integer(key) : Result<int64_t>(fallback);
  }
  Result<double> number_or(std::string_view key, double fallback) const {
    if (!has(key)) return fallback;
    if (const auto* value = file_.value<double>(key)) return *value;
    return wanted(key, "a number", "something else");
  }
  Result<bool> boolean_or(std::string_view key, bool fallback) const {
    if (!has(key)) return fallback;
    if (const auto* value = file_.value<bool>(key)) return *value;
    return wanted(key, "true or false", "something else");
  }
  Result<std::string> text(std::string_view key) const {
    if (const auto* value = file_.value<std::string_view>(key)) return std::string(*value);
    return wanted(key, "a string", has(key) ? "something else" : "nothing");
  }
  Result<const std::vector<std::string_view>*> texts(std::string_view key) const {
    if (const auto* value = file_.value<std::vector<std::string_view>>(key)) return value;
    return wanted(key, "an array of strings", has(key) ? "something else" : "nothing");
  }

 private:
  const GgufFile& file_;
};

}  // namespace incipit::engine
