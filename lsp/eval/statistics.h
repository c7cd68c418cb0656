// The few statistics of an evaluation. Pure.
#pragma once

#include <vector>

namespace incipit::lsp::eval {

struct Interval {
  double low = 0;
  double high = 0;
};

// Wilson's score interval of a share, `n_yes` of `n`, at 95 %. Wilson, J. Am. Stat. Assoc. 22
// (1927); it stays in 0..1 and is of use for small counts. 0..1 when n is 0.
Interval share_interval(int n_yes, int n);

// The sign test: how likely a split at least as uneven as `n_better` against `n_worse` is when both
// are equally likely. Two-sided, exact. 1 when there is nothing to tell from. For answers of yes
// and no, this is McNemar's test.
double sign_test(int n_better, int n_worse);

// The value that `fraction` of the values do not exceed (nearest rank). 0 when there are none.
double percentile(std::vector<double> values, double fraction);

}  // namespace incipit::lsp::eval
