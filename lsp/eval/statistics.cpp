#include "lsp/eval/statistics.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace incipit::lsp::eval {
namespace {

constexpr double kZ95 = 1.959963984540054;  // the normal distribution's 97.5 % quantile

// log of n over k.
double log_choose(int n, int k) {
  return std::lgamma(n + 1.0) - std::lgamma(k + 1.0) - std::lgamma(n - k + 1.0);
}

}  // namespace

Interval share_interval(int n_yes, int n) {
  if (n <= 0) return {0, 1};
  const double p = static_cast<double>(n_yes) / n;
  const double z2 = kZ95 * kZ95 / n;
  const double middle = (p + z2 / 2) / (1 + z2);
  const double reach = kZ95 / (1 + z2) * std::sqrt(p * (1 - p) / n + z2 / (4.0 * n));
  return {std::max(0.0, middle - reach), std::min(1.0, middle + reach)};
}

double sign_test(int n_better, int n_worse) {
  const int n = n_better + n_worse;
  double tail = 0;
  for (int k = 0; k <= std::min(n_better, n_worse); ++k) {
    tail += std::exp(log_choose(n, k) - n * std::log(2.0));
  }
  return std::min(1.0, 2 * tail);
}

double percentile(std::vector<double> values, double fraction) {
  if (values.empty()) return 0;
  const double rank = std::ceil(fraction * static_cast<double>(values.size()));
  const auto nth = values.begin() + static_cast<ptrdiff_t>(std::max(1.0, rank)) - 1;
  std::nth_element(values.begin(), nth, values.end());
  return *nth;
}

}  // namespace incipit::lsp::eval
