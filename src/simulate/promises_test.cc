// SPDX-License-Identifier: Apache-2.0
// What skep's scaling promises, held in the simulator: no oscillation, few events, objectives kept, down to
// none.
#include <gtest/gtest.h>

#include "simulate/study.h"

namespace skep::simulate {
namespace {

Outcome outcome_of(const std::string& load, const WorldOptions& world, std::uint64_t seed = 1) {
  const Trace trace = make_trace(synthetic_trace(load).value(), {}, seed).value();
  return run({trace, {}, seed}, parse_sizing("skep").value(), world);
}

TEST(SkepPromises, AConstantLoadStartsAndStopsFewMachines) {
  // Of long tasks so few come in the time of a boot that a constant load can not be told from a changing one.
  const std::pair<const char*, std::uint64_t> loads[] = {{"constant:load=3.5", 100},
                                                         {"constant:load=6:service=0.2", 100},
                                                         {"constant:load=5:service=20", 1'500}};
  for (const auto& [load, events_max] : loads) {
    const Outcome out = outcome_of(load, {});
    EXPECT_LT(out.scale_events, events_max) << load;  // a day
    EXPECT_LT(out.late_share, 0.05) << load;
  }
}

// Its period of ten minutes is long enough to follow: up and down once each, by no more than the load moves.
TEST(SkepPromises, AnOscillatingLoadHasBoundedEvents) {
  WorldOptions world;
  const Outcome out = outcome_of("oscillating:load=8:period=600", world);
  const double periods = 24 * 6;
  EXPECT_LT(static_cast<double>(out.scale_events), periods * 2 * 8);
  EXPECT_LT(out.late_share, 0.05);
}

TEST(SkepPromises, ObjectivesAreHeldThroughFailuresAndInterruptions) {
  WorldOptions world;
  world.boot_failure_share = 0.1;
  world.interruptions_hour = 0.2;
  const Outcome out = outcome_of("daily:load=8", world);
  EXPECT_LT(out.late_share, 0.05);
  EXPECT_GT(out.boot_failures, 0u);
  EXPECT_GT(out.interruptions, 0u);
  EXPECT_TRUE(out.is_finished);
}

TEST(SkepPromises, ObjectivesAreHeldThoughTheLengthOfTasksIsMisjudged) {
  for (const double bias : {0.5, 2.0}) {
    WorldOptions world;
    world.estimate_bias = bias;
    world.estimate_noise = 0.5;
    const Outcome out = outcome_of("daily:load=8", world);
    EXPECT_LT(out.late_share, 0.05) << bias;
    EXPECT_TRUE(out.is_finished) << bias;
  }
}

// Tasks for a tenth of each four hours, none between: the fleet goes, and comes back.
TEST(SkepPromises, TheFleetGoesToNoneAndComesBack) {
  WorldOptions world;
  world.bounds.workers_min = 0;
  std::vector<Arrival> tasks;
  for (int hour = 0; hour < 24; hour += 4) {
    for (int i = 0; i < 1000; ++i) tasks.push_back({hour * 3600 + i * 1.44, 2});
  }
  Trace trace;
  trace.tasks = std::move(tasks);
  trace.span_s = 86'400;
  const Outcome out = run({trace, {}, 1}, parse_sizing("skep").value(), world);
  EXPECT_TRUE(out.is_finished);
  EXPECT_GE(out.stops, 6u);
  EXPECT_LT(out.fleet_mean, 0.6);  // 1.4 kept busy for a tenth of the day, and the holds
}

TEST(SkepPromises, WorkersOfSeveralSlotsAreCountedByTheirSlots) {
  WorldOptions four;
  four.slots = 4;
  const Outcome out = outcome_of("daily:load=24", four);
  EXPECT_LT(out.late_share, 0.05);
  EXPECT_LT(out.fleet_mean, 0.55 * 24 / 4 + 2);
}

// 100,000 tasks in a day: below 0.3 s. No clock here; what is bounded is the number of decisions and events.
TEST(SkepPromises, ADayOfAHundredThousandTasksIsSimulatedWhole) {
  const Outcome out = outcome_of("daily:load=4.2:service=2", {});
  EXPECT_GT(out.tasks, 95'000u);
  EXPECT_TRUE(out.is_finished);
}

}  // namespace
}  // namespace skep::simulate
