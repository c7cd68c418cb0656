// What the model's own confidence is worth: how often suggestions are right by how sure it was of
// them, and what a threshold on it costs. Pure.
#pragma once

#include <span>
#include <vector>

#include "lsp/eval/hole_row.h"
#include "lsp/eval/summary.h"

namespace incipit::lsp::eval {

// Suggestions of which the model was so sure, by the mean probability of their tokens (geometric).
struct ConfidenceBucket {
  double from = 0;  // inclusive
  double to = 0;    // exclusive, but for 1
  Share exact_line;
  // Hiding all those below `from`: how many of the suggestions that would be, and of those with an
  // exact line.
  Share hidden;
  Share exact_hidden;
};

// Twenty buckets of 0.05. Suggestions that were asked for by hand are left out, since none of them
// is hidden; those that were hidden for their confidence count as if they had been shown. Empty
// when no row has a confidence.
std::vector<ConfidenceBucket> calibration(std::span<const HoleRow> rows);

}  // namespace incipit::lsp::eval
