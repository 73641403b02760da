// SPDX-License-Identifier: Apache-2.0
// Several queues in the simulator: their turns, worked by hand; and what objectives of their own are worth.
#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "simulate/study.h"

namespace skep::simulate {
namespace {

Trace trace_of(std::vector<std::string> queues, std::vector<Arrival> tasks, double span_s) {
  Trace trace;
  trace.queues = std::move(queues);
  trace.tasks = std::move(tasks);
  std::stable_sort(trace.tasks.begin(), trace.tasks.end(),
                   [](const Arrival& a, const Arrival& b) { return a.at_s < b.at_s; });
  trace.span_s = span_s;
  double work = 0;
  for (const Arrival& task : trace.tasks) work += task.service_s;
  trace.mean_service_s = work / static_cast<double>(trace.tasks.size());
  trace.mean_load = work / span_s;
  return trace;
}

Outcome run_with(const Trace& trace, const WorldOptions& world, const std::string& policy = "skep") {
  return run({trace, {}, 1}, parse_sizing(policy).value(), world);
}

WorldOptions one_worker() {
  WorldOptions world;
  world.bounds = {1, 1, seconds(30)};
  world.estimate_noise = 0;
  return world;
}

// One worker, three tasks of 10 s in each queue: a b a b a b, so a's last waits 40 s and b's 50 s.
TEST(SimulatedQueues, TakeTurns) {
  const Trace trace =
      trace_of({"a", "b"}, {{0, 10, 0}, {0, 10, 0}, {0, 10, 0}, {0, 10, 1}, {0, 10, 1}, {0, 10, 1}}, 100);
  const Outcome out = run_with(trace, one_worker(), "fixed");
  ASSERT_EQ(out.queues.size(), 2u);
  EXPECT_EQ(out.queues[0].queue, "a");
  EXPECT_EQ(out.queues[0].tasks, 3u);
  EXPECT_EQ(out.queues[0].wait_p95_s, 40);
  EXPECT_EQ(out.queues[1].wait_p95_s, 50);
  EXPECT_NEAR(out.queues[0].late_share, 1 / 3.0, 1e-9);
}

// a b b b a a.
TEST(SimulatedQueues, TakeAsManyInTheirTurnAsTheyWeigh) {
  WorldOptions world = one_worker();
  world.bounds.objectives = {{"b", seconds(30), 3}};
  const Trace trace =
      trace_of({"a", "b"}, {{0, 10, 0}, {0, 10, 0}, {0, 10, 0}, {0, 10, 1}, {0, 10, 1}, {0, 10, 1}}, 100);
  const Outcome out = run_with(trace, world, "fixed");
  EXPECT_EQ(out.queues[0].wait_p95_s, 50);
  EXPECT_EQ(out.queues[1].wait_p95_s, 30);
}

TEST(SimulatedQueues, EachIsLateByItsOwnObjective) {
  WorldOptions world = one_worker();
  world.bounds.objectives = {{"b", seconds(5), 1}};
  const Trace trace = trace_of({"a", "b"}, {{0, 10, 0}, {0, 10, 1}}, 100);
  const Outcome out = run_with(trace, world, "fixed");
  EXPECT_EQ(out.queues[0].late_share, 0);
  EXPECT_EQ(out.queues[1].late_share, 1);
  EXPECT_EQ(out.queues[1].target_s, 5);
  EXPECT_EQ(out.late_share, 0.5);
}

// A day of which each third minute brings urgent tasks, and each twentieth a heap of others, both of 2 s.
Trace bursts_in_both() {
  Random random(11);
  std::vector<Arrival> tasks;
  const auto length = [&] { return 0.5 + 3 * random.unit(); };
  const double hours = 12;
  for (double at = 0; at < hours * 3600; at += 1 / 0.5) tasks.push_back({at + random.unit(), length(), 1});
  for (double at = 0; at < hours * 3600 - 600; at += 180) {
    for (int i = 0; i < 30; ++i) tasks.push_back({at + 60 * random.unit(), length(), 1});
  }
  for (double at = 300; at < hours * 3600 - 600; at += 1'200) {
    for (int i = 0; i < 600; ++i) tasks.push_back({at + 30 * random.unit(), length(), 0});
  }
  return trace_of({"bulk", "urgent"}, std::move(tasks), hours * 3600);
}

WorldOptions wide() {
  WorldOptions world;
  world.bounds = {0, 60, seconds(30)};
  world.boot = seconds(20);
  return world;
}

// Both are held. With one objective for all either the urgent one is late, or the fleet costs a multiple.
TEST(SimulatedQueues, ObjectivesOfTheirOwnHoldBothAtTheLeastCost) {
  const Trace trace = bursts_in_both();
  WorldOptions own = wide();
  own.bounds.objectives = {{"urgent", seconds(5), 4}, {"bulk", minutes(5), 1}};
  const Outcome both = run_with(trace, own);
  ASSERT_EQ(both.queues.size(), 2u);
  EXPECT_LT(both.queues[0].late_share, 0.05);
  EXPECT_LT(both.queues[1].late_share, 0.05);

  WorldOptions lax = wide();
  lax.bounds.target_wait = minutes(5);
  const Outcome late = run_with(trace, lax);
  EXPECT_GT(late.queues[1].wait_p95_s, 10) << "the urgent one waits with the others";

  WorldOptions strict = wide();
  strict.bounds.target_wait = seconds(5);
  const Outcome dear = run_with(trace, strict);
  EXPECT_GT(dear.worker_seconds, 2 * both.worker_seconds);
}

}  // namespace
}  // namespace skep::simulate
