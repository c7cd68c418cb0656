#include "lsp/eval/hole_places.h"

#include <algorithm>
#include <random>
#include <string>

#include "lsp/context/cursor_site.h"
#include "lsp/document/utf8.h"
#include "lsp/syntax/pieces.h"

namespace incipit::lsp::eval {
namespace {

// std::mt19937_64 is the same everywhere; the distributions of <random> are not.
using Random = std::mt19937_64;

constexpr size_t kMinNameBytes = 2;  // shorter ones have no inside

size_t below(Random& random, size_t n) {
  return static_cast<size_t>(random() % n);
}

size_t line_end(std::string_view text, size_t offset) {
  size_t end = std::min(text.find('\n', offset), text.size());
  if (end > offset && text[end - 1] == '\r') --end;
  return end;
}

// A place strictly inside the token and on its first line; its start when there is none.
size_t place_inside(std::string_view text, Span token, Random& random) {
  const size_t end = std::min(token.end, line_end(text, token.start));
  if (end < token.start + 2) return token.start;
  size_t at = token.start + 1 + below(random, end - token.start - 1);
  while (at > token.start && is_continuation_byte(text[at])) --at;
  return at;
}

// The places of one kind, in file order, each as a token or a run of lines.
std::vector<Span> places_of(const SyntaxTree& tree, HoleKind kind) {
  if (kind == HoleKind::kBlock) return line_runs(tree, kMinBlockLines, kMaxBlockLines);
  std::vector<Span> places;
  for (const Token& token : tokens_of(tree)) {
    const bool wanted = kind == HoleKind::kLine ||
                        (token.is_name && token.span.end - token.span.start >= kMinNameBytes);
    if (wanted) places.push_back(token.span);
  }
  return places;
}

Hole hole_at(std::string_view text, HoleKind kind, Span place, Random& random) {
  if (kind == HoleKind::kBlock) return {kind, place.start, place.end};
  const bool inside = kind == HoleKind::kToken || below(random, 4) == 0;
  const size_t start = inside ? place_inside(text, place, random) : place.start;
  return {kind, start, line_end(text, start)};
}

}  // namespace

uint64_t text_hash(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

// The finaliser of splitmix64 (Steele, Lea, Flood, OOPSLA 2014).
uint64_t mix(uint64_t seed, uint64_t value) {
  uint64_t z = seed * 0x9e3779b97f4a7c15 + value + 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

std::vector<Hole> draw_holes(const SyntaxTree& tree, HoleKind kind, uint64_t seed, size_t n) {
  const std::string& text = *tree.text();
  Random random(mix(mix(seed, text_hash(text)), static_cast<uint64_t>(kind)));
  std::vector<Span> places = places_of(tree, kind);
  std::vector<Hole> holes;
  // Fisher and Yates, as far as needed.
  for (size_t i = 0; i < places.size() && holes.size() < n; ++i) {
    std::swap(places[i], places[i + below(random, places.size() - i)]);
    const Hole hole = hole_at(text, kind, places[i], random);
    const std::string_view cut = std::string_view(text).substr(hole.start, hole.end - hole.start);
    const bool tells = std::any_of(cut.begin(), cut.end(), is_identifier);
    const bool taken = std::any_of(holes.begin(), holes.end(), [&](const Hole& other) {
      return shares_a_line(text, hole, other);
    });
    if (tells && !taken) holes.push_back(hole);
  }
  return holes;
}

bool shares_a_line(std::string_view text, const Hole& a, const Hole& b) {
  const Hole& first = a.start <= b.start ? a : b;
  const Hole& second = a.start <= b.start ? b : a;
  return second.start <= line_end(text, first.end);
}

}  // namespace incipit::lsp::eval
