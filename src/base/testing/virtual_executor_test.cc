// SPDX-License-Identifier: Apache-2.0
// The virtual executor keeps the promises of executor.h, and the same calls give the same run.
#include "base/testing/virtual_executor.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace skep::testing {
namespace {

TEST(VirtualExecutor, RunsByTimeAndThenByOrderOfPosting) {
  VirtualExecutor executor;
  std::string order;
  executor.post_at(executor.now() + seconds(2), [&] { order += 'd'; });
  executor.post_at(executor.now() + seconds(1), [&] { order += 'b'; });
  executor.post_at(executor.now() + seconds(1), [&] { order += 'c'; });
  executor.post([&] { order += 'a'; });
  executor.run_until(executor.now() + seconds(2));
  EXPECT_EQ(order, "abcd");
  EXPECT_TRUE(executor.is_idle());
}

TEST(VirtualExecutor, NeverRunsPostedWorkInsideTheCall) {
  VirtualExecutor executor;
  std::string order;
  executor.post([&] {
    executor.post([&] { order += 'b'; });
    order += 'a';
  });
  EXPECT_EQ(order, "");
  executor.run_ready();
  EXPECT_EQ(order, "ab");
}

TEST(VirtualExecutor, TimeIsThatOfTheEventAndStandsStillBetween) {
  VirtualExecutor executor;
  const Instant start = executor.now();
  Instant seen{};
  executor.post_at(start + seconds(5), [&] { seen = executor.now(); });
  EXPECT_EQ(executor.next_at(), start + seconds(5));
  executor.run_until(start + seconds(4));
  EXPECT_EQ(executor.now(), start + seconds(4));
  EXPECT_EQ(seen, Instant{});
  EXPECT_TRUE(executor.run_next());
  EXPECT_EQ(seen, start + seconds(5));
  EXPECT_EQ(executor.now(), start + seconds(5));
  EXPECT_FALSE(executor.run_next());
  EXPECT_EQ(executor.next_at(), kNever);
}

TEST(VirtualExecutor, WhatIsPostedIntoThePastRunsNow) {
  VirtualExecutor executor;
  const Instant start = executor.now();
  Instant seen{};
  executor.post_at(start - seconds(5), [&] { seen = executor.now(); });
  executor.run_ready();
  EXPECT_EQ(seen, start);
}

TEST(VirtualExecutor, CancelledWorkNeverRunsAndIsFreedAtOnce) {
  VirtualExecutor executor;
  auto held = std::make_shared<int>(0);
  const std::weak_ptr<int> watch = held;
  bool has_run = false;
  const TimerId timer =
      executor.post_at(executor.now() + seconds(1), [&, kept = std::move(held)] { has_run = true; });
  executor.cancel(timer);
  EXPECT_TRUE(watch.expired());
  executor.cancel(timer);
  executor.cancel(0);
  executor.cancel(12345);
  EXPECT_EQ(executor.post_at(kNever, [&] { has_run = true; }), 0u);
  EXPECT_TRUE(executor.is_idle());
  executor.run_for(seconds(5));
  EXPECT_FALSE(has_run);
}

TEST(VirtualExecutor, AnEventMayCancelAnotherOfTheSameInstant) {
  VirtualExecutor executor;
  bool has_run = false;
  TimerId second = 0;
  executor.post_at(executor.now() + seconds(1), [&] { executor.cancel(second); });
  second = executor.post_at(executor.now() + seconds(1), [&] { has_run = true; });
  executor.run_for(seconds(1));
  EXPECT_FALSE(has_run);
  EXPECT_EQ(executor.events_ran(), 1u);
}

TEST(VirtualExecutor, DropsWhatIsPostedWhileItEnds) {
  auto executor = std::make_unique<VirtualExecutor>();
  struct PostsAtItsEnd {
    VirtualExecutor& executor;
    ~PostsAtItsEnd() {
      executor.post([] {});
    }
  };
  executor->post([kept = std::make_unique<PostsAtItsEnd>(*executor)] {});
  executor.reset();
}

TEST(VirtualExecutorDeathTest, WorkThatPostsItselfForEverIsNoticed) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        VirtualExecutor executor;
        UniqueFunction<void()> again = [&] { executor.post([&] { again(); }); };
        again();
        executor.run_ready();
      },
      "virtual time stands still");
}

}  // namespace
}  // namespace skep::testing
