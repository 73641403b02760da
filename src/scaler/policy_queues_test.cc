// SPDX-License-Identifier: Apache-2.0
// Queues with objectives of their own: sizes worked by hand, and the policy's promises with several.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <vector>

#include "scaler/policy.h"

namespace skep::scaler {
namespace {

constexpr Instant kStart = Instant{} + hours(1);

QueueLoad load(const std::string& queue, std::uint64_t queued, double each, std::uint64_t leased = 0) {
  QueueLoad load;
  load.queue = queue;
  load.queued = queued;
  load.queued_seconds = static_cast<double>(queued) * each;
  load.leased = leased;
  load.leased_seconds = static_cast<double>(leased) * each;
  return load;
}

// The totals are those of the loads.
void add_up(Observation& seen) {
  seen.queued = seen.leased = 0;
  seen.queued_seconds = seen.leased_seconds = seen.arrival_seconds = 0;
  seen.oldest_wait = {};
  for (const QueueLoad& part : seen.loads) {
    seen.queued += part.queued;
    seen.leased += part.leased;
    seen.queued_seconds += part.queued_seconds;
    seen.leased_seconds += part.leased_seconds;
    seen.arrival_seconds += part.arrival_seconds;
    seen.oldest_wait = std::max(seen.oldest_wait, part.oldest_wait);
  }
}

class QueueObjectives : public testing::Test {
 protected:
  Decision decide(std::vector<QueueLoad> loads) {
    seen.loads = std::move(loads);
    add_up(seen);
    return policy->decide(seen, bounds);
  }
  static bool says(const Decision& decision, const std::string& words) {
    return decision.reason.find(words) != std::string::npos;
  }

  Observation seen = [] {
    Observation first;
    first.now = kStart;
    first.boot = seconds(45);
    return first;
  }();
  Bounds bounds = [] {
    Bounds all{0, 1'000, seconds(300)};
    all.objectives = {{"urgent", seconds(5), 1}};
    return all;
  }();
  std::unique_ptr<Policy> policy = make_drain_time_policy({});
};

TEST_F(QueueObjectives, AQueueIsSizedOnItsOwnObjective) {
  const Decision decision = decide({load("urgent", 20, 1), load("", 0, 0)});
  EXPECT_EQ(decision.wanted, 4u);
  EXPECT_EQ(decision.reason,
            "queue 'urgent' decides (5s): 20 tasks wait (about 20s of one slot): 4 workers start that within "
            "5s");
}

TEST_F(QueueObjectives, TheRestHasTheTargetOfAll) {
  // Four boots are shorter than five minutes, so they are what is aimed at.
  const Decision decision = decide({load("urgent", 0, 0), load("", 900, 1)});
  EXPECT_EQ(decision.wanted, 5u);
  EXPECT_TRUE(says(decision, "the queues without an objective of their own decide (5m): 900 tasks wait"))
      << decision.reason;
}

// Its tasks are as long as the others', so of what works it gets a half, as long as the others have work.
TEST_F(QueueObjectives, TurnsOfOthersAreCounted) {
  const Decision decision = decide({load("urgent", 20, 1), load("", 900, 1)});
  EXPECT_EQ(decision.wanted, 8u);
  EXPECT_TRUE(says(decision, "queue 'urgent' decides")) << decision.reason;
  EXPECT_TRUE(says(decision, "8 workers start that within 5s, while other queues take 50 % of their time"))
      << decision.reason;
}

// The others' turn is ten times as long, but there is no more work than for two more workers.
TEST_F(QueueObjectives, OthersTakeNoMoreThanTheyHaveWorkFor) {
  EXPECT_EQ(decide({load("urgent", 20, 1), load("", 1, 10)}).wanted, 5u);
  EXPECT_EQ(decide({load("urgent", 20, 1), load("", 500, 10)}).wanted, 44u);
}

TEST_F(QueueObjectives, AWeightIsAShareOfTheLeases) {
  bounds.objectives[0].weight = 4;
  EXPECT_EQ(decide({load("urgent", 20, 1), load("", 500, 1)}).wanted, 5u);
}

// Each queue without an objective takes a turn.
TEST_F(QueueObjectives, SeveralQueuesOfTheRestTakeAsManyTurns) {
  auto rest = load("", 900, 1);
  rest.queues = 3;
  EXPECT_EQ(decide({load("urgent", 20, 1), rest}).wanted, 16u);
}

TEST_F(QueueObjectives, LongTasksOfOthersKeepTheirSlots) {
  seen.running = 6;
  const Decision decision = decide({load("urgent", 20, 1), load("", 0, 10'000, 6)});
  EXPECT_EQ(decision.wanted, 10u) << decision.reason;
}

// A fluid would say that a tenth of a slot is enough for it.
TEST_F(QueueObjectives, OneTaskThatOthersShutOutWantsASlot) {
  seen.running = 2;
  auto urgent = load("urgent", 1, 0.5);
  EXPECT_EQ(decide({urgent, load("", 0, 10'000, 2)}).wanted, 2u);
  urgent.oldest_wait = seconds(3);
  EXPECT_EQ(decide({urgent, load("", 0, 10'000, 2)}).wanted, 3u);
  seen.idle = 1;  // it will take it
  policy = make_drain_time_policy({});
  EXPECT_EQ(decide({urgent, load("", 0, 10'000, 1)}).wanted, 2u);
}

// Four boots are shorter than five minutes, but not than five seconds.
TEST_F(QueueObjectives, BootsAreShortForOneAndLongForTheOther) {
  seen.boot = seconds(2);
  EXPECT_EQ(decide({load("urgent", 20, 1), load("", 0, 0)}).wanted, 4u);
  EXPECT_EQ(decide({load("urgent", 0, 0), load("", 375, 1)}).wanted, 10u);  // within an eighth of 5 min
}

TEST_F(QueueObjectives, EachKeepsItsWorkersForItsOwnHold) {
  seen.boot = seconds(2);
  bounds.target_wait = seconds(30);
  decide({load("urgent", 0, 0), load("", 100, 1)});
  seen.running = 10;
  seen.idle = 10;
  seen.now += seconds(1);
  decide({load("urgent", 200, 1), load("", 0, 0)});
  seen.now += seconds(25);  // longer than the rest's hold, shorter than that of the other
  const Decision decision = decide({load("urgent", 0, 0), load("", 0, 0)});
  EXPECT_EQ(decision.wanted, 10u);
  EXPECT_TRUE(says(decision, "queue 'urgent' decides")) << decision.reason;
}

TEST_F(QueueObjectives, OneWhoseLoadIsNotToldCountsAsEmpty) {
  EXPECT_EQ(decide({load("", 900, 1)}).wanted, 5u);
  seen.loads.clear();
  policy = make_drain_time_policy({});
  EXPECT_EQ(policy->decide(seen, bounds).wanted, 5u) << "all of it is the rest";
}

TEST_F(QueueObjectives, WithOneObjectiveForAllTheSizesAreThoseOfTheWhole) {
  Bounds plain{0, 1'000, seconds(30)};
  const auto with = make_drain_time_policy({});
  const auto without = make_drain_time_policy({});
  for (int tick = 0; tick < 200; ++tick) {
    seen.now = kStart + seconds(5 * tick);
    seen.running = static_cast<unsigned>(tick) / 20;
    const std::uint64_t queued = static_cast<std::uint64_t>(tick * 37 % 211);
    seen.loads = {load("", queued, 2, seen.running)};
    add_up(seen);
    seen.arrival_seconds = seen.loads[0].arrival_seconds = tick % 50;
    seen.started = seen.loads[0].started = 10u * static_cast<unsigned>(tick);
    const auto a = with->decide(seen, plain);
    seen.loads.clear();
    const auto b = without->decide(seen, plain);
    ASSERT_EQ(a.wanted, b.wanted);
    ASSERT_EQ(a.reason, b.reason);
  }
}

// ---- promises ----

QueueLoad any_load(const std::string& queue) {
  QueueLoad load;
  load.queue = queue;
  load.queues = *rc::gen::inRange(0u, 4u);
  load.queued = *rc::gen::weightedElement<std::uint64_t>({{2, 0}, {2, 3}, {2, 500}, {1, UINT64_MAX / 16}});
  load.leased = *rc::gen::inRange<std::uint64_t>(0, 50);
  load.queued_seconds = *rc::gen::weightedElement<double>({{4, 100}, {2, 0}, {1, 1e300}, {1, -5}});
  load.leased_seconds = *rc::gen::inRange(0, 10'000);
  load.arrival_seconds = *rc::gen::inRange(0, 1'000) / 10.0;
  load.oldest_wait = seconds(*rc::gen::inRange(0, 10'000));
  load.started = *rc::gen::inRange<std::uint64_t>(0, 1'000);
  return load;
}

RC_GTEST_PROP(QueueObjectivesPolicy, AnyInputGivesASizeWithinTheBoundsAndTheSameAgain, ()) {
  const auto first = make_drain_time_policy({});
  const auto second = make_drain_time_policy({});
  Observation seen;
  seen.now = kStart;
  for (int i = 0; i < 20; ++i) {
    seen.now += milliseconds(*rc::gen::inRange(0, 60'000));
    seen.boot = milliseconds(*rc::gen::inRange(0, 100'000));
    seen.running = *rc::gen::inRange(0u, 40u);
    seen.idle = *rc::gen::inRange(0u, seen.running + 1);
    seen.loads = {any_load("a"), any_load("b"), any_load("")};
    add_up(seen);
    Bounds bounds{*rc::gen::inRange(0u, 5u), *rc::gen::inRange(5u, 60u), seconds(*rc::gen::inRange(0, 99))};
    bounds.objectives = {{"a", seconds(*rc::gen::inRange(0, 99)), *rc::gen::inRange(1u, 101u)},
                         {"b", seconds(*rc::gen::inRange(0, 999)), 1}};
    const Decision decision = first->decide(seen, bounds);
    RC_ASSERT(decision.wanted >= bounds.workers_min);
    RC_ASSERT(decision.wanted <= bounds.workers_max);
    if (seen.queued + seen.leased > 0) RC_ASSERT(decision.wanted >= 1u);
    const Decision again = second->decide(seen, bounds);
    RC_ASSERT(again.wanted == decision.wanted);
    RC_ASSERT(again.reason == decision.reason);
  }
}

// In any of the queues.
RC_GTEST_PROP(QueueObjectivesPolicy, MoreBacklogNeverWantsFewer, ()) {
  Observation seen;
  seen.now = kStart;
  seen.boot = milliseconds(*rc::gen::inRange(50, 100'000));
  seen.running = *rc::gen::inRange(0u, 20u);
  Bounds bounds{0, 100'000, seconds(*rc::gen::inRange(1, 300))};
  bounds.objectives = {{"a", seconds(*rc::gen::inRange(1, 99)), *rc::gen::inRange(1u, 9u)},
                       {"b", seconds(*rc::gen::inRange(1, 999)), 1}};
  std::vector<double> each;
  for (const char* name : {"a", "b", ""}) {
    each.push_back(*rc::gen::inRange(1, 200) / 10.0);
    seen.loads.push_back(load(name, *rc::gen::inRange<std::uint64_t>(0, 300), each.back(),
                              *rc::gen::inRange<std::uint64_t>(0, 5)));
    seen.loads.back().arrival_seconds = *rc::gen::inRange(0, 50) / 10.0;
  }
  const auto grown = *rc::gen::inRange<std::size_t>(0, 3);
  std::uint32_t before = 0;
  for (std::uint64_t queued = 1; queued < 2'000; queued = queued * 3 / 2 + 1) {
    seen.loads[grown].queued = queued;
    seen.loads[grown].queued_seconds = static_cast<double>(queued) * each[grown];
    add_up(seen);
    const std::uint32_t wanted = make_drain_time_policy({})->decide(seen, bounds).wanted;
    RC_ASSERT(wanted >= before);
    before = wanted;
  }
}

// What arrives in all of them is served, however they share.
RC_GTEST_PROP(QueueObjectivesPolicy, WhatArrivesInAllIsServed, ()) {
  Observation seen;
  seen.boot = seconds(*rc::gen::inRange(1, 90));
  Bounds bounds{0, 1'000, seconds(30)};
  bounds.objectives = {{"a", seconds(5), *rc::gen::inRange(1u, 9u)}, {"b", minutes(5), 1}};
  double rate = 0;
  for (const char* name : {"a", "b", ""}) {
    seen.loads.push_back(load(name, 0, 0, 5));
    seen.loads.back().leased_seconds = 5;
    seen.loads.back().arrival_seconds = *rc::gen::inRange(0, 50) / 10.0;
    rate += seen.loads.back().arrival_seconds;
  }
  add_up(seen);
  seen.leased = 1'000;  // never more than there are tasks
  // As many as it takes, so that what is done tells of no other speed than the one that is told.
  seen.running = static_cast<std::uint32_t>(std::ceil(rate));
  const auto policy = make_drain_time_policy({});
  std::uint32_t wanted = 0;
  for (int tick = 0; tick <= 240; ++tick) {
    seen.now = kStart + seconds(5 * tick);
    for (QueueLoad& one : seen.loads) {
      one.leased = 300;
      one.started = static_cast<std::uint64_t>(5 * one.arrival_seconds * tick);
    }
    wanted = policy->decide(seen, bounds).wanted;
  }
  RC_ASSERT(wanted + 1 >= static_cast<std::uint32_t>(0.9 * rate));
}

}  // namespace
}  // namespace skep::scaler
