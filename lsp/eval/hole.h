// Hole: a piece of a file that is cut out, to see whether the model writes it. Plain data.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace incipit::lsp::eval {

enum class HoleKind {
  kLine,   // from somewhere in a line to its end; asked as while typing
  kBlock,  // the last lines of a syntax node, often its whole body; asked as while typing
  kToken,  // from inside a name to the end of the line; asked by hand
};
inline constexpr std::array kHoleKinds = {HoleKind::kLine, HoleKind::kBlock, HoleKind::kToken};

constexpr std::string_view name_of(HoleKind kind) {
  return kind == HoleKind::kLine ? "line" : kind == HoleKind::kBlock ? "block" : "token";
}

constexpr std::optional<HoleKind> hole_kind_of(std::string_view name) {
  for (const HoleKind kind : kHoleKinds) {
    if (name_of(kind) == name) return kind;
  }
  return std::nullopt;
}

struct Hole {
  HoleKind kind = HoleKind::kLine;
  size_t start = 0;  // bytes of the file; end is the end of a line, before the line break
  size_t end = 0;

  friend bool operator==(const Hole&, const Hole&) = default;
};

}  // namespace incipit::lsp::eval
