// SPDX-License-Identifier: Apache-2.0
// Goal: who gets which task, and what happens to a lease that does not end well. Method: stories on one
// shard.
#include <gtest/gtest.h>

#include "queue/testing/shard_world.h"

namespace skep::queue {
namespace {

using testing::blob;
using testing::ShardWorld;

TEST(Lease, HigherPriorityGoesFirstThenAge) {
  ShardWorld world;
  TaskSpec low = world.spec();
  low.priority = 0;
  TaskSpec high = world.spec();
  high.priority = 9;
  const TaskId a = world.enqueue(low);
  const TaskId b = world.enqueue(high);
  const TaskId c = world.enqueue(high);
  const auto leased = world.lease("w", 3);
  ASSERT_EQ(leased.size(), 3u);
  EXPECT_EQ(leased[0].token.task, b);
  EXPECT_EQ(leased[1].token.task, c);
  EXPECT_EQ(leased[2].token.task, a);
}

TEST(Lease, QueuesTakeTurns) {
  ShardWorld world;
  for (int i = 0; i < 100; ++i) world.enqueue();
  TaskSpec other = world.spec();
  other.queue = "other";
  const TaskId quiet = world.enqueue(other);
  const auto leased = world.lease("w", 2);
  ASSERT_EQ(leased.size(), 2u);
  EXPECT_TRUE(leased[0].token.task == quiet || leased[1].token.task == quiet);
}

TEST(Lease, PausedQueueGivesNothingUntilResumed) {
  ShardWorld world;
  world.enqueue();
  QueueRecord settings;
  settings.name = "default";
  settings.is_paused = true;
  world.shard->apply(SetQueue{settings}, world.now, world.effects).value();
  EXPECT_TRUE(world.lease("w").empty());
  settings.is_paused = false;
  world.shard->apply(SetQueue{settings}, world.now, world.effects).value();
  EXPECT_EQ(world.lease("w").size(), 1u);
}

TEST(Lease, LeasedLimitOfAQueueHolds) {
  ShardWorld world;
  for (int i = 0; i < 5; ++i) world.enqueue();
  QueueRecord settings;
  settings.name = "default";
  settings.leased_max = 2;
  world.shard->apply(SetQueue{settings}, world.now, world.effects).value();
  const auto leased = world.lease("w", 5);
  EXPECT_EQ(leased.size(), 2u);
  world.complete(leased[0].token).value();
  EXPECT_EQ(world.lease("w", 5).size(), 1u);
}

TEST(Lease, WorkerGetsOnlyKindsAndProgramsThatItLists) {
  ShardWorld world;
  TaskSpec command;
  command.kind = "command";
  command.program = "resize";
  const TaskId id = world.enqueue(command);
  Lease ask{"w", 1, seconds(15), {"sha512"}, {}};
  EXPECT_TRUE(world.shard->apply(ask, world.now, world.effects).empty());
  ask.kinds = {"sha512", "command"};
  ask.programs = {"other"};
  EXPECT_TRUE(world.shard->apply(ask, world.now, world.effects).empty());
  ask.programs = {"other", "resize"};
  const auto leased = world.shard->apply(ask, world.now, world.effects);
  ASSERT_EQ(leased.size(), 1u);
  EXPECT_EQ(leased[0].token.task, id);
  EXPECT_EQ(leased[0].program, "resize");
}

TEST(Lease, IsSoftAndEnqueueIsNot) {
  ShardWorld world;
  world.enqueue();
  world.effects = {};
  world.lease_one("w");
  EXPECT_EQ(world.effects.changes.size(), 1u);
  EXPECT_FALSE(world.effects.needs_sync);
}

TEST(Lease, ExpiredLeaseReturnsTaskToFrontOfItsPriority) {
  ShardWorld world;
  const TaskId first = world.enqueue();
  world.enqueue();
  const auto token = world.lease_one("w");
  ASSERT_EQ(token.task, first);
  world.pass(seconds(15));
  EXPECT_EQ(world.state(first), TaskState::kQueued);
  EXPECT_EQ(world.record(first).workers_lost, 1u);
  EXPECT_EQ(world.record(first).attempts_failed, 0u);
  EXPECT_EQ(world.lease_one("v").task, first);
}

TEST(Lease, HeartbeatKeepsItAlive) {
  ShardWorld world;
  const TaskId id = world.enqueue();
  const auto token = world.lease_one("w");
  for (int i = 0; i < 20; ++i) {
    world.pass(seconds(10));
    const auto reply =
        world.shard->apply(Extend{"w", seconds(15), {{token, true}}}, world.now, world.effects);
    EXPECT_TRUE(reply.lost.empty());
  }
  EXPECT_EQ(world.state(id), TaskState::kLeased);
}

TEST(Lease, FailureExtensionAndReleaseOfAStaleAttemptAreRefused) {
  ShardWorld world;
  world.enqueue();
  const auto stale = world.lease_one("w");
  world.pass(seconds(15));
  const auto live = world.lease_one("v");
  EXPECT_EQ(world.fail_attempt(stale).error().code, Code::kStaleLease);
  EXPECT_EQ(world.shard->apply(Release{"w", stale, true}, world.now, world.effects).error().code,
            Code::kStaleLease);
  EXPECT_EQ(world.shard->apply(Extend{"w", seconds(15), {{stale, true}}}, world.now, world.effects).lost,
            std::vector{stale});
  EXPECT_EQ(world.record(live.task).lease_token(), live);
}

TEST(Lease, SuccessOfAStaleAttemptWinsWhileTheTaskIsUnfinished) {
  ShardWorld world;
  const TaskId id = world.enqueue();
  const auto stale = world.lease_one("w");
  world.pass(seconds(15));
  EXPECT_EQ(world.state(id), TaskState::kQueued);
  EXPECT_FALSE(world.complete(stale, "result").value().is_duplicate);
  EXPECT_EQ(world.state(id), TaskState::kDone);
  EXPECT_TRUE(world.lease("v").empty());
}

TEST(Lease, SuccessOfAStaleAttemptEndsTheLiveOne) {
  ShardWorld world;
  world.enqueue();
  const auto stale = world.lease_one("w");
  world.pass(seconds(15));
  const auto live = world.lease_one("v");
  world.complete(stale, "result").value();
  EXPECT_EQ(world.shard->apply(Extend{"v", seconds(15), {{live, true}}}, world.now, world.effects).lost,
            std::vector{live});
  EXPECT_TRUE(world.complete(live, "result").value().is_duplicate);
  EXPECT_TRUE(world.shard->leases_of("v").empty());
}

TEST(Lease, AnAttemptThatWasNeverIssuedIsRefused) {
  ShardWorld world;
  const TaskId id = world.enqueue();
  EXPECT_EQ(world.complete(LeaseToken{id, 1, 1}).error().code, Code::kStaleLease);
  EXPECT_EQ(world.complete(LeaseToken{id, 2, 1}).error().code, Code::kStaleLease);
  world.lease_one("w");
  EXPECT_EQ(world.complete(LeaseToken{id, 1, 2}).error().code, Code::kStaleLease);
  EXPECT_EQ(world.complete(LeaseToken{TaskId{0, 1, 77}, 1, 1}).error().code, Code::kNotFound);
}

TEST(Lease, SameResultAgainIsASuccessAnotherOneIsCounted) {
  ShardWorld world;
  world.enqueue();
  const auto token = world.lease_one("w");
  world.complete(token, "r").value();
  EXPECT_TRUE(world.complete(token, "r").value().is_duplicate);
  EXPECT_EQ(world.complete(token, "other", "liar").error().code, Code::kConflict);
  EXPECT_EQ(world.shard->totals().duplicate_results, 2u);
  EXPECT_EQ(world.shard->totals().mismatches, 1u);
  EXPECT_EQ(world.effects.notices.back().kind, NoticeKind::kMismatch);
  EXPECT_EQ(world.effects.notices.back().detail, "liar");
}

TEST(Lease, AnotherResultOfACommandIsNoMismatch) {
  ShardWorld world;
  TaskSpec spec;
  spec.kind = "command";
  spec.program = "prog";
  world.enqueue(spec);
  const auto token = world.lease_one("w");
  world.complete(token, "r").value();
  EXPECT_TRUE(world.complete(token, "other").value().is_duplicate);
  EXPECT_EQ(world.shard->totals().mismatches, 0u);
}

TEST(Lease, RunTimeoutSpendsTheUsersAttempts) {
  ShardWorld world;
  TaskSpec spec = world.spec();
  spec.run_timeout = seconds(20);
  const TaskId id = world.enqueue(spec);
  const auto token = world.lease_one("w");
  world.shard->apply(Extend{"w", hours(1), {{token, true}}}, world.now, world.effects);
  world.pass(seconds(20) + kRunTimeoutGrace);
  EXPECT_EQ(world.state(id), TaskState::kDelayed);
  EXPECT_EQ(world.record(id).attempts_failed, 1u);
  EXPECT_EQ(world.record(id).errors[0].end, AttemptEnd::kRunTimeout);
}

TEST(Lease, HandedBackUnstartedItCostsNothing) {
  ShardWorld world;
  const TaskId id = world.enqueue();
  const auto token = world.lease_one("w");
  EXPECT_EQ(world.shard->apply(Release{"w", token, false}, world.now, world.effects).value().state,
            TaskState::kQueued);
  EXPECT_EQ(world.record(id).workers_lost, 0u);
  EXPECT_TRUE(world.record(id).errors.empty());
}

TEST(Lease, HandedBackStartedItSpendsTheInfrastructureBudget) {
  ShardWorld world;
  const TaskId id = world.enqueue();
  const auto token = world.lease_one("w");
  world.shard->apply(Release{"w", token, true}, world.now, world.effects).value();
  EXPECT_EQ(world.record(id).workers_lost, 1u);
  EXPECT_EQ(world.record(id).attempts_failed, 0u);
}

TEST(Lease, LostWorkersLeasesGoBackAtOnceAndOnlyWhatRanIsBlamed) {
  ShardWorld world;
  std::vector<TaskId> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(world.enqueue());
  world.lease("w", 4);
  const auto lost = world.shard->apply(LoseWorker{"w", 2, "killed by signal 9"}, world.now, world.effects);
  EXPECT_EQ(lost.returned, 4u);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(world.state(ids[static_cast<std::size_t>(i)]), TaskState::kQueued);
    EXPECT_EQ(world.record(ids[static_cast<std::size_t>(i)]).workers_lost, i < 2 ? 1u : 0u);
  }
  world.shard->check_invariants();
}

TEST(Lease, WhatAHeartbeatSaidToWaitIsNotBlamedForALostWorker) {
  ShardWorld world;
  for (int i = 0; i < 4; ++i) world.enqueue();
  const auto leased = world.lease("w", 3);
  // The first one waits for a lane of its own, although the worker has four.
  Extend beat{
      "w", seconds(15), {{leased[0].token, false}, {leased[1].token, true}, {leased[2].token, false}}};
  world.shard->apply(beat, world.now, world.effects);
  world.pass(seconds(1));
  const TaskId since = world.lease("w", 1).at(0).token.task;
  world.shard->apply(LoseWorker{"w", 4, "killed by signal 9"}, world.now, world.effects);
  EXPECT_EQ(world.record(leased[0].token.task).workers_lost, 0u);
  EXPECT_EQ(world.record(leased[1].token.task).workers_lost, 1u);
  EXPECT_EQ(world.record(leased[2].token.task).workers_lost, 0u);
  EXPECT_EQ(world.record(since).workers_lost, 1u) << "it may have begun at once";
  world.shard->check_invariants();
}

TEST(Lease, WhatIsKnownToRunTakesThePlacesOfALostWorker) {
  ShardWorld world;
  const TaskId first = world.enqueue();
  const TaskId second = world.enqueue();
  const auto leased = world.lease("w", 2);
  Extend beat{"w", seconds(15), {{leased[1].token, true}}};
  world.shard->apply(beat, world.now, world.effects);
  world.shard->apply(LoseWorker{"w", 1, "killed by signal 9"}, world.now, world.effects);
  EXPECT_EQ(world.record(first).workers_lost, 0u);
  EXPECT_EQ(world.record(second).workers_lost, 1u);
}

TEST(Lease, CommandsOfALostWorkerHavePlacesOfTheirOwn) {
  ShardWorld world;
  TaskSpec spec = world.spec(0);
  spec.kind = "command";
  spec.program = "prog";
  const TaskId ran = world.enqueue(spec);
  const TaskId waited = world.enqueue(spec);
  ASSERT_EQ(world.lease("w", 2).size(), 2u);
  world.shard->apply(LoseWorker{"w", 32, "killed by signal 9", 1}, world.now, world.effects);
  EXPECT_EQ(world.record(ran).workers_lost, 1u);
  EXPECT_EQ(world.record(waited).workers_lost, 0u);
}

TEST(Lease, TaskThatBeginsAfterAHeartbeatAndKillsItsWorkersIsParked) {
  ShardWorld world;
  const TaskId poison = world.enqueue();
  TaskSpec first = world.spec();
  first.priority = 9;
  for (std::uint32_t lost = 0; lost < limits::kWorkersLostMax; ++lost) {
    ASSERT_EQ(world.record(poison).workers_lost, lost);
    world.enqueue(first);
    const auto leased = world.lease("w", 2);
    if (lost < kSuspectAfter) {
      // It waits behind another one, as the heartbeat says, and begins when that is done.
      ASSERT_EQ(leased.size(), 2u);
      Extend beat{"w", seconds(15), {{leased[0].token, true}, {leased[1].token, false}}};
      world.shard->apply(beat, world.now, world.effects);
      world.complete(leased[0].token).value();
    }
    world.shard->apply(LoseWorker{"w", 1, "gone", 1, 1}, world.now, world.effects);
  }
  EXPECT_EQ(world.state(poison), TaskState::kDead);
}

TEST(Lease, TaskThatKillsItsWorkersIsParkedAndItsNeighboursAreNot) {
  ShardWorld world;
  const TaskId poison = world.enqueue();
  std::vector<TaskId> others;
  for (int i = 0; i < 6; ++i) others.push_back(world.enqueue());
  // Each worker has two slots and asks for four tasks; whoever holds the poison dies.
  for (int w = 0; w < 50 && world.state(poison) != TaskState::kDead; ++w) {
    const std::string worker = "w" + std::to_string(w);
    const auto leased = world.lease(worker, 4);
    const bool is_poisoned =
        std::any_of(leased.begin(), leased.end(), [&](const auto& t) { return t.token.task == poison; });
    if (is_poisoned) {
      world.shard->apply(LoseWorker{worker, 2, "killed by signal 9"}, world.now, world.effects);
    } else {
      for (const auto& task : leased) world.complete(task.token).value();
    }
    world.pass(seconds(1));
  }
  EXPECT_EQ(world.state(poison), TaskState::kDead);
  EXPECT_NE(world.record(poison).reason.find("lost with its worker 5 times"), std::string::npos);
  for (const auto& id : others) {
    EXPECT_NE(world.state(id), TaskState::kDead);
    EXPECT_LE(world.record(id).workers_lost, kSuspectAfter);
  }
}

TEST(Lease, BusyWorkerIsEmptiedForASuspectThenGetsItAlone) {
  ShardWorld world;
  const TaskId suspect = world.enqueue();
  for (std::uint32_t i = 0; i < kSuspectAfter; ++i) {
    const std::string worker = "dead" + std::to_string(i);
    ASSERT_EQ(world.lease(worker, 1).front().token.task, suspect);
    world.shard->apply(LoseWorker{worker, 1, "gone"}, world.now, world.effects);
  }
  // A worker that is busy with something else, and more work waits.
  QueueRecord paused;
  TaskSpec spec = world.spec();
  spec.priority = 9;
  world.enqueue(spec);
  const TaskId other = world.enqueue(spec);
  Lease ask{"v", 1, seconds(15), {"sha512"}, {}};
  auto first = world.shard->apply(ask, world.now, world.effects);
  ASSERT_EQ(first.size(), 1u);
  ASSERT_EQ(first[0].token.task, suspect) << "an empty worker gets the suspect alone";
  EXPECT_TRUE(world.shard->apply(ask, world.now, world.effects).empty()) << "and nothing beside it";
  world.complete(first[0].token).value();
  const auto rest = world.lease("v", 5);
  EXPECT_EQ(rest.size(), 2u);
  EXPECT_EQ(rest[1].token.task, other);
}

TEST(Lease, OneBusyWorkerIsReservedForASuspectWhileOthersGoOn) {
  ShardWorld world;
  const TaskId suspect = world.enqueue();
  for (std::uint32_t i = 0; i < kSuspectAfter; ++i) {
    const std::string worker = "dead" + std::to_string(i);
    world.lease(worker, 1);
    if (i + 1 == kSuspectAfter) break;
    world.shard->apply(LoseWorker{worker, 1, "gone"}, world.now, world.effects);
  }
  for (int i = 0; i < 6; ++i) world.enqueue();
  const auto a = world.lease("a", 1);
  const auto b = world.lease("b", 1);
  world.shard->apply(LoseWorker{"dead1", 1, "gone"}, world.now, world.effects);
  ASSERT_EQ(world.record(suspect).workers_lost, kSuspectAfter);
  EXPECT_TRUE(world.lease("a", 1).empty()) << "a is emptied for it";
  EXPECT_EQ(world.lease("b", 1).size(), 1u) << "b goes on";
  world.complete(a[0].token).value();
  const auto alone = world.lease("a", 5);
  ASSERT_EQ(alone.size(), 1u);
  EXPECT_EQ(alone[0].token.task, suspect);
}

TEST(Lease, SurvivesARestartAndItsWorkerGoesOn) {
  ShardWorld world;
  const TaskId id = world.enqueue();
  const auto token = world.lease_one("w");
  world.restart();
  EXPECT_EQ(world.state(id), TaskState::kLeased);
  EXPECT_TRUE(
      world.shard->apply(Extend{"w2", seconds(15), {{token, true}}}, world.now, world.effects).lost.empty());
  EXPECT_EQ(world.shard->leases_of("w2").size(), 1u);
  world.complete(token).value();
  EXPECT_EQ(world.state(id), TaskState::kDone);
}

TEST(Lease, FoundAtRestartItRunsAtLeastTheRecoveredTime) {
  ShardWorld world;
  const TaskId id = world.enqueue();
  world.lease_one("w");
  world.now += hours(1);  // the manager was away, nobody could extend
  world.restart();
  world.pass(seconds(14));
  EXPECT_EQ(world.state(id), TaskState::kLeased);
  world.pass(seconds(1));
  EXPECT_EQ(world.state(id), TaskState::kQueued);
}

TEST(Lease, LostInACrashItIsTakenUpAgainWhenItsWorkerPresentsIt) {
  ShardWorld world;
  const TaskId id = world.enqueue();
  world.restart();
  const TaskRecord stored = world.record(id);
  const auto token = world.lease_one("w");  // soft: lost with the crash
  auto next = std::make_unique<Shard>(0, 3, Random(1), ShardOptions{});
  next->load(stored);
  next->finish_load(world.now);
  world.shard = std::move(next);
  const auto reply = world.shard->apply(Extend{"w", seconds(15), {{token, true}}}, world.now, world.effects);
  EXPECT_TRUE(reply.lost.empty());
  EXPECT_EQ(world.state(id), TaskState::kLeased);
  EXPECT_TRUE(world.lease("v").empty());
  world.shard->check_invariants();
  world.complete(token).value();
}

TEST(Lease, LostInACrashItsResultIsTakenAllTheSame) {
  ShardWorld world;
  const TaskId id = world.enqueue();
  const TaskRecord stored = world.record(id);
  const auto token = world.lease_one("w");
  auto next = std::make_unique<Shard>(0, 2, Random(1), ShardOptions{});
  next->load(stored);
  next->finish_load(world.now);
  world.shard = std::move(next);
  EXPECT_TRUE(world.complete(token).has_value());
  EXPECT_EQ(world.state(id), TaskState::kDone);
}

TEST(Lease, OneOfAnEarlierOwnerThatWasLostAfterAStoredOneIsTakenUp) {
  ShardWorld world;
  const TaskId id = world.enqueue();
  const LeaseToken first = world.lease_one("w");
  ASSERT_TRUE(world.shard->apply(Release{"w", first, false}, world.now, world.effects).has_value());
  world.restart();  // the lease that follows was not stored
  const LeaseToken lost{id, first.epoch, first.number + 1};
  const auto reply = world.shard->apply(Extend{"w", seconds(15), {{lost, true}}}, world.now, world.effects);
  EXPECT_TRUE(reply.lost.empty());
  EXPECT_EQ(world.state(id), TaskState::kLeased);
  EXPECT_TRUE(world.complete(lost).has_value());
}

TEST(Lease, ALowerNumberOfALaterEpochIsNotTakenUp) {
  ShardWorld world;
  const TaskId id = world.enqueue();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(
        world.shard->apply(Release{"w", world.lease_one("w"), false}, world.now, world.effects).has_value());
  }
  world.restart();
  world.restart();
  const LeaseToken odd{id, 2, 1};
  const auto reply = world.shard->apply(Extend{"w", seconds(15), {{odd, true}}}, world.now, world.effects);
  EXPECT_EQ(reply.lost.size(), 1u);
  EXPECT_EQ(world.state(id), TaskState::kQueued);
}

TEST(Lease, ALostOneThatNeverBeganLeavesTheStartDeadlineAsItWas) {
  ShardWorld world;
  TaskSpec spec = world.spec();
  spec.start_deadline = seconds(20);
  world.enqueue(world.spec());
  const TaskId id = world.enqueue(spec);
  ASSERT_EQ(world.lease("w", 2).size(), 2u);
  world.shard->apply(LoseWorker{"w", 1, "gone"}, world.now, world.effects);  // only the first one ran
  world.pass(seconds(21));
  EXPECT_EQ(world.state(id), TaskState::kDead);
}

TEST(Lease, OfAnEpochBeforeItsTaskWasNeverIssued) {
  ShardWorld world(5);
  const TaskId id = world.enqueue();
  const LeaseToken forged{id, 4, 1};
  const auto completed = world.complete(forged);
  ASSERT_FALSE(completed);
  EXPECT_EQ(completed.error().code, Code::kStaleLease);
  const auto reply = world.shard->apply(Extend{"w", seconds(15), {{forged, true}}}, world.now, world.effects);
  EXPECT_EQ(reply.lost, std::vector{forged});
  EXPECT_EQ(world.state(id), TaskState::kQueued);
}

// ---- turns among queues ----

std::string queues_of_leases(ShardWorld& world, std::uint32_t max) {
  std::string order;
  for (const auto& leased : world.lease("w", max)) order += world.record(leased.token.task).spec.queue;
  return order;
}

ShardWorld with_weights() {
  ShardOptions options;
  options.weights = {{"b", 3}, {"later", 2}};
  return ShardWorld(1, std::move(options));
}

void fill(ShardWorld& world, const std::string& queue, int count) {
  for (int i = 0; i < count; ++i) {
    TaskSpec spec = world.spec();
    spec.queue = queue;
    world.enqueue(spec);
  }
}

TEST(Lease, AQueueGetsAsManyLeasesInItsTurnAsItWeighs) {
  ShardWorld world = with_weights();
  for (const char* queue : {"a", "b", "c"}) fill(world, queue, 5);
  EXPECT_EQ(queues_of_leases(world, 7), "abbbcab");
  EXPECT_EQ(queues_of_leases(world, 4), "bcac") << "a turn goes on in the next lease and ends with the queue";
  world.shard->check_invariants();
}

TEST(Lease, WhatAQueueHasNotUsedOfItsTurnIsNotKept) {
  ShardWorld world = with_weights();
  fill(world, "a", 5);
  fill(world, "b", 1);
  EXPECT_EQ(queues_of_leases(world, 3), "aba");
  fill(world, "b", 5);
  EXPECT_EQ(queues_of_leases(world, 4), "bbba");
}

// ---- work by class ----

std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> classes_of(const Shard& shard) {
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> classes;
  shard.visit_classes([&](const auto& queue, const auto& kind, const auto& program, const ClassWork& work) {
    classes[queue + "/" + kind + "/" + program] = {work.queued.tasks, work.leased.tasks};
  });
  return classes;
}

TEST(Lease, WorkIsCountedByQueueKindAndProgram) {
  ShardWorld world;
  fill(world, "a", 3);
  TaskSpec command;
  command.kind = "command";
  command.program = "prog";
  command.queue = "b";
  world.enqueue(command);
  world.enqueue(command);
  using Classes = std::map<std::string, std::pair<std::uint64_t, std::uint64_t>>;
  EXPECT_EQ(classes_of(*world.shard), (Classes{{"a/sha512/", {3, 0}}, {"b/command/prog", {2, 0}}}));
  const auto first = world.lease_one("w");
  const auto second = world.lease_one("w");
  EXPECT_EQ(classes_of(*world.shard), (Classes{{"a/sha512/", {2, 1}}, {"b/command/prog", {1, 1}}}));
  world.complete(first).value();
  world.complete(second).value();
  world.complete(world.lease_one("w")).value();
  world.complete(world.lease_one("w")).value();
  EXPECT_EQ(classes_of(*world.shard), (Classes{{"a/sha512/", {1, 0}}})) << "a class without tasks is gone";
  world.shard->check_invariants();
}

TEST(Lease, OldestAndLeasesAreToldOfEachQueue) {
  ShardWorld world;
  fill(world, "a", 2);
  world.pass(seconds(5));
  fill(world, "b", 1);
  world.lease_one("w");
  std::map<std::string, std::pair<Instant, std::uint64_t>> seen;
  world.shard->visit_queues([&](const auto& queue, Instant oldest, std::uint64_t leases) {
    seen[queue] = {oldest, leases};
  });
  EXPECT_EQ(seen.at("a"), std::pair(world.now - seconds(5), std::uint64_t{1}));
  EXPECT_EQ(seen.at("b"), std::pair(world.now, std::uint64_t{0}));
}

}  // namespace
}  // namespace skep::queue
