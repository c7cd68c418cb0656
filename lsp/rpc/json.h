// The JSON value of the wire, and the one way from bytes to it. Any thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "engine/base/result.h"

namespace incipit::lsp {

using Json = nlohmann::json;

// Parses a whole message or settings file. Invalid UTF-8 and lone surrogate escapes become U+FFFD
// (an editor whose buffer holds half an emoji must not lose its whole didChange); nesting deeper
// than kMaxJsonDepth is refused, because reading and printing JSON values recurses.
constexpr int kMaxJsonDepth = 200;
Result<Json> parse_json(std::string text);

// "string", "integer", "number", "boolean", "object", "array", "null": for error texts.
const char* json_type_name(const Json& value);

// Prints on one line; bytes that are not UTF-8 become U+FFFD instead of an exception.
std::string print_json(const Json& value);

}  // namespace incipit::lsp
