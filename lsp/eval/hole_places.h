// Where a file may get holes. Deterministic: the same text and seed give the same holes, on every
// machine. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "lsp/eval/hole.h"
#include "lsp/syntax/parser.h"

namespace incipit::lsp::eval {

constexpr int kMinBlockLines = 2;
constexpr int kMaxBlockLines = 8;  // the pipeline shows no more than twelve lines

// Up to `n` holes of one kind in the order in which they should be taken, drawn from all places
// that the file has for them; no two share a line. Nothing but punctuation is no hole: the pipeline
// does not suggest it. A quarter of the line holes begins inside a token.
std::vector<Hole> draw_holes(const SyntaxTree& tree, HoleKind kind, uint64_t seed, size_t n);

bool shares_a_line(std::string_view text, const Hole& a, const Hole& b);

// FNV-1a, 64 bits: what names a text in a report.
uint64_t text_hash(std::string_view text);

// A number that depends on both and looks like neither.
uint64_t mix(uint64_t seed, uint64_t value);

}  // namespace incipit::lsp::eval
