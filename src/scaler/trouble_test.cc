// SPDX-License-Identifier: Apache-2.0
// Goal: a condition is told when it begins, every five minutes, and when it ends. Method: by hand.
#include "scaler/trouble.h"

#include <gtest/gtest.h>

namespace skep::scaler {
namespace {

using News = Trouble::News;

TEST(Trouble, IsToldWhenItBeginsNowAndThenAndWhenItEnds) {
  Trouble trouble;
  const Instant begin{hours(1)};
  EXPECT_EQ(trouble.update(begin, ""), News::kNone);
  EXPECT_EQ(trouble.update(begin, "no capacity"), News::kBegan);
  EXPECT_EQ(trouble.update(begin + minutes(1), "no capacity"), News::kNone);
  EXPECT_EQ(trouble.update(begin + minutes(2), "no capacity in two zones"), News::kNone)
      << "the same trouble";
  EXPECT_EQ(trouble.problem(), "no capacity in two zones");
  EXPECT_EQ(trouble.update(begin + minutes(5), "no capacity"), News::kStill);
  EXPECT_EQ(trouble.update(begin + minutes(9), "no capacity"), News::kNone);
  EXPECT_EQ(trouble.update(begin + minutes(10), "no capacity"), News::kStill);
  EXPECT_EQ(trouble.since(), begin);
  EXPECT_EQ(trouble.update(begin + minutes(11), ""), News::kEnded);
  EXPECT_EQ(trouble.update(begin + minutes(12), ""), News::kNone);
  EXPECT_EQ(trouble.update(begin + minutes(13), "again"), News::kBegan);
  EXPECT_EQ(trouble.since(), begin + minutes(13));
}

}  // namespace
}  // namespace skep::scaler
