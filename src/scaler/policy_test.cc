// SPDX-License-Identifier: Apache-2.0
// The drain-time policy on examples worked by hand, and its promises on random loads.
#include "scaler/policy.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace skep::scaler {
namespace {

constexpr Instant kStart = Instant{} + hours(1);
constexpr Duration kMachineBoot = seconds(45);        // the wait aimed at is then the target
constexpr Duration kProcessBoot = milliseconds(100);  // and here an eighth of it

class DrainTime : public testing::Test {
 protected:
  Decision decide() { return policy->decide(seen, bounds); }
  Decision decide_at(Duration since_start) {
    seen.now = kStart + since_start;
    return decide();
  }
  void queue(std::uint64_t tasks, double each) {
    seen.queued = tasks;
    seen.queued_seconds = static_cast<double>(tasks) * each;
  }
  void lease(std::uint64_t tasks, double each) {
    seen.leased = tasks;
    seen.leased_seconds = static_cast<double>(tasks) * each;
  }
  void running(std::uint32_t count, std::uint32_t idle) {
    seen.running = count;
    seen.idle = idle;
  }
  void booting(std::uint32_t count, Duration ready_in) {
    seen.booting_ready_at.assign(count, seen.now + ready_in);
  }
  static bool says(const Decision& decision, const std::string& words) {
    return decision.reason.find(words) != std::string::npos;
  }

  Observation seen = [] {
    Observation first;
    first.now = kStart;
    first.boot = kMachineBoot;
    return first;
  }();
  Bounds bounds{0, 100, seconds(30)};
  std::unique_ptr<Policy> policy = make_drain_time_policy({});
};

// ---- how many ----

TEST_F(DrainTime, NothingToDoWantsNobody) {
  const Decision decision = decide();
  EXPECT_EQ(decision.wanted, 0u);
  EXPECT_EQ(decision.reason, "nothing waits or is leased since 0s: no worker is needed");
}

TEST_F(DrainTime, WorkIsSpreadOverTheTargetWait) {
  queue(90, 1.0);
  const Decision decision = decide();
  EXPECT_EQ(decision.wanted, 3u);
  EXPECT_EQ(decision.reason, "90 tasks wait (about 1m 30s of one slot): 3 workers start that within 30s");
}

TEST_F(DrainTime, NeverMoreWorkersThanTasks) {
  queue(4, 1000);
  EXPECT_EQ(decide().wanted, 4u);
}

TEST_F(DrainTime, AnyTaskWantsOneWorker) {
  queue(1, 0.000001);
  EXPECT_EQ(decide().wanted, 1u);
}

TEST_F(DrainTime, SlotsShareAWorker) {
  seen.slots_per_worker = 4;
  queue(15, 100);
  EXPECT_EQ(decide().wanted, 4u);
}

TEST_F(DrainTime, LongLeasedTasksHoldTheirSlotsAndOthersComeOnTop) {
  running(3, 0);
  lease(3, 10'000);
  queue(90, 1.0);
  // During a boot all three are busy, so 90 s are left for 30 s: three more.
  EXPECT_EQ(decide().wanted, 6u);
}

TEST_F(DrainTime, WhatRunsWorksOnWhileOthersWouldBoot) {
  running(5, 0);
  queue(300, 1.0);
  // In 45 s five do 225 s; the 75 s left want three workers, fewer than there are.
  EXPECT_EQ(decide().wanted, 5u);
  queue(600, 1.0);
  // In 50 s 350 s are left. The five may keep 7.5 s of it (a twentieth of their 30 s, as nothing is proved
  // yet): 11.4 workers start the rest in time.
  EXPECT_EQ(decide().wanted, 12u);
}

TEST_F(DrainTime, BootingWorkersAreCountedByWhenTheyAreReadyNotAgain) {
  queue(90, 1.0);
  EXPECT_EQ(decide().wanted, 3u);
  for (int second = 0; second <= 45; ++second) {
    seen.now = kStart + seconds(second);
    booting(3, seconds(45 - second));
    EXPECT_EQ(decide().wanted, 3u) << "after " << second << " s";
  }
}

TEST_F(DrainTime, ArrivalsThatLastAreServedDuringTheBoot) {
  lease(2, 1.0);
  queue(60, 1.0);
  running(2, 0);
  seen.arrival_seconds = 2;
  decide();
  // In a boot 90 s arrive and 90 s are done: the 60 s in the queue want two workers, the rate of 2 wants 2.2.
  EXPECT_EQ(decide_at(minutes(10)).wanted, 3u);
}

TEST_F(DrainTime, OneBurstIsNotCountedAsARateToo) {
  seen.boot = seconds(5);
  queue(90, 1.0);
  seen.arrival_seconds = 9;        // 90 s within the last ten
  EXPECT_EQ(decide().wanted, 5u);  // 90 s of work within four boots
  EXPECT_EQ(decide_at(milliseconds(500)).wanted, 5u);
}

TEST_F(DrainTime, SteadyArrivalsKeepWhatTheyNeedThoughTheQueueIsShort) {
  seen.boot = kProcessBoot;
  seen.arrival_seconds = 5;
  running(6, 1);
  for (int tick = 0; tick < 1200; ++tick) {
    lease(tick % 5 == 0 ? 6 : 4, 0.01);
    const auto wanted = decide_at(milliseconds(500 * tick)).wanted;
    if (tick > 600) {
      ASSERT_EQ(wanted, 6u) << tick;
    }
  }
}

// ---- workers that boot fast ----

TEST_F(DrainTime, WhereBootsAreCheapItAimsBelowTheTarget) {
  seen.boot = kProcessBoot;
  queue(64, 0.25);
  // 16 s of work in an eighth of 30 s.
  EXPECT_EQ(decide().wanted, 5u);
  policy = make_drain_time_policy({});
  seen.boot = seconds(2);  // four boots: 8 s
  EXPECT_EQ(decide().wanted, 2u);
}

TEST_F(DrainTime, ThePriorStandsInUntilABootHasTaught) {
  seen.boot = Duration::zero();
  policy = make_drain_time_policy({seconds(20), seconds(45), {}});
  queue(90, 1.0);
  EXPECT_EQ(decide().wanted, 3u);
}

// ---- unknown speed ----

TEST_F(DrainTime, ManyTasksOfUnknownLengthBringSeveralWorkers) {
  queue(64, 0);
  const Decision decision = decide();
  EXPECT_EQ(decision.wanted, 8u);
  EXPECT_TRUE(says(decision, "of unknown length")) << decision.reason;
  policy = make_drain_time_policy({});
  seen.boot = kProcessBoot;
  EXPECT_EQ(decide().wanted, 64u);
}

TEST_F(DrainTime, UnknownLengthGrowsWithTheOldestWait) {
  queue(9, 0);
  lease(1, 0);
  running(1, 0);
  EXPECT_EQ(decide().wanted, 3u);  // 9 * 3.75 s in 30 s, and the one that is leased
  seen.oldest_wait = seconds(15);
  EXPECT_EQ(decide_at(seconds(15)).wanted, 6u);
  seen.oldest_wait = minutes(1);
  EXPECT_EQ(decide_at(seconds(60)).wanted, 10u);
}

TEST_F(DrainTime, WaitingForTheFirstBootIsNoSignOfLongTasks) {
  queue(9, 0);
  EXPECT_EQ(decide().wanted, 2u);
  seen.oldest_wait = seconds(45);
  EXPECT_EQ(decide_at(seconds(45)).wanted, 2u);
}

TEST_F(DrainTime, ALearnedSpeedThatTheWaitBeliesIsDoubted) {
  seen.boot = kProcessBoot;
  queue(60, 0.25);
  lease(4, 0.25);
  running(4, 0);
  EXPECT_EQ(decide().wanted, 5u);
  seen.oldest_wait = minutes(5);
  const Decision decision = decide_at(minutes(5));
  EXPECT_GT(decision.wanted, 30u);
  EXPECT_TRUE(says(decision, "doubted because the oldest waits for 5m")) << decision.reason;
}

TEST_F(DrainTime, TasksThatIdleWorkersLeaveBringNoMoreWorkers) {
  seen.boot = kProcessBoot;
  queue(1000, 1.0);
  Decision decision;
  std::uint32_t fleet = 0;
  for (int tick = 0; tick < 200; ++tick) {
    seen.oldest_wait = milliseconds(500 * tick);
    running(fleet, fleet);
    decision = decide_at(milliseconds(500 * tick));
    fleet = decision.wanted;
  }
  EXPECT_EQ(decision.wanted, 1u);
  EXPECT_TRUE(says(decision, "so more would not help")) << decision.reason;
  // Once the head moves they count again.
  seen.oldest_wait = seconds(1);
  EXPECT_EQ(decide_at(seconds(101)).wanted, 100u);
}

// ---- scaling in ----

TEST_F(DrainTime, ScalesToZeroOnlyAfterTheHold) {
  seen.boot = kProcessBoot;
  running(5, 0);
  lease(5, 100);
  EXPECT_EQ(decide().wanted, 5u);
  lease(0, 0);
  running(5, 5);
  for (int second = 1; second < 20; ++second) {
    const Decision decision = decide_at(seconds(second));
    EXPECT_EQ(decision.wanted, 5u);
    EXPECT_TRUE(says(decision, "0 workers would do, 5 stay until that is so for 20s")) << decision.reason;
  }
  EXPECT_EQ(decide_at(milliseconds(20'500)).wanted, 0u);
}

TEST_F(DrainTime, ScalesInToTheMostThatWasNeededInTheHold) {
  seen.boot = kProcessBoot;
  running(5, 0);
  lease(5, 100);
  decide();
  running(5, 3);
  lease(2, 100);
  EXPECT_EQ(decide_at(seconds(10)).wanted, 5u);
  running(5, 5);
  lease(0, 0);
  EXPECT_EQ(decide_at(seconds(21)).wanted, 2u);
  EXPECT_EQ(decide_at(seconds(31)).wanted, 0u);
}

// A boot of 400 ms is long beside a target of 1 s (four of them are longer), and costs little all the same.
TEST_F(DrainTime, ForAShortTargetWorkersOfShortBootsAreKeptForTheIdleHoldOnly) {
  bounds.target_wait = seconds(1);
  seen.boot = milliseconds(400);
  queue(24, 1);
  ASSERT_GT(decide().wanted, 0u);
  queue(0, 1);
  running(3, 3);
  EXPECT_EQ(decide_at(seconds(19)).wanted, 3u);
  for (int i = 20; i <= 42; ++i) decide_at(seconds(i));
  EXPECT_EQ(decide_at(seconds(43)).wanted, 0u);
}

// The level of caution begins at 1.9: 70 s * 1.67^1.9 = 185 s. Without tasks it falls, but by no more than
// 0.53 * 185/266 = 0.37: 153 s.
TEST_F(DrainTime, WhereBootsAreLongTheHoldGrowsWithCaution) {
  running(2, 2);
  lease(2, 100);
  decide();
  lease(0, 0);
  EXPECT_EQ(decide_at(seconds(150)).wanted, 2u);
  EXPECT_EQ(decide_at(seconds(190)).wanted, 0u);
}

TEST_F(DrainTime, TheHoldIsNeverShorterThanABoot) {
  seen.boot = minutes(10);
  running(2, 2);
  lease(2, 100);
  decide();
  lease(0, 0);
  EXPECT_EQ(decide_at(seconds(600)).wanted, 2u);
  EXPECT_EQ(decide_at(seconds(630)).wanted, 0u);
}

TEST_F(DrainTime, AFleetFoundAtTheStartIsHeldToo) {
  running(7, 7);
  EXPECT_EQ(decide().wanted, 7u);
  EXPECT_EQ(decide_at(seconds(150)).wanted, 7u);
  EXPECT_EQ(decide_at(seconds(190)).wanted, 0u);
}

TEST_F(DrainTime, ThePastKeepsWorkersButStartsNone) {
  queue(90, 1.0);
  EXPECT_EQ(decide().wanted, 3u);
  // One did it all before the others were launched.
  queue(0, 0);
  running(1, 1);
  EXPECT_EQ(decide_at(seconds(1)).wanted, 1u);
}

// ---- bounds ----

TEST_F(DrainTime, BoundsComeLastAndAreTold) {
  bounds = {2, 4, seconds(30)};
  Decision decision = decide();
  EXPECT_EQ(decision.wanted, 2u);
  EXPECT_TRUE(decision.reason.ends_with("; the minimum is 2")) << decision.reason;
  queue(300, 1.0);
  decision = decide();
  EXPECT_EQ(decision.wanted, 4u);
  EXPECT_TRUE(decision.reason.ends_with("10 workers start that within 30s; the maximum is 4"))
      << decision.reason;
}

TEST_F(DrainTime, TheMaximumWinsOverTheMinimum) {
  bounds = {5, 3, seconds(30)};
  EXPECT_EQ(decide().wanted, 3u);
}

TEST_F(DrainTime, TheBudgetOfAnHourIsAppliedLastAndTold) {
  bounds.cost_hour_max = 0.5;
  bounds.price_hour = 0.1;
  queue(300, 1.0);
  const Decision decision = decide();
  EXPECT_EQ(decision.wanted, 5u);
  EXPECT_TRUE(decision.reason.ends_with("; the budget an hour pays for 5")) << decision.reason;
}

TEST_F(DrainTime, TheBudgetOfAMonthIsAHardLimitThatOutweighsTheMinimum) {
  bounds.workers_min = 2;
  bounds.cost_month_max = 100;
  bounds.price_hour = 1.2;  // five minutes of a worker are 0.1
  queue(300, 1.0);
  seen.spent_month = 99.65;
  const Decision decision = decide();
  EXPECT_EQ(decision.wanted, 3u);
  EXPECT_EQ(decision.most, 3u);
  EXPECT_TRUE(decision.reason.ends_with("; the budget of the month, 100.00, has 0.35 left, which pays for 3"))
      << decision.reason;
  seen.spent_month = 100.5;
  EXPECT_EQ(decide().wanted, 0u);
  EXPECT_EQ(decide().most, 0u);
}

TEST_F(DrainTime, TheTightestLimitIsTheOneThatIsNamed) {
  bounds.workers_max = 4;
  bounds.cost_hour_max = 0.5;
  bounds.price_hour = 0.1;
  queue(300, 1.0);
  EXPECT_TRUE(decide().reason.ends_with("; the maximum is 4")) << decide().reason;
  bounds.cost_hour_max = 0.3;
  EXPECT_TRUE(decide().reason.ends_with("; the budget an hour pays for 3")) << decide().reason;
  EXPECT_EQ(decide().most, 3u);
}

TEST_F(DrainTime, AnOrderIsKeptWithinTheBudget) {
  bounds.cost_hour_max = 0.5;
  bounds.price_hour = 0.1;
  seen.order = {FleetOrderKind::kSize, 9, kStart, kStart + hours(1)};
  const Decision decision = decide();
  EXPECT_EQ(decision.wanted, 5u);
  EXPECT_TRUE(says(decision, "9 workers are ordered until")) << decision.reason;
  EXPECT_TRUE(decision.reason.ends_with("; the budget an hour pays for 5")) << decision.reason;
}

TEST_F(DrainTime, LaunchesAMinuteAreLimitedAndTold) {
  bounds.launches_minute_max = 4;
  queue(3000, 1.0);
  const Decision decision = decide();
  EXPECT_EQ(decision.wanted, 4u);
  EXPECT_TRUE(decision.reason.ends_with("; no more than 4 are launched a minute")) << decision.reason;
  booting(4, seconds(45));
  EXPECT_EQ(decide_at(seconds(59)).wanted, 4u);
  EXPECT_EQ(decide_at(seconds(60)).wanted, 8u);
}

// ---- long boots: forecast and caution ----

// 3 s of work arrive each second in tasks of 1 s, and as much is done. The reserve is half a worker at most.
TEST_F(DrainTime, WhatArrivesIsServedWithAReserveWhenItLasts) {
  Decision decision;
  for (int tick = 0; tick <= 720; ++tick) {
    seen.started = 15u * static_cast<unsigned>(tick);
    seen.arrival_seconds = 3;
    lease(3, 0.5);
    running(4, 1);
    decision = decide_at(seconds(5 * tick));
  }
  EXPECT_EQ(decision.wanted, 3u);
  EXPECT_TRUE(says(decision, "of work arrives each second")) << decision.reason;
}

TEST_F(DrainTime, ARisingRateCallsForWorkersBeforeTheyAreNeeded) {
  std::uint32_t wanted = 0;
  double done = 0;
  for (int tick = 0; tick <= 60; ++tick) {
    seen.arrival_seconds = 2 + 0.2 * tick;
    done += 5 * seen.arrival_seconds;
    seen.started = static_cast<std::uint64_t>(done);
    lease(2 + static_cast<std::uint64_t>(tick) / 5, 0.5);
    running(15, 1);
    wanted = decide_at(seconds(5 * tick)).wanted;
  }
  EXPECT_GE(wanted, 15u);  // 14 are kept busy now, and it rises by two during a boot
  EXPECT_LE(wanted, 17u);
}

TEST_F(DrainTime, LateTasksMakeItCareful) {
  const auto wanted_after = [this](Duration wait) {
    policy = make_drain_time_policy({});
    Decision decision;
    for (int tick = 0; tick <= 60; ++tick) {
      seen.started = 10u * static_cast<unsigned>(tick);
      seen.arrival_seconds = 4;
      seen.oldest_wait = wait;
      queue(60, 2);
      lease(4, 1);
      running(4, 0);
      decision = decide_at(seconds(5 * tick));
    }
    return decision;
  };
  const Decision careless = wanted_after(seconds(20));
  const Decision careful = wanted_after(seconds(40));
  EXPECT_GE(careful.wanted, careless.wanted);
  EXPECT_TRUE(says(careful, "with care because 100.0 % of the last tasks were late")) << careful.reason;
}

// ---- promises ----

double any_double() {
  switch (*rc::gen::inRange(0, 8)) {
    case 0:
      return std::numeric_limits<double>::infinity();
    case 1:
      return std::nan("");
    case 2:
      return -1;
    case 3:
      return 1e300;
    default:
      return *rc::gen::inRange(0, 1'000'000) / 100.0;
  }
}

Observation any_observation(Instant now) {
  Observation seen;
  seen.now = now;
  seen.queued = *rc::gen::weightedElement<std::uint64_t>({{2, 0}, {2, 3}, {2, 500}, {1, UINT64_MAX / 4}});
  seen.leased = *rc::gen::inRange<std::uint64_t>(0, 50);
  seen.queued_seconds = any_double();
  seen.leased_seconds = any_double();
  seen.arrival_seconds = any_double();
  seen.oldest_wait = seconds(*rc::gen::inRange(0, 10'000));
  seen.slots_per_worker = *rc::gen::inRange(0u, 9u);
  seen.running = *rc::gen::inRange(0u, 40u);
  seen.idle = *rc::gen::inRange(0u, seen.running + 1);
  seen.booting_ready_at.assign(*rc::gen::inRange<std::size_t>(0, 9),
                               now + seconds(*rc::gen::inRange(-9, 99)));
  seen.boot = milliseconds(*rc::gen::inRange(0, 100'000));
  return seen;
}

RC_GTEST_PROP(DrainTimePolicy, AnyInputGivesASizeWithinTheBoundsAndTheSameAgain, ()) {
  const auto first = make_drain_time_policy({});
  const auto second = make_drain_time_policy({});
  Instant now = kStart;
  for (int i = 0; i < 20; ++i) {
    now += milliseconds(*rc::gen::inRange(0, 60'000));
    const Observation seen = any_observation(now);
    const Bounds bounds{*rc::gen::inRange(0u, 5u), *rc::gen::inRange(5u, 60u),
                        seconds(*rc::gen::inRange(0, 99))};
    const Decision decision = first->decide(seen, bounds);
    RC_ASSERT(decision.wanted >= bounds.workers_min);
    RC_ASSERT(decision.wanted <= bounds.workers_max);
    RC_ASSERT(!decision.reason.empty());
    if (seen.queued + seen.leased > 0) RC_ASSERT(decision.wanted >= 1u);
    const Decision again = second->decide(seen, bounds);
    RC_ASSERT(again.wanted == decision.wanted);
    RC_ASSERT(again.reason == decision.reason);
  }
}

RC_GTEST_PROP(DrainTimePolicy, MoreBacklogNeverWantsFewer, ()) {
  Observation seen;
  seen.now = kStart;
  seen.boot = milliseconds(*rc::gen::inRange(50, 100'000));
  seen.running = *rc::gen::inRange(0u, 20u);
  seen.arrival_seconds = *rc::gen::inRange(0, 100) / 10.0;
  seen.leased = std::min<std::uint64_t>(seen.running, *rc::gen::inRange(0u, 20u));
  seen.leased_seconds = static_cast<double>(seen.leased);
  std::uint32_t before = 0;
  for (std::uint64_t queued = 1; queued < 2'000; queued = queued * 3 / 2 + 1) {
    seen.queued = queued;
    seen.queued_seconds = 2.0 * static_cast<double>(queued);
    const std::uint32_t wanted = make_drain_time_policy({})->decide(seen, {0, 1'000, seconds(30)}).wanted;
    RC_ASSERT(wanted >= before);
    before = wanted;
  }
}

RC_GTEST_PROP(DrainTimePolicy, NothingGoesBeforeTheHoldSinceTheLastGrowthHasPassed, ()) {
  const Duration boot = milliseconds(*rc::gen::inRange(50, 30'000));
  const Duration hold = std::max<Duration>(seconds(20), boot);
  const auto policy = make_drain_time_policy({});
  const Bounds bounds{0, 50, seconds(30)};
  Instant grown_at = kNoInstant;
  std::uint32_t fleet = 0;
  for (int tick = 0; tick < 400; ++tick) {
    Observation seen;
    seen.now = kStart + milliseconds(500 * tick);
    seen.boot = boot;
    seen.queued = *rc::gen::inRange<std::uint64_t>(0, 100);
    seen.queued_seconds = static_cast<double>(seen.queued) * *rc::gen::inRange(1, 100) / 10.0;
    seen.running = fleet;
    const std::uint32_t wanted = policy->decide(seen, bounds).wanted;
    if (wanted < fleet) RC_ASSERT(seen.now - grown_at >= hold);
    if (wanted > fleet) grown_at = seen.now;
    fleet = wanted;
  }
}

}  // namespace
}  // namespace skep::scaler
