// SPDX-License-Identifier: Apache-2.0
// The simulator on worlds small enough to follow by hand, its faults one at a time, and its bound.
#include "simulate/simulation.h"

#include <gtest/gtest.h>

#include "simulate/clairvoyant.h"
#include "simulate/picture.h"
#include "simulate/study.h"

namespace skep::simulate {
namespace {

Trace trace_of(std::vector<Arrival> tasks, double span_s) {
  Trace trace;
  trace.name = "by hand";
  trace.tasks = std::move(tasks);
  trace.span_s = span_s;
  return trace;
}

// As many as it is told, from a time on.
class Script final : public Sizing {
 public:
  explicit Script(std::vector<std::pair<double, std::uint32_t>> steps) : steps_(std::move(steps)) {}
  scaler::Decision decide(const Sight& sight, const scaler::Bounds&) override {
    std::uint32_t wanted = 0;
    for (const auto& [at_s, count] : steps_) {
      if (sight.seen.now >=
          Instant{} + hours(1) + duration_cast<Duration>(std::chrono::duration<double>(at_s)))
        wanted = count;
    }
    return {wanted, "the script says so"};
  }
  Duration period() const override { return seconds(1); }

 private:
  std::vector<std::pair<double, std::uint32_t>> steps_;
};

WorldOptions plain(std::uint32_t least, std::uint32_t most) {
  WorldOptions world;
  world.bounds = {least, most, seconds(30)};
  world.boot_spread = 0;
  world.estimate_noise = 0;
  return world;
}

// One worker, two tasks of 10 s at once: the second waits 10 s.
TEST(Simulation, TasksWaitInLine) {
  Script one({{0, 1}});
  const Outcome out = simulate(trace_of({{0, 10}, {0, 10}}, 100), plain(1, 1), one, 1);
  EXPECT_EQ(out.wait_p50_s, 0);
  EXPECT_EQ(out.wait_p99_s, 10);
  EXPECT_EQ(out.late_share, 0);
  EXPECT_EQ(out.worker_seconds, 100);
  EXPECT_EQ(out.scale_events, 0u);
  EXPECT_TRUE(out.is_finished);
}

// From none to one at 0 s: the task that arrives at 1 s starts at 45 s, 44 s late.
TEST(Simulation, ABootIsWaitedForAndBilled) {
  Script one({{0, 1}});
  const Outcome out = simulate(trace_of({{1, 10}}, 100), plain(0, 1), one, 1);
  EXPECT_NEAR(out.wait_p99_s, 44, 0.01);
  EXPECT_EQ(out.late_share, 1);
  EXPECT_NEAR(out.worker_seconds, 100, 0.01);
  EXPECT_EQ(out.launches, 1u);
}

// Wanted for 1 s, it boots all the same, is drained when it is up, and is billed for a minute.
TEST(Simulation, AShortLifeIsBilledForTheLeastTime) {
  Script blink({{0, 1}, {1, 0}});
  const Outcome out = simulate(trace_of({}, 300), plain(0, 1), blink, 1);
  EXPECT_EQ(out.launches, 1u);
  EXPECT_EQ(out.stops, 1u);
  EXPECT_EQ(out.worker_seconds, 60);
  EXPECT_EQ(out.scale_events, 2u);
}

TEST(Simulation, ADrainedWorkerFinishesItsTask) {
  Script two({{0, 2}, {10, 1}});
  const Outcome out = simulate(trace_of({{0, 30}, {0, 40}}, 100), plain(1, 2), two, 1);
  EXPECT_EQ(out.stops, 1u);
  EXPECT_EQ(out.restarted, 0u);
  EXPECT_TRUE(out.is_finished);
}

// Two slots that share one core: two tasks of 10 s take 20 s each; on cores of their own 10 s.
TEST(Simulation, SlotsShareAsMuchAsIsSaid) {
  Script one({{0, 1}});
  WorldOptions world = plain(1, 1);
  world.slots = 2;
  const Trace trace = trace_of({{0, 10}, {0, 10}, {1, 1}}, 50);
  world.slot_gain = 1;
  EXPECT_NEAR(simulate(trace, world, one, 1).wait_p99_s, 9, 0.01);
  world.slot_gain = 0;
  EXPECT_NEAR(simulate(trace, world, one, 1).wait_p99_s, 19, 0.01);
}

TEST(Simulation, SlowerMachinesTakeLonger) {
  Script one({{0, 1}});
  WorldOptions world = plain(1, 1);
  world.speeds = {0.5};
  EXPECT_NEAR(simulate(trace_of({{0, 10}, {0, 10}}, 50), world, one, 1).wait_p99_s, 20, 0.01);
}

TEST(Simulation, LaunchesThatFailAreTriedAgain) {
  Script four({{0, 4}});
  WorldOptions world = plain(0, 4);
  world.boot_failure_share = 0.5;
  const Outcome out = simulate(trace_of({{0, 10}}, 7200), world, four, 1);
  EXPECT_GT(out.boot_failures, 0u);
  EXPECT_GE(out.launches, 4 + out.boot_failures);
  EXPECT_TRUE(out.is_finished);
}

TEST(Simulation, TheProvidersLimitsHold) {
  Script ten({{0, 10}});
  WorldOptions world = plain(0, 10);
  world.launches_minute_max = 2;
  const Outcome slow = simulate(trace_of({{0, 10}}, 600), world, ten, 1);
  EXPECT_GT(slow.refused, 0u);
  EXPECT_EQ(slow.launches, 10u);
  world.launches_minute_max = 0;
  world.capacity_max = 3;
  EXPECT_EQ(simulate(trace_of({{0, 10}}, 600), world, ten, 1).launches, 3u);
}

TEST(Simulation, MachinesThatAreTakenAwayAreReplacedAndLoseNoTask) {
  Script three({{0, 3}});
  WorldOptions world = plain(3, 3);
  world.interruptions_hour = 2;
  world.notice = seconds(2);
  std::vector<Arrival> tasks;
  for (int i = 0; i < 2000; ++i) tasks.push_back({i * 10.0, 20});
  const Outcome out = simulate(trace_of(std::move(tasks), 20'000), world, three, 1);
  EXPECT_GT(out.interruptions, 20u);
  EXPECT_GT(out.restarted, 5u);  // 20 s of work do not fit into 2 s of notice
  EXPECT_TRUE(out.is_finished);
  EXPECT_NEAR(out.fleet_mean, 3, 0.4);
}

TEST(Simulation, SameSeedSameOutcome) {
  const Trace trace = make_trace(synthetic_trace("burst:hours=3").value(), {}, 5).value();
  const SizingChoice choice = parse_sizing("skep").value();
  const WorldOptions world;
  const Outcome once = run({trace, {}, 5}, choice, world);
  const Outcome again = run({trace, {}, 5}, choice, world);
  EXPECT_EQ(once.worker_seconds, again.worker_seconds);
  EXPECT_EQ(once.wait_p95_s, again.wait_p95_s);
  EXPECT_NE(once.worker_seconds, run({trace, {}, 6}, choice, world).worker_seconds);
}

// Every policy finishes the work and stays within the bounds, on a load that comes and goes.
TEST(Simulation, EveryPolicyFinishesWithinTheBounds) {
  WorldOptions world;
  world.bounds.workers_min = 1;
  const Trace trace = make_trace(synthetic_trace("burst:hours=6:period=3600:load=7").value(), {}, 1).value();
  const Case subject{trace, clairvoyant_bound(trace, world), 1};
  for (const SizingKind& kind : sizing_kinds()) {
    const Outcome out = run(subject, parse_sizing(kind.name).value(), world);
    EXPECT_TRUE(out.is_finished) << kind.name;
    EXPECT_LE(out.fleet_mean, 10) << kind.name;
    EXPECT_GE(out.worker_seconds, 6 * 3600) << kind.name;
  }
}

// ---- the bound ----

// Nothing to do costs the minimum.
TEST(Clairvoyant, KeepsTheMinimumWithoutWork) {
  const Bound bound = clairvoyant_bound(trace_of({}, 900), plain(2, 10));
  EXPECT_NEAR(bound.worker_seconds, 2 * 900, 2 * 60);
}

// 600 s of work at 600 s, in tasks of 5 s: what arrives in a bin has that bin and the 45 s after it, so ten
// workers do it in four bins of 15 s. Nine of them come for it, each with a boot of 45 s.
TEST(Clairvoyant, PaysForABurstWithBoots) {
  std::vector<Arrival> tasks(120, Arrival{600, 5});
  const Bound bound = clairvoyant_bound(trace_of(std::move(tasks), 1200), plain(1, 20));
  EXPECT_EQ(bound.late_share, 0);
  EXPECT_NEAR(bound.worker_seconds, 1200 + 9 * (60 + 45), 1);
}

TEST(Clairvoyant, SaysWhatEvenTheMaximumCanNotDo) {
  std::vector<Arrival> tasks(120, Arrival{600, 5});
  const Bound bound = clairvoyant_bound(trace_of(std::move(tasks), 1200), plain(1, 4));
  EXPECT_GT(bound.late_share, 0.5);  // 4 workers do 180 of the 600 s
}

TEST(Clairvoyant, IsBelowEveryPolicyThatIsNeverLate) {
  WorldOptions world;
  const Trace trace = make_trace(synthetic_trace("daily:hours=8:load=6").value(), {}, 1).value();
  const Case subject{trace, clairvoyant_bound(trace, world), 1};
  for (const SizingKind& kind : sizing_kinds()) {
    const Outcome out = run(subject, parse_sizing(kind.name).value(), world);
    if (out.late_share > 0) continue;
    EXPECT_GE(cost_ratio(out, subject.bound), 1) << kind.name;
  }
}

// A recording of half a minute is over before the fleet has been paid for a minute.
TEST(Clairvoyant, IsBelowThemOnATraceOfLessThanABootToo) {
  const Trace trace = trace_of({{0, 0.2}, {5, 0.2}, {20, 0.2}, {36, 0.2}}, 37);
  const WorldOptions world;
  const Case subject{trace, clairvoyant_bound(trace, world), 1};
  for (const SizingKind& kind : sizing_kinds()) {
    const Outcome out = run(subject, parse_sizing(kind.name).value(), world);
    if (out.late_share > 0) continue;
    EXPECT_GE(cost_ratio(out, subject.bound), 1) << kind.name;
  }
}

// ---- the search ----

TEST(Tune, FindsSettingsNoWorseThanTheUsualOnes) {
  WorldOptions world;
  const auto cases = make_cases({synthetic_trace("oscillating:hours=4:load=7").value()}, {}, world, 1, 2);
  ASSERT_TRUE(cases);
  TuneOptions once;
  once.trials = 1;
  TuneOptions many;
  many.trials = 12;
  const SizingChoice from = parse_sizing("autoscale").value();
  const Tuned usual = tune(from, cases.value(), world, once);
  const Tuned best = tune(from, cases.value(), world, many);
  EXPECT_EQ(usual.choice.label(), "autoscale");
  EXPECT_EQ(usual.cases, 2u);
  EXPECT_GE(best.held, usual.held);
  if (best.held == usual.held) {
    EXPECT_LE(best.cost_ratio, usual.cost_ratio);
  }
  EXPECT_NE(best.choice.label(), usual.choice.label());
}

// ---- the picture ----

TEST(Picture, DrawsEachLineOnceInEachPanel) {
  WorldOptions world;
  world.wants_series = true;
  const Trace trace = make_trace(synthetic_trace("burst:hours=1").value(), {}, 1).value();
  const Outcome out = run({trace, {}, 1}, parse_sizing("keda").value(), world);
  ASSERT_GE(out.series.size(), 399u);
  const std::string svg = picture("a <title> & more", {{"keda", out.series}, {"again", out.series}}, 30);
  EXPECT_NE(svg.find("a &lt;title&gt; &amp; more"), std::string::npos);
  std::size_t curves = 0;
  for (std::size_t at = svg.find("<polyline"); at != std::string::npos; at = svg.find("<polyline", at + 1))
    ++curves;
  EXPECT_EQ(curves,
            1u + 2 * 2 + 2 + 2);  // arrivals once; the fleet twice each, with and without those that boot
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
}

}  // namespace
}  // namespace skep::simulate
