// SPDX-License-Identifier: Apache-2.0
// Goal: errors are judged by code before status, pauses grow with full jitter, and the budget ends
// repetition.
#include "aws/retry.h"

#include <gtest/gtest.h>

namespace skep::aws {
namespace {

TEST(Retry, CodeCountsBeforeStatus) {
  EXPECT_EQ(judge("RequestLimitExceeded", 503), Verdict::kThrottled);
  EXPECT_EQ(judge("Throttling", 400), Verdict::kThrottled);
  EXPECT_EQ(judge("InsufficientInstanceCapacity", 500), Verdict::kFinal);
  EXPECT_EQ(judge("InternalError", 500), Verdict::kTransient);
  EXPECT_EQ(judge("Unavailable", 400), Verdict::kTransient);
  EXPECT_EQ(judge("ExpiredToken", 400), Verdict::kExpired);
  EXPECT_EQ(judge("RequestTimeTooSkewed", 403), Verdict::kSkewed);
  EXPECT_EQ(judge("VcpuLimitExceeded", 400), Verdict::kFinal);
  EXPECT_EQ(judge("NobodyKnows", 400), Verdict::kFinal);
  EXPECT_EQ(judge("NobodyKnows", 503), Verdict::kTransient);
  EXPECT_EQ(judge("", 429), Verdict::kThrottled);
  EXPECT_EQ(judge("", 501), Verdict::kFinal);
  EXPECT_EQ(judge("", 0), Verdict::kTransient);
}

TEST(Retry, PausesDoubleUpToTwentySeconds) {
  Random random(7);
  for (int repeated = 0; repeated < 12; ++repeated) {
    Duration longest{};
    Duration longest_throttled{};
    for (int i = 0; i < 2'000; ++i) {
      longest = std::max(longest, retry_delay(Verdict::kTransient, repeated, std::nullopt, random));
      longest_throttled =
          std::max(longest_throttled, retry_delay(Verdict::kThrottled, repeated, std::nullopt, random));
    }
    const Duration most = std::min<Duration>(milliseconds(50) * (1 << repeated), seconds(20));
    const Duration most_throttled = std::min<Duration>(seconds(1) * (1 << repeated), seconds(20));
    EXPECT_LE(longest, most);
    EXPECT_GT(longest, most * 9 / 10);
    EXPECT_LE(longest_throttled, most_throttled);
    EXPECT_GT(longest_throttled, most_throttled * 9 / 10);
  }
}

TEST(Retry, WhatTheServiceAsksForCountsWithinFiveSeconds) {
  Random random(7);
  for (int i = 0; i < 100; ++i) {
    const Duration drawn = [copy = random]() mutable {
      return retry_delay(Verdict::kTransient, 3, std::nullopt, copy);
    }();
    EXPECT_EQ(retry_delay(Verdict::kTransient, 3, minutes(10), random), drawn + Duration(seconds(5)));
  }
  EXPECT_EQ(retry_delay(Verdict::kTransient, 0, seconds(2), random), seconds(2));
}

TEST(Retry, BudgetEndsAndSuccessFillsIt) {
  RetryBudget budget;
  int taken = 0;
  while (budget.take(Verdict::kTransient)) ++taken;
  EXPECT_EQ(taken, 500 / 14);
  EXPECT_TRUE(budget.take(Verdict::kThrottled));  // costs less
  const int left = budget.left();
  budget.give_back(Verdict::kTransient);
  EXPECT_EQ(budget.left(), left + 14);
  budget.give_back(std::nullopt);
  EXPECT_EQ(budget.left(), left + 15);
  for (int i = 0; i < 1'000; ++i) budget.give_back(Verdict::kTransient);
  EXPECT_EQ(budget.left(), 500);
}

}  // namespace
}  // namespace skep::aws
