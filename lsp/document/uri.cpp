#include "lsp/document/uri.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "lsp/document/utf8.h"

namespace incipit::lsp {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// A '%' that two hex digits do not follow stands for itself.
std::string percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 &&
        hex_value(text[i + 2]) >= 0) {
      out += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return is_valid_utf8(out) ? out : to_valid_utf8(out);
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::string lower_case(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

// RFC 3986, 3.1. One letter is a Windows drive ("c:\work"), not a scheme.
size_t scheme_length(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon < 2 || !is_letter(text[0])) return 0;
  const auto scheme = text.substr(0, colon);
  const bool good = std::all_of(scheme.begin(), scheme.end(), [](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
  });
  return good ? colon : 0;
}

bool has_drive(std::string_view path) {
  return path.size() >= 3 && path[0] == '/' && is_letter(path[1]) && path[2] == ':';
}

}  // namespace

Uri Uri::parse(std::string_view text) {
  Uri uri;
  const size_t scheme = scheme_length(text);
  if (scheme == 0) {
    uri.path = percent_decode(text);
    return uri;
  }
  uri.scheme = lower_case(std::string(text.substr(0, scheme)));
  text.remove_prefix(scheme + 1);
  if (text.starts_with("//")) {
    text.remove_prefix(2);
    const size_t end = std::min(text.find_first_of("/?#"), text.size());
    uri.authority = lower_case(percent_decode(text.substr(0, end)));
    text.remove_prefix(end);
  }
  const size_t end = std::min(text.find_first_of("?#"), text.size());
  uri.path = percent_decode(text.substr(0, end));
  uri.rest = percent_decode(text.substr(end));
  if (uri.is_file()) {
    std::replace(uri.path.begin(), uri.path.end(), '\\', '/');
    if (has_drive(uri.path)) uri.path[1] = static_cast<char>(uri.path[1] | 0x20);
  }
  return uri;
}

std::string Uri::key() const {
  std::string normal = path;
  if (is_file()) normal = std::filesystem::path(path).lexically_normal().generic_string();
  const std::string host = is_file() && authority == "localhost" ? "" : authority;
  return scheme + "://" + host + normal + rest;
}

std::optional<std::string> Uri::file_path() const {
  if (!is_file()) return std::nullopt;
  const std::string normal = std::filesystem::path(path).lexically_normal().generic_string();
  if (!authority.empty() && authority != "localhost") return "//" + authority + normal;
  return has_drive(normal) ? normal.substr(1) : normal;
}

std::string Uri::file_name() const {
  const size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

}  // namespace incipit::lsp
