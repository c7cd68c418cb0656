#include <gtest/gtest.h>

#include "engine/base/bounded_queue.h"
#include "engine/base/cancel_token.h"
#include "engine/base/log.h"
#include "engine/base/result.h"

namespace incipit {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0) return Error{ErrorCode::kInvalidArgument, "half: want an even number"};
  return value / 2;
}

Result<int> quarter(int value) {
  ASSIGN_OR_RETURN(const int first, half(value));
  return half(first);
}

TEST(Result, PassesTheFirstErrorUp) {
  EXPECT_EQ(quarter(8).value(), 2);
  ASSERT_FALSE(quarter(6).ok());
  EXPECT_EQ(quarter(6).error().message, "half: want an even number");
}

TEST(BoundedQueue, DrainsWhatIsLeftAfterClose) {
  BoundedQueue<int> queue(2);
  ASSERT_TRUE(queue.push(1));
  ASSERT_TRUE(queue.push(2));
  int third = 3;
  EXPECT_FALSE(queue.try_push(third));
  queue.close();
  EXPECT_FALSE(queue.push(4));
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), 2);
  EXPECT_EQ(queue.pop(), std::nullopt);
}

TEST(CancelToken, CopiesShareTheFlag) {
  CancelToken token;
  const CancelToken copy = token;
  EXPECT_FALSE(copy.cancelled());
  token.cancel();
  EXPECT_TRUE(copy.cancelled());
}

TEST(CancelToken, AChildFollowsItsParentAndNotTheOtherWayRound) {
  const CancelToken request;
  const CancelToken generation = request.child();
  const CancelToken other = request.child();
  generation.cancel();
  EXPECT_TRUE(generation.cancelled());
  EXPECT_FALSE(request.cancelled());
  EXPECT_FALSE(other.cancelled());
  request.cancel();
  EXPECT_TRUE(other.cancelled());
}

TEST(Log, RefusesAnUnknownLevelByName) {
  const auto level = log::parse_level("loud");
  ASSERT_FALSE(level.ok());
  EXPECT_NE(level.error().message.find("\"loud\""), std::string::npos);
}

}  // namespace
}  // namespace incipit
