// SPDX-License-Identifier: Apache-2.0
// When and where a call is tried again. Method: the policy alone, time as an argument.
#include "client/retry_policy.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace skep::client {
namespace {

const Instant kStart = from_unix_ms(1'000'000);

Failure unsent(Code code = Code::kUnavailable) {
  return {code, false, {}};
}
Failure answered(Code code, std::optional<Duration> retry_after = {}) {
  return {code, true, retry_after};
}

TEST(RetryPolicy, SilentManagerIsFollowedByTheNextOneAtOnce) {
  RetryPolicy policy(Repeatable::kAlways, kNever);
  Random random(1);
  for (int i = 0; i < 2; ++i) {
    const auto next = policy.after(unsent(), 3, kStart, random);
    EXPECT_FALSE(next.is_over);
    EXPECT_TRUE(next.is_next_manager);
    EXPECT_EQ(next.at, kStart);
  }
}

TEST(RetryPolicy, RoundWithoutAnAnswerBacksOff) {
  bool has_waited = false;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    RetryPolicy policy(Repeatable::kAlways, kNever);
    Random random(seed);
    policy.after(unsent(), 2, kStart, random);
    const auto next = policy.after(unsent(), 2, kStart, random);
    EXPECT_FALSE(next.is_over);
    EXPECT_TRUE(next.is_next_manager);
    EXPECT_LE(next.at, kStart + kBackOffFirst);
    has_waited = has_waited || next.at > kStart;
  }
  EXPECT_TRUE(has_waited);
}

TEST(RetryPolicy, BackOffDoublesUpToItsMaximum) {
  Duration longest{};
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    RetryPolicy policy(Repeatable::kAlways, kNever);
    Random random(seed);
    Duration bound = kBackOffFirst;
    for (int i = 0; i < 10; ++i) {
      const Duration pause = policy.after(unsent(), 1, kStart, random).at - kStart;
      EXPECT_LE(pause, bound);
      longest = std::max(longest, pause);
      bound = std::min(2 * bound, kBackOffMax);
    }
  }
  EXPECT_GT(longest, kBackOffMax / 2);
}

TEST(RetryPolicy, RetryAfterIsHonouredButNotForEver) {
  Random random(1);
  RetryPolicy policy(Repeatable::kAlways, kNever);
  EXPECT_EQ(policy.after(answered(Code::kUnavailable, seconds(7)), 1, kStart, random).at,
            kStart + seconds(7));
  EXPECT_EQ(policy.after(answered(Code::kUnavailable, hours(7)), 1, kStart, random).at,
            kStart + kRetryAfterMax);
}

TEST(RetryPolicy, EarliestRetryAfterOfTheRoundCounts) {
  Random random(1);
  RetryPolicy policy(Repeatable::kAlways, kNever);
  policy.after(answered(Code::kUnavailable, seconds(30)), 2, kStart, random);
  EXPECT_EQ(policy.after(answered(Code::kUnavailable, seconds(9)), 2, kStart, random).at,
            kStart + seconds(9));
  policy.after(answered(Code::kUnavailable, seconds(30)), 2, kStart, random);
  EXPECT_LT(policy.after(unsent(), 2, kStart, random).at, kStart + seconds(1));
}

TEST(RetryPolicy, FullClusterIsNotAskedAtAnotherDoor) {
  Random random(1);
  RetryPolicy policy(Repeatable::kAlways, kNever);
  const auto next = policy.after(answered(Code::kExhausted, seconds(2)), 3, kStart, random);
  EXPECT_FALSE(next.is_over);
  EXPECT_FALSE(next.is_next_manager);
  EXPECT_EQ(next.at, kStart + seconds(2));
}

TEST(RetryPolicy, FinalAnswersAreNotRepeated) {
  Random random(1);
  for (const Code code : {Code::kInvalid, Code::kNotFound, Code::kConflict, Code::kStaleLease, Code::kCorrupt,
                          Code::kInternal}) {
    RetryPolicy policy(Repeatable::kAlways, kNever);
    EXPECT_TRUE(policy.after(answered(code), 3, kStart, random).is_over) << code_name(code);
  }
}

TEST(RetryPolicy, UnsureCallsAreRepeatedOnlyIfThatIsHarmless) {
  Random random(1);
  const auto is_over = [&](Repeatable repeatable, const Failure& failure) {
    return RetryPolicy(repeatable, kNever).after(failure, 2, kStart, random).is_over;
  };
  EXPECT_FALSE(is_over(Repeatable::kAlways, unsent(Code::kUnknownOutcome)));
  EXPECT_TRUE(is_over(Repeatable::kUnlessUnsure, unsent(Code::kUnknownOutcome)));
  EXPECT_TRUE(is_over(Repeatable::kUnlessUnsure, answered(Code::kUnknownOutcome)));
  EXPECT_FALSE(is_over(Repeatable::kUnlessUnsure, answered(Code::kUnavailable)));
  EXPECT_FALSE(is_over(Repeatable::kUnsentOnly, unsent()));
  EXPECT_FALSE(is_over(Repeatable::kUnsentOnly, unsent(Code::kTimeout)));
  EXPECT_TRUE(is_over(Repeatable::kUnsentOnly, unsent(Code::kUnknownOutcome)));
  EXPECT_TRUE(is_over(Repeatable::kUnsentOnly, answered(Code::kUnavailable)));
}

RC_GTEST_PROP(RetryPolicy, NothingIsTriedAtOrAfterTheDeadline, (std::uint64_t seed)) {
  Random random(seed);
  const Instant deadline = kStart + milliseconds(*rc::gen::inRange(0, 20'000));
  RetryPolicy policy(Repeatable::kAlways, deadline);
  Instant now = kStart;
  int tries = 0;
  while (true) {
    const auto next = policy.after(unsent(), 2, now, random);
    if (next.is_over) break;
    RC_ASSERT(next.at >= now);
    RC_ASSERT(next.at < deadline);
    now = next.at + milliseconds(1);
    RC_ASSERT(++tries < 25'000);
  }
}

}  // namespace
}  // namespace skep::client
