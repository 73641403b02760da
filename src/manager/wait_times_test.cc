// SPDX-License-Identifier: Apache-2.0
// How long tasks waited, by classes. Method: known waits in, quantiles within their class out; time passes.
#include "manager/wait_times.h"

#include <gtest/gtest.h>

namespace skep::manager {
namespace {

constexpr Instant kBegin = Instant{} + hours(1);

api::v1::Waits of(const WaitTimes& times, Instant now) {
  api::v1::Waits waits;
  times.fill(now, waits);
  return waits;
}

TEST(WaitTimes, QuantilesAreWithinTheirClass) {
  WaitTimes times;
  for (int i = 1; i <= 1'000; ++i) times.note(kBegin, milliseconds(i));
  const auto waits = of(times, kBegin);
  EXPECT_EQ(waits.count(), 1'000u);
  EXPECT_NEAR(static_cast<double>(waits.p50_ms()), 500, 500 * 0.1);
  EXPECT_NEAR(static_cast<double>(waits.p95_ms()), 950, 950 * 0.1);
}

TEST(WaitTimes, NothingIsZero) {
  const auto waits = of(WaitTimes(), kBegin);
  EXPECT_EQ(waits.count(), 0u);
  EXPECT_EQ(waits.p95_ms(), 0u);
  EXPECT_EQ(waits.buckets_size(), 0);
}

TEST(WaitTimes, ExtremesHaveAPlace) {
  WaitTimes times;
  times.note(kBegin, Duration::zero());
  times.note(kBegin, hours(24 * 365));
  const auto waits = of(times, kBegin);
  EXPECT_EQ(waits.count(), 2u);
  EXPECT_LE(waits.p50_ms(), 1u);
  EXPECT_GT(waits.p95_ms(), 10'000'000u);
}

TEST(WaitTimes, AreForgottenAfterAMinute) {
  WaitTimes times;
  times.note(kBegin, seconds(1));
  times.note(kBegin + seconds(30), seconds(1));
  EXPECT_EQ(of(times, kBegin + seconds(50)).count(), 2u);
  EXPECT_EQ(of(times, kBegin + seconds(65)).count(), 1u);
  EXPECT_EQ(of(times, kBegin + hours(1)).count(), 0u);
  times.note(kBegin + hours(1), seconds(2));
  EXPECT_EQ(of(times, kBegin + hours(1)).count(), 1u) << "a slice that comes round again begins empty";
}

TEST(WaitTimes, OfSeveralManagersAddUp) {
  WaitTimes fast;
  WaitTimes slow;
  WaitTimes both;
  for (int i = 0; i < 60; ++i) {
    fast.note(kBegin, milliseconds(3));
    both.note(kBegin, milliseconds(3));
  }
  for (int i = 0; i < 40; ++i) {
    slow.note(kBegin, seconds(20));
    both.note(kBegin, seconds(20));
  }
  auto sum = of(fast, kBegin);
  add_waits(of(slow, kBegin), sum);
  EXPECT_EQ(sum.SerializeAsString(), of(both, kBegin).SerializeAsString());
  EXPECT_LT(sum.p50_ms(), 5u);
  EXPECT_GT(sum.p95_ms(), 15'000u);
}

}  // namespace
}  // namespace skep::manager
