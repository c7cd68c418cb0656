#include "lsp/eval/statistics.h"

#include <gtest/gtest.h>

namespace incipit::lsp::eval {
namespace {

TEST(EvalStatistics, ShareIntervalIsWilsons) {
  // The worked example of many textbooks: 81 of 263.
  const Interval interval = share_interval(81, 263);
  EXPECT_NEAR(interval.low, 0.2553, 5e-4);
  EXPECT_NEAR(interval.high, 0.3662, 5e-4);
}

TEST(EvalStatistics, ShareIntervalStaysBetweenNoneAndAll) {
  EXPECT_NEAR(share_interval(0, 10).low, 0, 1e-12);
  EXPECT_NEAR(share_interval(0, 10).high, 0.2775, 5e-4);
  EXPECT_NEAR(share_interval(10, 10).high, 1, 1e-12);
  EXPECT_EQ(share_interval(0, 0).low, 0);
  EXPECT_EQ(share_interval(0, 0).high, 1);
}

TEST(EvalStatistics, SignTestIsExact) {
  EXPECT_DOUBLE_EQ(sign_test(0, 0), 1);
  EXPECT_DOUBLE_EQ(sign_test(1, 0), 1);               // 2 / 2
  EXPECT_NEAR(sign_test(6, 0), 2.0 / 64, 1e-12);      // 2 / 2^6
  EXPECT_NEAR(sign_test(8, 2), 112.0 / 1024, 1e-12);  // 2 (1 + 10 + 45) / 2^10
  EXPECT_DOUBLE_EQ(sign_test(8, 2), sign_test(2, 8));
  EXPECT_DOUBLE_EQ(sign_test(5, 5), 1);
}

TEST(EvalStatistics, SignTestTakesManyHoles) {
  EXPECT_GT(sign_test(5000, 5000), 0.99);
  EXPECT_LT(sign_test(5500, 4500), 1e-20);
}

TEST(EvalStatistics, PercentileIsAValueThatOccurred) {
  EXPECT_EQ(percentile({}, 0.5), 0);
  EXPECT_EQ(percentile({7}, 0.95), 7);
  EXPECT_EQ(percentile({4, 1, 3, 2}, 0.5), 2);
  EXPECT_EQ(percentile({4, 1, 3, 2}, 0.95), 4);
}

}  // namespace
}  // namespace incipit::lsp::eval
