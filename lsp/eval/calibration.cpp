#include "lsp/eval/calibration.h"

#include <algorithm>
#include <cmath>

namespace incipit::lsp::eval {
namespace {

constexpr int kBuckets = 20;

bool was_hidden(const HoleRow& row) {
  return !row.is_shown() && !row.rules.empty() && row.rules.back().rule == kConfidenceRule;
}

}  // namespace

std::vector<ConfidenceBucket> calibration(std::span<const HoleRow> rows) {
  std::vector<ConfidenceBucket> buckets(kBuckets);
  for (int i = 0; i < kBuckets; ++i) {
    buckets[static_cast<size_t>(i)].from = static_cast<double>(i) / kBuckets;
    buckets[static_cast<size_t>(i)].to = static_cast<double>(i + 1) / kBuckets;
  }
  int n = 0;
  int n_exact = 0;
  for (const HoleRow& row : rows) {
    const bool counts = row.is_shown() || was_hidden(row);
    if (row.hole.kind == HoleKind::kToken || !row.mean_log_prob || !counts) continue;
    const double confidence = std::exp(*row.mean_log_prob);
    const bool exact = row.is_shown() ? row.exact_line : row.rules.back().exact_line;
    const int i = std::clamp(static_cast<int>(confidence * kBuckets), 0, kBuckets - 1);
    Share& share = buckets[static_cast<size_t>(i)].exact_line;
    ++share.n;
    share.yes += exact ? 1 : 0;
    ++n;
    n_exact += exact ? 1 : 0;
  }
  if (n == 0) return {};
  Share below{0, n};
  Share exact_below{0, n_exact};
  for (ConfidenceBucket& bucket : buckets) {
    bucket.hidden = below;
    bucket.exact_hidden = exact_below;
    below.yes += bucket.exact_line.n;
    exact_below.yes += bucket.exact_line.yes;
  }
  return buckets;
}

}  // namespace incipit::lsp::eval
