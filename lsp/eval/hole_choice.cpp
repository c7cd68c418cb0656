#include "lsp/eval/hole_choice.h"

#include <algorithm>

#include "lsp/eval/hole_places.h"

namespace incipit::lsp::eval {
namespace {

// Takes the file's next hole of a kind that lies free; false when there is none.
bool take_next(const FilePlaces& file, HoleKind kind, size_t& next, std::vector<Hole>& taken) {
  const std::vector<Hole>& offered = file.holes[static_cast<size_t>(kind)];
  while (next < offered.size()) {
    const Hole& hole = offered[next++];
    const bool free = std::none_of(taken.begin(), taken.end(), [&](const Hole& other) {
      return shares_a_line(*file.text, hole, other);
    });
    if (!free) continue;
    taken.push_back(hole);
    return true;
  }
  return false;
}

}  // namespace

std::vector<std::vector<Hole>> choose_holes(std::span<const FilePlaces> files,
                                            std::span<const HoleKind> kinds, size_t n) {
  std::vector<std::vector<Hole>> chosen(files.size());
  if (kinds.empty()) return chosen;
  std::vector<size_t> wanted(kinds.size());
  for (size_t k = 0; k < kinds.size(); ++k) {
    wanted[k] = n / kinds.size() + (k < n % kinds.size() ? 1 : 0);
  }
  std::vector<std::vector<size_t>> next(files.size(), std::vector<size_t>(kinds.size()));
  // In each turn a file gives one hole, of another kind than in the turn before. When as many turns
  // as there are kinds gave nothing, nobody has anything left that is wanted.
  for (size_t turn = 0, idle = 0; idle < kinds.size(); ++turn) {
    bool gave = false;
    for (size_t f = 0; f < files.size(); ++f) {
      const size_t k = (f + turn) % kinds.size();
      if (wanted[k] == 0 || !take_next(files[f], kinds[k], next[f][k], chosen[f])) continue;
      --wanted[k];
      gave = true;
    }
    idle = gave ? 0 : idle + 1;
  }
  for (std::vector<Hole>& holes : chosen) {
    std::sort(holes.begin(), holes.end(),
              [](const Hole& a, const Hole& b) { return a.start < b.start; });
  }
  return chosen;
}

}  // namespace incipit::lsp::eval
