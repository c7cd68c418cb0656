// How a client counts columns.
#pragma once

#include <string_view>

namespace incipit::lsp {

enum class PositionEncoding { kUtf8, kUtf16, kUtf32 };

constexpr std::string_view name_of(PositionEncoding encoding) {
  switch (encoding) {
    case PositionEncoding::kUtf8:
      return "utf-8";
    case PositionEncoding::kUtf16:
      return "utf-16";
    case PositionEncoding::kUtf32:
      return "utf-32";
  }
  return "";
}

}  // namespace incipit::lsp
