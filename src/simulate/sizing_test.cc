// SPDX-License-Identifier: Apache-2.0
// The policies of others, each against examples worked by hand from their documentation.
#include "simulate/sizing.h"

#include <gtest/gtest.h>

namespace skep::simulate {
namespace {

constexpr Instant kStart = Instant{} + hours(1);

class SizingTest : public testing::Test {
 protected:
  void use(const std::string& text) {
    const auto choice = parse_sizing(text);
    ASSERT_TRUE(choice) << text;
    Setting setting;
    setting.bounds = bounds;
    setting.slots = 1;
    setting.service_mean_s = 2;
    setting.mean_load = 2.5;
    sizing = choice.value().kind.make(choice.value().values, setting);
  }
  std::uint32_t at(int seconds_in) {
    sight.seen.now = kStart + seconds(seconds_in);
    return sizing->decide(sight, bounds).wanted;
  }
  void fleet(std::uint32_t running, std::uint32_t booting = 0) {
    sight.seen.running = running;
    sight.seen.booting_ready_at.assign(booting, kStart);
  }
  void tasks(std::uint64_t queued, std::uint64_t leased) {
    sight.seen.queued = queued;
    sight.seen.leased = leased;
    sight.seen.queued_seconds = 2.0 * static_cast<double>(queued);
    sight.seen.leased_seconds = static_cast<double>(leased);
  }
  void idle(std::vector<double> idle_s) {
    sight.seen.idle = static_cast<std::uint32_t>(idle_s.size());
    sight.idle_s = std::move(idle_s);
  }

  scaler::Bounds bounds{2, 10, seconds(30)};
  Sight sight;
  std::unique_ptr<Sizing> sizing;
};

// Ten requests, one each 2 s: a gap of 2 s is more than 1 s, so one more, whatever waits.
TEST_F(SizingTest, SeedAddsOneWhereWorkIsAskedForRarely) {
  use("seed");
  fleet(3);
  for (int i = 0; i < 10; ++i) sight.polls_s.push_back(2 * i);
  EXPECT_EQ(at(0), 4u);
  fleet(9, 1);  // what boots counts
  EXPECT_EQ(at(10), 10u);
}

TEST_F(SizingTest, SeedTakesOneWhereWorkIsAskedForOftenAndNoneBelowTwo) {
  use("seed");
  fleet(5);
  for (int i = 0; i < 10; ++i) sight.polls_s.push_back(0.05 * i);
  EXPECT_EQ(at(0), 4u);
  fleet(2);
  EXPECT_EQ(at(10), 2u);
  fleet(1);
  EXPECT_EQ(at(20), 2u);
}

// Without two requests its mean is 0, which is below 0.1.
TEST_F(SizingTest, SeedWithoutRequestsShrinks) {
  use("seed");
  fleet(5);
  EXPECT_EQ(at(0), 4u);
  sight.polls_s = {0, 0.5};
  EXPECT_EQ(at(10), 5u);
}

// 30 tasks at 5 a worker are 6 workers.
TEST_F(SizingTest, KedaSizesByTasksAWorker) {
  use("keda");
  fleet(4);
  tasks(28, 2);
  EXPECT_EQ(at(0), 6u);
}

TEST_F(SizingTest, KedaStaysWithinItsTolerance) {
  use("keda");
  fleet(4);
  tasks(17, 4);  // 21 of 20: 5 % over
  EXPECT_EQ(at(0), 4u);
}

// From 2: at most the greater of twice as many and four more.
TEST_F(SizingTest, KedaGrowsByDoublingOrFour) {
  use("keda");
  fleet(2);
  tasks(500, 2);
  EXPECT_EQ(at(0), 6u);
  fleet(2, 4);
  EXPECT_EQ(at(15), 12u);
}

TEST_F(SizingTest, KedaShrinksToTheMostOfItsWindow) {
  use("keda");
  fleet(8);
  tasks(20, 10);
  EXPECT_EQ(at(0), 6u);  // the window holds this recommendation only
  tasks(0, 5);
  EXPECT_EQ(at(15), 6u);
  EXPECT_EQ(at(300), 6u);
  EXPECT_EQ(at(316), 1u);  // the first has left the window
}

TEST_F(SizingTest, KedaGoesToNothingOnlyAfterItsCooldown) {
  bounds.workers_min = 0;
  use("keda:stabilisation=15");
  fleet(1);
  tasks(0, 1);
  EXPECT_EQ(at(0), 1u);
  tasks(0, 0);
  EXPECT_EQ(at(285), 1u);
  EXPECT_EQ(at(300), 0u);
  fleet(0);
  EXPECT_EQ(at(315), 0u);
  tasks(1, 0);
  EXPECT_EQ(at(330), 1u);
}

// The target is 30 s by 2 s = 15 tasks an instance. 80 tasks for 4 are 20: after three minutes ceil(4 *
// 20/15) = 6.
TEST_F(SizingTest, AsgGrowsAfterThreePointsInProportion) {
  use("asg");
  fleet(4);
  tasks(80, 4);
  EXPECT_EQ(at(0), 4u);
  EXPECT_EQ(at(60), 4u);
  EXPECT_EQ(at(120), 6u);
}

// Those that warm up count for nothing: the same alarm asks for the same 6 again, not for 9.
TEST_F(SizingTest, AsgDoesNotStackLaunchesOnOneAlarm) {
  use("asg");
  fleet(4);
  tasks(80, 4);
  at(0);
  at(60);
  EXPECT_EQ(at(120), 6u);
  fleet(4, 2);
  EXPECT_EQ(at(180), 6u);
  fleet(6);
  tasks(120, 6);
  EXPECT_EQ(at(240), 6u);  // ceil(4 warm * 20/15)
  EXPECT_EQ(at(541), 8u);  // all six are warm
}

TEST_F(SizingTest, AsgShrinksByOneAfterFifteenLowPointsAndNotPastItsTarget) {
  use("asg");
  fleet(4);
  tasks(50, 4);  // 12.5 an instance is under 0.9 * 15; three would have 16.7 each
  for (int minute = 0; minute < 20; ++minute) EXPECT_EQ(at(60 * minute), 4u);
  tasks(30, 4);
  EXPECT_EQ(at(1200), 3u);
  use("asg");
  for (int minute = 0; minute < 14; ++minute) EXPECT_EQ(at(60 * minute), 4u);
  EXPECT_EQ(at(840), 3u);
}

TEST_F(SizingTest, HyperqueueKeepsItsBacklogOfAllocations) {
  use("hyperqueue:backlog=2");
  fleet(3);
  tasks(50, 3);
  EXPECT_EQ(at(0), 5u);
  fleet(3, 2);
  EXPECT_EQ(at(5), 5u);
  fleet(4, 1);
  EXPECT_EQ(at(10), 6u);
  use("hyperqueue");
  fleet(3);
  EXPECT_EQ(at(0), 4u);
}

TEST_F(SizingTest, HyperqueueLetsGoOfWhatWasIdleForFiveMinutes) {
  use("hyperqueue");
  fleet(5);
  tasks(0, 2);
  idle({400, 300, 299});
  EXPECT_EQ(at(0), 3u);
  idle({400, 400, 400, 400});
  EXPECT_EQ(at(5), 2u);  // the minimum
}

// 20 waiting of 2 s and 3 leased with 1 s each are 43 s of work: 9 workers finish it in 5 s.
TEST_F(SizingTest, DaskFinishesAllWorkInItsTarget) {
  use("dask");
  fleet(3);
  tasks(20, 3);
  EXPECT_EQ(at(0), 9u);
}

TEST_F(SizingTest, DaskNeverHasMoreThreadsThanTasks) {
  use("dask");
  fleet(2);
  tasks(1, 2);
  sight.seen.queued_seconds = 1000;
  EXPECT_EQ(at(0), 3u);
}

TEST_F(SizingTest, DaskClosesIdleWorkersWhenProposedThreeTimes) {
  use("dask");
  fleet(6);
  tasks(0, 3);
  idle({50, 40, 30});
  EXPECT_EQ(at(0), 6u);
  EXPECT_EQ(at(1), 6u);
  EXPECT_EQ(at(2), 3u);  // 3 s of work want one, the minimum is two, but only three are idle
  tasks(100, 3);
  EXPECT_EQ(at(3), 10u);
  tasks(0, 3);
  EXPECT_EQ(at(4), 6u);  // proposed once again
}

// 30 s by 2 s by 3: five tasks a server. 23 in the system want 5.
TEST_F(SizingTest, AutoscaleSizesByTasksInTheSystem) {
  use("autoscale");
  fleet(3);
  tasks(20, 3);
  EXPECT_EQ(at(0), 5u);
}

TEST_F(SizingTest, AutoscaleKeepsAServerForTwoMinutes) {
  use("autoscale");
  fleet(6);
  tasks(0, 3);
  idle({121, 119, 10});
  EXPECT_EQ(at(0), 5u);
}

TEST_F(SizingTest, FixedIsTheMaximumOrAMultipleOfTheMeanLoad) {
  use("fixed");
  EXPECT_EQ(at(0), 10u);
  use("fixed:factor=1.2");
  EXPECT_EQ(at(0), 3u);
}

TEST_F(SizingTest, SkepExplainsItself) {
  use("skep");
  fleet(2);
  tasks(200, 2);
  sight.seen.now = kStart;
  const scaler::Decision decision = sizing->decide(sight, bounds);
  EXPECT_GT(decision.wanted, 2u);
  EXPECT_NE(decision.reason.find("200 tasks wait"), std::string::npos) << decision.reason;
}

TEST(SizingChoice, IsWrittenAsItIsRead) {
  EXPECT_EQ(parse_sizing("keda").value().label(), "keda");
  EXPECT_EQ(parse_sizing("keda:queue_length=10:stabilisation=300").value().label(), "keda:queue_length=10");
}

TEST(SizingChoice, OfSkepIsATuningThatAManagerTakes) {
  const auto tuning = parse_tuning("skep:hold_s=90:caution_first=0.5");
  ASSERT_TRUE(tuning);
  EXPECT_EQ(tuning.value().hold_s, 90);
  EXPECT_EQ(tuning.value().caution_first, 0.5);
  EXPECT_EQ(tuning.value().wait_share, scaler::Tuning{}.wait_share);
  ASSERT_FALSE(parse_tuning("keda"));
  EXPECT_EQ(parse_tuning("keda").error().message,
            "policy 'keda' can only be simulated: a manager runs skep, with settings as in skep:hold_s=90");
}

TEST(SizingChoice, SaysWhatThereIs) {
  const auto message = [](std::string_view text) {
    const auto choice = parse_sizing(text);
    return choice ? std::string("accepted") : choice.error().message;
  };
  EXPECT_EQ(
      message("kedo"),
      "there is no policy 'kedo'; it is one of skep, seed, keda, asg, hyperqueue, dask, autoscale, fixed, "
      "clairvoyant");
  EXPECT_EQ(message("seed:speed=1"), "policy seed has no parameter 'speed=1'; it has: spawn_gap, kill_gap");
  EXPECT_EQ(message("seed:kill_gap=fast"), "'fast' is no number for kill_gap of policy seed");
}

}  // namespace
}  // namespace skep::simulate
