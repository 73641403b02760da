// SPDX-License-Identifier: Apache-2.0
// The whole loop over virtual time with imagined tasks, workers and machines: it sizes the fleet, survives
// every fault of the provisioner, and never goes above the maximum.
#include "scaler/scaler.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <sstream>

#include "scaler/testing/fake_cluster.h"

namespace skep::scaler {
namespace {

using testing::FakeCluster;
using testing::LaunchFault;

// How often the ledger tells of actions of this kind.
std::size_t count_of(const Scaler& scaler, ActionKind kind) {
  std::size_t count = 0;
  for (const LedgerEntry& entry : scaler.ledger()) {
    for (const Action& action : entry.actions) {
      if (action.kind == kind) ++count;
    }
  }
  return count;
}

// ---- sizing ----

TEST(Scaler, GoesFromZeroToWhatIsNeededAndBack) {
  FakeCluster cluster(8);
  cluster.start();
  cluster.executor.run_for(seconds(60));
  EXPECT_EQ(cluster.provisioner.launch_calls(), 0u);
  for (int round = 0; round < 2; ++round) {
    const std::size_t before = cluster.fleet.done();
    cluster.fleet.enqueue(200, seconds(1));
    ASSERT_TRUE(cluster.run_until([&] { return cluster.fleet.done() == before + 200; }, minutes(1)));
    EXPECT_EQ(cluster.provisioner.existing(), 8u);
    // As the queue got shorter fewer were needed, so they go one after the other.
    cluster.executor.run_for(seconds(10));
    EXPECT_EQ(cluster.provisioner.existing(), 8u);
    EXPECT_TRUE(cluster.run_until([&] { return cluster.provisioner.existing() == 0; }, seconds(15)));
    cluster.executor.run_for(minutes(1));
  }
  EXPECT_EQ(cluster.provisioner.peak(), 8u);
  EXPECT_EQ(cluster.scaler->counts().started, 16u);
  EXPECT_EQ(cluster.scaler->counts().stopped, 16u);
  EXPECT_EQ(cluster.scaler->counts().crashed, 0u);
  EXPECT_LE(cluster.fleet.wait_max(), seconds(31));
}

TEST(Scaler, ReactsToTheFirstTaskAtOnceNotAtTheTick) {
  FakeCluster cluster(4);
  cluster.options.tick = seconds(60);
  cluster.provisioner.script.boot = milliseconds(100);
  cluster.start();
  cluster.executor.run_for(seconds(10));
  cluster.fleet.enqueue(1, milliseconds(10));
  EXPECT_TRUE(cluster.run_until([&] { return cluster.fleet.done() == 1; }, milliseconds(200)));
}

TEST(Scaler, ManyShortTasksOfUnknownLengthAreDoneFast) {
  FakeCluster cluster(8);
  cluster.fleet.is_speed_known = false;
  cluster.provisioner.script.boot = milliseconds(150);
  cluster.start();
  cluster.fleet.enqueue(64, milliseconds(500));
  ASSERT_TRUE(cluster.run_until([&] { return cluster.fleet.done() == 64; }, seconds(6)));
  EXPECT_EQ(cluster.provisioner.peak(), 8u);
}

TEST(Scaler, LongTasksOfUnknownLengthGetAWorkerEach) {
  FakeCluster cluster(8);
  cluster.fleet.is_speed_known = false;
  cluster.provisioner.script.boot = seconds(40);
  cluster.options.reconciler.boot_timeout = minutes(3);
  cluster.start();
  cluster.fleet.enqueue(6, hours(1));
  EXPECT_TRUE(cluster.run_until([&] { return cluster.fleet.queued() == 0; }, minutes(3)));
  EXPECT_EQ(cluster.provisioner.peak(), 6u);
}

TEST(Scaler, KeepsTheMinimum) {
  FakeCluster cluster(8);
  cluster.options.bounds.workers_min = 2;
  cluster.start();
  cluster.executor.run_for(minutes(5));
  EXPECT_EQ(cluster.provisioner.existing(), 2u);
  EXPECT_EQ(cluster.provisioner.started(), 2u);
  for (const std::string& id : cluster.provisioner.existing_ids()) cluster.provisioner.end(id, "killed");
  EXPECT_TRUE(cluster.run_until([&] { return cluster.fleet.running_ids().size() == 2; }, seconds(5)));
}

TEST(Scaler, DoesNotDrainWorkersThatCompute) {
  FakeCluster cluster(8);
  cluster.fleet.slots = 1;
  cluster.start();
  for (int i = 0; i < 40; ++i) {
    cluster.fleet.enqueue(static_cast<std::uint32_t>(1 + i % 7), seconds(1 + i % 13));
    cluster.executor.run_for(seconds(7 + i % 31));
  }
  EXPECT_EQ(cluster.fleet.drained_busy(), 0u);
}

TEST(Scaler, OscillatingLoadCausesABoundedNumberOfChanges) {
  for (const int period : {2, 10, 30, 50, 90}) {
    FakeCluster cluster(10);
    cluster.options.ledger_max = 100'000;
    cluster.provisioner.script.boot = seconds(20);
    cluster.start();
    const Instant end = cluster.executor.now() + hours(1);
    while (cluster.executor.now() < end) {
      cluster.fleet.enqueue(static_cast<std::uint32_t>(5 * period), seconds(1));
      cluster.executor.run_for(seconds(period));
    }
    const auto counts = cluster.scaler->counts();
    EXPECT_LE(counts.started + counts.stopped, 60u) << "period " << period;
    EXPECT_LE(count_of(*cluster.scaler, ActionKind::kLaunch), 30u) << "period " << period;
    // 90 s bring work for 45 s of the ten that are allowed, after a boot.
    EXPECT_LE(cluster.fleet.wait_max(), seconds(66)) << "period " << period;
  }
}

TEST(Scaler, WorkersStartedByHandAreUsedAndLeftAlone) {
  FakeCluster cluster(4);
  cluster.start();
  cluster.fleet.worker_up("");
  cluster.fleet.worker_up("");
  cluster.fleet.enqueue(100, seconds(1));
  cluster.executor.run_for(seconds(10));
  EXPECT_EQ(cluster.provisioner.peak(), 2u);
  cluster.executor.run_for(minutes(5));
  EXPECT_EQ(cluster.provisioner.existing(), 0u);
  EXPECT_EQ(cluster.fleet.running_ids().size(), 2u);
}

// ---- faults of workers and machines ----

TEST(Scaler, AHungWorkerIsReplacedAndItsTaskDone) {
  FakeCluster cluster(2);
  cluster.start();
  cluster.fleet.enqueue(2, seconds(20));
  cluster.executor.run_for(seconds(3));
  cluster.fleet.hang(cluster.fleet.running_ids().front());
  EXPECT_TRUE(cluster.run_until([&] { return cluster.fleet.done() == 2; }, seconds(40)));
  EXPECT_EQ(cluster.scaler->counts().crashed, 1u);
  EXPECT_EQ(cluster.provisioner.peak(), 2u);
  EXPECT_TRUE(cluster.run_until([&] { return cluster.provisioner.existing() == 0; }, minutes(1)));
}

TEST(Scaler, AKilledWorkerIsReplacedBeforeItWouldHaveBeenMissed) {
  FakeCluster cluster(2);
  cluster.start();
  cluster.fleet.enqueue(2, seconds(20));
  cluster.executor.run_for(seconds(10));
  cluster.provisioner.end(cluster.provisioner.existing_ids().front(), "killed by signal 9");
  EXPECT_TRUE(cluster.run_until([&] { return cluster.provisioner.existing() == 2; }, milliseconds(100)));
  EXPECT_EQ(cluster.fleet.workers().size(), 1u) << "the dead one is forgotten";
}

TEST(Scaler, BootsThatFailForAWhileOnlyDelayIt) {
  FakeCluster cluster(4);
  cluster.provisioner.script.never_boots = 1;
  cluster.start();
  cluster.fleet.enqueue(100, seconds(1));
  cluster.executor.run_for(minutes(30));
  EXPECT_LE(cluster.provisioner.peak(), 4u);
  EXPECT_LE(cluster.provisioner.started(), 40u) << "back-off";
  EXPECT_GE(cluster.provisioner.started(), 15u) << "it goes on trying";
  EXPECT_NE(cluster.scaler->explain().find("boots failed in a row"), std::string::npos);
  cluster.provisioner.script.never_boots = 0;
  EXPECT_TRUE(cluster.run_until([&] { return cluster.fleet.running_ids().size() == 4; }, minutes(3)));
}

// Workers that come up and crash right away, in ten minutes: how many are started.
std::uint64_t starts_of_crashing_workers(std::uint32_t workers_min, int tasks) {
  FakeCluster cluster(1);
  cluster.options.bounds.workers_min = workers_min;
  cluster.provisioner.script.boot = milliseconds(50);
  cluster.provisioner.on_boot = [&](const Instance& instance) {
    cluster.fleet.worker_up(instance.token);
    cluster.executor.post_at(cluster.executor.now() + milliseconds(300),
                             [&cluster, id = instance.id] { cluster.provisioner.end(id, "exit code 1"); });
  };
  cluster.start();
  if (tasks > 0) cluster.fleet.enqueue(tasks, seconds(10));
  cluster.executor.run_for(minutes(10));
  return cluster.provisioner.started();
}

TEST(Scaler, WorkersThatCrashAtOnceAreNotRestartedInALoop) {
  const auto idle = starts_of_crashing_workers(1, 0);
  EXPECT_LE(idle, 17u);
  EXPECT_GE(idle, 14u);
  // A task may be what kills them, and others wait: every 5 s and a boot.
  const auto busy = starts_of_crashing_workers(0, 1);
  EXPECT_LE(busy, 120u);
  EXPECT_GE(busy, 100u);
}

// ---- faults of the provisioner ----

TEST(Scaler, LaunchesNothingBeforeTheFirstList) {
  FakeCluster cluster(4);
  cluster.provisioner.script.list_error = 1;
  cluster.start();
  cluster.fleet.enqueue(10, seconds(1));
  cluster.executor.run_for(minutes(1));
  EXPECT_EQ(cluster.provisioner.launch_calls(), 0u);
  EXPECT_GT(cluster.scaler->wanted(), 0u);
  EXPECT_NE(cluster.scaler->explain().find(
                "the provisioner does not list its instances: the list is not available"),
            std::string::npos)
      << cluster.scaler->explain();
  cluster.provisioner.script.list_error = 0;
  EXPECT_TRUE(cluster.run_until([&] { return cluster.fleet.done() == 10; }, seconds(20)));
}

TEST(Scaler, AProvisionerThatAnswersNothingDoesNotStopTheLoop) {
  FakeCluster cluster(4);
  cluster.start();
  cluster.executor.run_for(seconds(1));
  cluster.provisioner.script.no_reply = 1;
  cluster.fleet.enqueue(100, seconds(1));
  cluster.executor.run_for(minutes(5));
  // The launch happened, unseen; what it made registered and worked all the same.
  EXPECT_EQ(cluster.provisioner.peak(), 4u);
  EXPECT_EQ(cluster.fleet.done(), 100u);
  EXPECT_NE(cluster.scaler->explain().find("it did not answer for 30s"), std::string::npos);
  cluster.provisioner.script.no_reply = 0;
  EXPECT_TRUE(cluster.run_until([&] { return cluster.provisioner.existing() == 0; }, minutes(2)));
}

TEST(Scaler, ALaunchOfUnknownOutcomeIsNotRepeatedWhileItMayHaveHappened) {
  for (const LaunchFault fault : {LaunchFault::kUnknownStarted, LaunchFault::kNoReplyStarted}) {
    FakeCluster cluster(4);
    cluster.provisioner.script.list_lag = seconds(8);
    cluster.provisioner.fail_next(fault);
    cluster.start();
    cluster.fleet.enqueue(100, seconds(3));
    EXPECT_TRUE(cluster.run_until([&] { return cluster.fleet.done() == 100; }, minutes(3)));
    EXPECT_EQ(cluster.provisioner.peak(), 4u);
    EXPECT_EQ(cluster.provisioner.launch_calls(), 1u);
  }
}

TEST(Scaler, ALaunchOfUnknownOutcomeThatDidNotHappenIsMadeGood) {
  FakeCluster cluster(4);
  cluster.provisioner.fail_next(LaunchFault::kUnknownNothing);
  cluster.start();
  cluster.fleet.enqueue(100, seconds(1));
  EXPECT_TRUE(cluster.run_until([&] { return cluster.fleet.done() == 100; }, minutes(2)));
  EXPECT_EQ(cluster.provisioner.peak(), 4u);
}

TEST(Scaler, AListThatLagsDoesNotMultiplyLaunches) {
  FakeCluster cluster(6);
  cluster.provisioner.script.list_lag = seconds(25);
  cluster.provisioner.script.boot = seconds(10);
  cluster.start();
  cluster.fleet.enqueue(600, seconds(1));
  cluster.executor.run_for(seconds(90));
  EXPECT_EQ(cluster.provisioner.started(), 6u);
}

// ---- the loop ----

class CountingPolicy final : public Policy {
 public:
  CountingPolicy(int& count, std::uint32_t wanted) : count_(count), wanted_(wanted) {}
  Decision decide(const Observation&, const Bounds&) override {
    ++count_;
    return {wanted_, "a test says so"};
  }
  std::unique_ptr<Policy> clone() const override { return std::make_unique<CountingPolicy>(*this); }

 private:
  int& count_;
  std::uint32_t wanted_;
};

TEST(Scaler, AnyNumberOfPokesIsAtMostTwentyRoundsASecond) {
  FakeCluster cluster(4);
  int rounds = 0;
  cluster.start_with(std::make_unique<CountingPolicy>(rounds, 0));
  for (int i = 0; i < 10'000; ++i) {
    cluster.scaler->poke();
    cluster.scaler->poke();
    cluster.executor.run_for(microseconds(100));
  }
  EXPECT_LE(rounds, 25);
  EXPECT_GE(rounds, 18);
}

TEST(Scaler, TheLedgerFoldsRepetitionsAndForgetsTheOldest) {
  FakeCluster cluster(4);
  cluster.options.ledger_max = 5;
  int rounds = 0;
  cluster.start_with(std::make_unique<CountingPolicy>(rounds, 1));
  cluster.executor.run_for(minutes(1));
  EXPECT_GT(rounds, 100);
  // Launched, runs.
  ASSERT_EQ(cluster.scaler->ledger().size(), 2u);
  const LedgerEntry& first = cluster.scaler->ledger().front();
  ASSERT_EQ(first.actions.size(), 1u);
  EXPECT_EQ(first.actions[0].kind, ActionKind::kLaunch);
  EXPECT_EQ(first.decision.reason, "a test says so");
  EXPECT_EQ(cluster.scaler->ledger().back().counts.running, 1u);
  for (int i = 0; i < 10; ++i) {
    cluster.provisioner.end(cluster.provisioner.existing_ids().front(), "killed");
    cluster.executor.run_for(minutes(1));
  }
  EXPECT_EQ(cluster.scaler->ledger().size(), 5u);
}

TEST(Scaler, ExplainsItselfInOneSentence) {
  FakeCluster cluster(4);
  int rounds = 0;
  cluster.start_with(std::make_unique<CountingPolicy>(rounds, 2));
  cluster.executor.run_for(milliseconds(500));
  EXPECT_EQ(cluster.scaler->explain(), "2 workers are wanted and 0 run, 2 boot, because a test says so");
  cluster.executor.run_for(seconds(2));
  EXPECT_EQ(cluster.scaler->explain(), "2 workers are wanted and 2 run, because a test says so");
  EXPECT_EQ(cluster.scaler->bounds().workers_max, 4u);
}

TEST(Scaler, TheSameSeedGivesTheSameLedger) {
  const auto story = [](std::uint64_t seed) {
    FakeCluster cluster(6, seed);
    cluster.provisioner.script.never_boots = 0.2;
    cluster.provisioner.script.unknown_outcome = 0.2;
    cluster.provisioner.script.vanishes = 0.2;
    cluster.start();
    cluster.fleet.enqueue(500, seconds(1));
    cluster.executor.run_for(minutes(10));
    std::ostringstream text;
    for (const LedgerEntry& entry : cluster.scaler->ledger()) {
      text << format_instant(entry.at) << " " << entry.decision.reason;
      for (const Action& action : entry.actions)
        text << " | " << action.reason << action.worker << action.instance;
      text << "\n";
    }
    return text.str();
  };
  EXPECT_EQ(story(7), story(7));
  EXPECT_NE(story(7), story(8));
}

TEST(Scaler, ItsEndLeavesRepliesAndTimersWithoutEffect) {
  FakeCluster cluster(4);
  cluster.start();
  cluster.fleet.enqueue(10, seconds(1));
  cluster.executor.run_for(milliseconds(8));  // a launch is under way
  ASSERT_GT(cluster.provisioner.launch_calls(), 0u);
  cluster.scaler.reset();
  cluster.executor.run_for(minutes(1));
  EXPECT_EQ(cluster.provisioner.launch_calls(), 1u);
}

// ---- stopping ----

TEST(Scaler, StopDrainsItsWorkersAndLeavesTheOthers) {
  FakeCluster cluster(4);
  cluster.start();
  cluster.fleet.worker_up("");
  cluster.fleet.enqueue(400, seconds(2));
  cluster.executor.run_for(seconds(10));
  ASSERT_EQ(cluster.fleet.running_ids().size(), 4u);
  bool is_done = false;
  cluster.scaler->stop(cluster.executor.now() + seconds(30), [&] { is_done = true; });
  EXPECT_FALSE(is_done);
  EXPECT_TRUE(cluster.run_until([&] { return is_done; }, seconds(4)));
  EXPECT_EQ(cluster.provisioner.existing(), 0u);
  EXPECT_EQ(cluster.fleet.running_ids().size(), 1u);
  EXPECT_EQ(cluster.scaler->counts().stopped, 3u);
  cluster.executor.run_for(minutes(5));
  EXPECT_EQ(cluster.provisioner.started(), 3u) << "no more launches";
}

TEST(Scaler, StopTerminatesWhatDoesNotGoByTheDeadline) {
  FakeCluster cluster(2);
  cluster.start();
  cluster.fleet.enqueue(2, hours(1));
  cluster.executor.run_for(seconds(10));
  bool is_done = false;
  cluster.scaler->stop(cluster.executor.now() + seconds(15), [&] { is_done = true; });
  EXPECT_FALSE(cluster.run_until([&] { return is_done; }, seconds(14)));
  EXPECT_EQ(cluster.provisioner.existing(), 2u);
  EXPECT_TRUE(cluster.run_until([&] { return is_done; }, seconds(2)));
  EXPECT_EQ(cluster.provisioner.existing(), 0u);
}

TEST(Scaler, StopAlsoEndsWhatIsBeingLaunched) {
  FakeCluster cluster(4);
  cluster.provisioner.script.boot = seconds(20);
  cluster.start();
  cluster.fleet.enqueue(100, seconds(1));
  cluster.executor.run_for(milliseconds(8));
  ASSERT_EQ(cluster.provisioner.launch_calls(), 1u);
  bool is_done = false;
  cluster.scaler->stop(cluster.executor.now() + seconds(30), [&] { is_done = true; });
  EXPECT_TRUE(cluster.run_until([&] { return is_done; }, seconds(2)));
  EXPECT_EQ(cluster.provisioner.existing(), 0u);
}

TEST(Scaler, StopEndsThoughTheProvisionerIsAway) {
  FakeCluster cluster(2);
  cluster.start();
  cluster.fleet.enqueue(2, hours(1));
  cluster.executor.run_for(seconds(10));
  cluster.provisioner.script.no_reply = 1;
  int done = 0;
  cluster.scaler->stop(cluster.executor.now() + seconds(5), [&] { ++done; });
  cluster.scaler->stop(cluster.executor.now() + seconds(9), [&] { ++done; });
  EXPECT_TRUE(cluster.run_until([&] { return done == 2; }, seconds(16)));
  cluster.scaler->stop(cluster.executor.now(), [&] { ++done; });
  cluster.executor.run_ready();
  EXPECT_EQ(done, 3);
}

TEST(Scaler, StopBeforeTheStartIsDoneAtOnce) {
  FakeCluster cluster(2);
  Scaler scaler(cluster.executor, cluster.fleet, cluster.provisioner, make_drain_time_policy({}), {}, "m",
                {});
  bool is_done = false;
  scaler.stop(cluster.executor.now(), [&] { is_done = true; });
  cluster.executor.run_ready();
  EXPECT_TRUE(is_done);
}

// ---- promises ----

void any_faults(testing::FakeProvisionerScript& script) {
  const auto chance = [] { return *rc::gen::element(0.0, 0.0, 0.1, 0.5); };
  script.boot = milliseconds(*rc::gen::inRange(50, 20'000));
  script.boot_spread = milliseconds(*rc::gen::inRange(0, 5'000));
  script.terminate_delay = milliseconds(*rc::gen::inRange(1, 10'000));
  script.reply_delay = milliseconds(*rc::gen::inRange(1, 3'000));
  script.list_lag = milliseconds(*rc::gen::inRange(0, 9'000));
  script.is_gone_listed = *rc::gen::arbitrary<bool>();
  script.launch_error = chance();
  script.never_boots = chance();
  script.vanishes = chance();
  script.unknown_outcome = chance();
  script.list_error = chance();
  script.terminate_error = chance();
  script.no_reply = *rc::gen::element(0.0, 0.0, 0.05, 0.3);
}

RC_GTEST_PROP(ScalerPromises, UnderAnyFaultsTheMaximumHoldsAndAfterThemAllIsDoneAndAllGo, ()) {
  const auto workers_max = *rc::gen::inRange(1u, 9u);
  FakeCluster cluster(workers_max, *rc::gen::arbitrary<std::uint64_t>());
  cluster.fleet.slots = *rc::gen::inRange(1u, 4u);
  cluster.fleet.is_speed_known = *rc::gen::arbitrary<bool>();
  any_faults(cluster.provisioner.script);
  cluster.start();
  std::uint32_t enqueued = 0;
  for (int i = *rc::gen::inRange(1, 12); i > 0; --i) {
    const auto count = *rc::gen::inRange(0u, 60u);
    cluster.fleet.enqueue(count, milliseconds(*rc::gen::inRange(1, 8'000)));
    enqueued += count;
    cluster.executor.run_for(milliseconds(*rc::gen::inRange(0, 60'000)));
    const auto running = cluster.fleet.running_ids();
    if (!running.empty() && *rc::gen::inRange(0, 3) == 0) cluster.fleet.hang(*rc::gen::elementOf(running));
  }
  auto& script = cluster.provisioner.script;
  script.launch_error = script.never_boots = script.vanishes = script.unknown_outcome = script.list_error =
      script.terminate_error = script.no_reply = 0;
  // The work left fits one worker's hour; the rest is for timeouts and the longest back-off.
  RC_ASSERT(cluster.run_until([&] { return cluster.fleet.done() == enqueued; }, hours(2)));
  // Where boots are long and tasks were late, idle workers are kept for at most ten minutes.
  RC_ASSERT(cluster.run_until([&] { return cluster.provisioner.existing() == 0; }, minutes(20)));
  RC_ASSERT(cluster.provisioner.peak() <= workers_max);
}

RC_GTEST_PROP(ScalerPromises, AfterFaultsStopTheWantedSizeIsReachedSoon, ()) {
  FakeCluster cluster(6, *rc::gen::arbitrary<std::uint64_t>());
  cluster.options.bounds.workers_min = 6;
  any_faults(cluster.provisioner.script);
  cluster.start();
  cluster.executor.run_for(seconds(*rc::gen::inRange(1, 1'200)));
  auto& script = cluster.provisioner.script;
  script.launch_error = script.never_boots = script.vanishes = script.unknown_outcome = script.list_error =
      script.terminate_error = script.no_reply = 0;
  // The longest back-off, a reply and a boot that time out, a boot that is tried alone, and the rest.
  RC_ASSERT(cluster.run_until([&] { return cluster.fleet.running_ids().size() == 6; }, minutes(4)));
  RC_ASSERT(cluster.provisioner.peak() <= 6u);
}

// ---- a provisioner of the whole cluster ----

TEST(Scaler, LaunchesNothingUntilAListShowsWhatItsLastLifeLaunched) {
  FakeCluster cluster(4);
  cluster.provisioner.is_of_cluster = true;
  cluster.provisioner.told_lag = seconds(20);
  cluster.provisioner.script.list_lag = seconds(15);
  cluster.provisioner.script.boot = minutes(2);
  cluster.options.reconciler.boot_timeout = minutes(5);
  cluster.fleet.enqueue(400, seconds(10));
  cluster.start();
  cluster.executor.run_for(seconds(19));
  EXPECT_EQ(cluster.provisioner.launch_calls(), 0u);
  EXPECT_NE(cluster.scaler->explain().find("nothing is started until"), std::string::npos);
  cluster.executor.run_for(seconds(5));
  EXPECT_EQ(cluster.provisioner.existing(), 4u);
  // Its next life begins while the list does not show them.
  cluster.scaler.reset();
  cluster.start();
  cluster.executor.run_for(minutes(1));
  EXPECT_EQ(cluster.provisioner.peak(), 4u);
  EXPECT_EQ(cluster.provisioner.started(), 4u);
}

TEST(Scaler, LeavesInstancesOfTheClusterToItsNextLife) {
  FakeCluster cluster(4);
  cluster.provisioner.is_of_cluster = true;
  cluster.fleet.enqueue(100, seconds(10));
  cluster.start();
  ASSERT_TRUE(cluster.run_until([&] { return cluster.fleet.size() == 4; }, seconds(10)));
  bool is_stopped = false;
  cluster.scaler->stop(cluster.executor.now() + seconds(2), [&] { is_stopped = true; });
  cluster.executor.run_for(seconds(30));
  EXPECT_TRUE(is_stopped);
  EXPECT_EQ(cluster.provisioner.existing(), 4u);
  cluster.scaler.reset();
  cluster.start();
  cluster.executor.run_for(seconds(5));
  EXPECT_EQ(cluster.scaler->counts().running, 4u);
  EXPECT_EQ(cluster.provisioner.started(), 4u);
}

}  // namespace
}  // namespace skep::scaler
