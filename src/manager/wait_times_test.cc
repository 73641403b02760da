// SPDX-License-Identifier: Apache-2.0
// How long tasks waited, by classes. Method: known waits in, quantiles within their class out; time passes.
#include "manager/wait_times.h"

#include <gtest/gtest.h>

#include "task/limits.h"

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

TEST(QueueWaits, AreToldByQueueAndForgottenWithTheLastMinute) {
  QueueWaits queues;
  const auto of_queue = [&](const std::string& name, Instant now) {
    api::v1::Waits waits;
    queues.fill(now, name, waits);
    return waits;
  };
  queues.note(kBegin, "a", milliseconds(3));
  queues.note(kBegin + seconds(30), "b", seconds(20));
  queues.drop_old(kBegin + seconds(50));
  EXPECT_EQ(of_queue("a", kBegin + seconds(50)).count(), 1u);
  EXPECT_LT(of_queue("a", kBegin + seconds(50)).p95_ms(), 5u);
  EXPECT_GT(of_queue("b", kBegin + seconds(50)).p95_ms(), 15'000u);
  EXPECT_EQ(of_queue("c", kBegin + seconds(50)).count(), 0u);
  queues.drop_old(kBegin + seconds(70));
  EXPECT_EQ(of_queue("a", kBegin + seconds(40)).count(), 0u)
      << "dropped, so that also an earlier look finds none";
  EXPECT_EQ(of_queue("b", kBegin + seconds(70)).count(), 1u);
}

TEST(QueueWaits, OfMoreQueuesThanThereMayBeTheFirstAreKept) {
  QueueWaits queues;
  for (std::size_t i = 0; i <= limits::kQueuesMax; ++i)
    queues.note(kBegin, "q" + std::to_string(i), milliseconds(3));
  api::v1::Waits first;
  api::v1::Waits last;
  queues.fill(kBegin, "q0", first);
  queues.fill(kBegin, "q" + std::to_string(limits::kQueuesMax), last);
  EXPECT_EQ(first.count(), 1u);
  EXPECT_EQ(last.count(), 0u);
}

}  // namespace
}  // namespace skep::manager
