// Which holes a language gets: spread over its files and over the kinds. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "lsp/eval/hole.h"
#include "lsp/syntax/parser.h"

namespace incipit::lsp::eval {

// What one file has to offer: holes of each kind, best first (draw_holes).
struct FilePlaces {
  Text text;
  std::array<std::vector<Hole>, kHoleKinds.size()> holes;  // by HoleKind
};

// `n` holes over all files, fewer when they do not have as many; as many of each kind, the first
// kinds getting what does not divide. Files take turns. For each file its holes in the order of
// their places, no two on one line.
std::vector<std::vector<Hole>> choose_holes(std::span<const FilePlaces> files,
                                            std::span<const HoleKind> kinds, size_t n);

}  // namespace incipit::lsp::eval
