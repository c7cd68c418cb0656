#include "lsp/rpc/json.h"

#include <fmt/core.h>

#include <cstring>
#include <optional>

#include "lsp/document/utf8.h"

namespace incipit::lsp {
namespace {

// The code unit of a `\uXXXX` escape at `at`, if there is one.
std::optional<unsigned> escape_at(const std::string& text, size_t at) {
  if (at + 6 > text.size() || text[at] != '\\' || text[at + 1] != 'u') return std::nullopt;
  unsigned value = 0;
  for (size_t i = at + 2; i < at + 6; ++i) {
    const char c = text[i];
    value <<= 4;
    if (c >= '0' && c <= '9') {
      value |= static_cast<unsigned>(c - '0');
    } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
      value |= static_cast<unsigned>((c | 0x20) - 'a' + 10);
    } else {
      return std::nullopt;
    }
  }
  return value;
}

bool is_high_surrogate(unsigned unit) {
  return unit >= 0xD800 && unit <= 0xDBFF;
}
bool is_low_surrogate(unsigned unit) {
  return unit >= 0xDC00 && unit <= 0xDFFF;
}

// Both spellings are six bytes, so this happens in place. Backslashes are legal inside strings
// only, so following them from one to the next needs no other state.
void replace_lone_surrogates(std::string& text) {
  size_t at = text.find('\\');
  while (at != std::string::npos) {
    size_t length = 2;
    if (const auto unit = escape_at(text, at)) {
      length = 6;
      const auto next = escape_at(text, at + 6);
      if (is_high_surrogate(*unit) && next && is_low_surrogate(*next)) {
        length = 12;
      } else if (is_high_surrogate(*unit) || is_low_surrogate(*unit)) {
        std::memcpy(text.data() + at, "\\ufffd", 6);
      }
    }
    if (at + length >= text.size()) return;
    at = text.find('\\', at + length);
  }
}

bool nested_too_deeply(const std::string& text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxJsonDepth) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

}  // namespace

Result<Json> parse_json(std::string text) {
  if (nested_too_deeply(text)) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("JSON: want at most {} levels of nesting", kMaxJsonDepth)};
  }
  replace_lone_surrogates(text);
  if (!is_valid_utf8(text)) text = to_valid_utf8(text);
  try {
    return Json::parse(text);
  } catch (const Json::exception& failure) {
    // The library's own identifier ("[json.exception.parse_error.101] ") says nothing to a user.
    const char* what = failure.what();
    const char* bracket = std::strstr(what, "] ");
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("JSON: {}", bracket ? bracket + 2 : what)};
  }
}

const char* json_type_name(const Json& value) {
  switch (value.type()) {
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      return "integer";
    case Json::value_t::number_float:
      return "number";
    default:
      return value.type_name();
  }
}

std::string print_json(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace incipit::lsp
