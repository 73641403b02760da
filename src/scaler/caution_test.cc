// SPDX-License-Identifier: Apache-2.0
// The level of caution on loads worked by hand: it rises with lateness, falls without, and not before it may.
#include "scaler/caution.h"

#include <gtest/gtest.h>

namespace skep::scaler {
namespace {

constexpr Instant kStart = Instant{} + hours(1);
constexpr Duration kAhead = seconds(50);

// A steady load: `each` tasks start every five seconds.
struct Load {
  Caution caution{CautionOptions{}};
  Instant now = kStart;
  std::uint64_t started = 0;

  void run(int ticks, std::uint64_t each, std::uint64_t queued = 0, Duration oldest = Duration::zero()) {
    for (int tick = 0; tick < ticks; ++tick) {
      now += seconds(5);
      started += each;
      caution.observe(now, started, queued, oldest, Bounds{0, 10, seconds(30)}, kAhead);
    }
  }
};

TEST(Caution, RisesWhileTasksAreLate) {
  Load load;
  load.run(1, 10);
  const double before = load.caution.level();
  load.run(12, 10, 20, seconds(40));
  EXPECT_GT(load.caution.level(), before + 0.5);
  EXPECT_NEAR(load.caution.late_share(), 1, 0.05);
  load.run(1000, 10, 20, seconds(40));
  EXPECT_EQ(load.caution.level(), CautionOptions{}.most);
}

// Ten tasks each 5 s are 100 within the 50 s of a boot: the budget of 4.5 % pays for two such bursts after
// 4,000.
TEST(Caution, DoesNotFallBeforeTheBudgetPaysForAnotherBurst) {
  Load load;
  load.run(150, 10);
  EXPECT_GE(load.caution.level(), CautionOptions{}.unproved);
  EXPECT_TRUE(load.caution.is_unproved());
  load.run(1500, 10);
  EXPECT_LT(load.caution.level(), 0);
  EXPECT_FALSE(load.caution.is_unproved());
}

TEST(Caution, ABurstGreaterThanTheBudgetRaisesItAgain) {
  Load load;
  load.run(2000, 10);
  EXPECT_LT(load.caution.level(), 0);
  load.run(5, 1000);
  EXPECT_GE(load.caution.level(), CautionOptions{}.unproved);
}

TEST(Caution, WithoutTasksItFallsToTheLeast) {
  Load load;
  load.run(2000, 0);
  EXPECT_EQ(load.caution.level(), CautionOptions{}.least);
  EXPECT_EQ(load.caution.late_share(), 0);
}

TEST(Caution, ACountThatBeginsAnewIsNoBurst) {
  Load load;
  load.run(2000, 10);
  load.started = 0;
  load.run(3, 10);
  EXPECT_LT(load.caution.level(), 0);
}

}  // namespace
}  // namespace skep::scaler
