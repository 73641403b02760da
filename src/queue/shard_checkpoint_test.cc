// SPDX-License-Identifier: Apache-2.0
// Goal: what an attempt has done is left to the next one, however it ended, and nothing else is ever taken
// for it. Method: stories on one shard.
#include <gtest/gtest.h>

#include "queue/testing/shard_world.h"

namespace skep::queue {
namespace {

using testing::ShardWorld;

constexpr Duration kBackOffEnd = limits::kBackoffMax;

std::string digest(char letter = 'd') {
  return std::string(limits::kCheckpointBytes, letter);
}

class Checkpoints : public ::testing::Test {
 protected:
  Checkpoints() { world.effects = {}; }

  ExtendReply beat(const LeaseToken& held, Progress progress, bool is_started = true) {
    return world.shard->apply(Extend{"w", seconds(15), {{held, is_started, std::move(progress)}}}, world.now,
                              world.effects);
  }
  Result<Released> release(const LeaseToken& held, Progress progress, bool is_started = true) {
    return world.shard->apply(Release{"w", held, is_started, std::move(progress)}, world.now, world.effects);
  }
  // Iterations that the next lease goes on from; 0 is the body.
  std::uint64_t next_begin() {
    const auto leased = world.lease("next");
    EXPECT_EQ(leased.size(), 1u);
    if (leased.empty() || !leased[0].checkpoint) return 0;
    EXPECT_EQ(world.record(leased[0].token.task).resumed_from, leased[0].checkpoint->iterations);
    return leased[0].checkpoint->iterations;
  }

  ShardWorld world;
  const TaskId id = world.enqueue(world.spec(1'000));
  const LeaseToken token = world.lease_one("w");
};

TEST_F(Checkpoints, OneOfAHeartbeatIsStoredSoftly) {
  EXPECT_TRUE(beat(token, {400, digest()}).refused.empty());
  ASSERT_EQ(world.effects.changes.size(), 1u);
  EXPECT_FALSE(world.effects.needs_sync);
  const auto& stored = *std::get<PutTask>(world.effects.changes[0]).record;
  EXPECT_EQ(stored.checkpoint, (Checkpoint{400, digest(), world.now}));
  EXPECT_EQ(world.shard->totals().checkpoints, 1u);
}

TEST_F(Checkpoints, OneOfAReleaseIsInItsCommitAndGoesWithTheNextLease) {
  EXPECT_EQ(release(token, {400, digest('x')}).value().checkpoint_refused, "");
  ASSERT_EQ(world.effects.changes.size(), 1u);
  EXPECT_TRUE(world.effects.needs_sync);
  EXPECT_EQ(std::get<PutTask>(world.effects.changes[0]).record->checkpoint->digest, digest('x'));
  const auto leased = world.lease("v");
  ASSERT_EQ(leased.size(), 1u);
  EXPECT_TRUE(leased[0].keeps_checkpoints);
  EXPECT_EQ(leased[0].iterations, 1'000u);
  EXPECT_EQ(leased[0].checkpoint->iterations, 400u);
  EXPECT_EQ(leased[0].checkpoint->digest, digest('x'));
}

TEST_F(Checkpoints, AttemptThatBroughtTheTaskForwardSpendsNoBudget) {
  LeaseToken lease = token;
  for (std::uint64_t done = 100; done < 1'000; done += 100) {
    EXPECT_TRUE(beat(lease, {done, digest()}).refused.empty());
    done % 200 == 0
        ? static_cast<void>(world.shard->apply(LoseWorker{"w", 1, "gone"}, world.now, world.effects))
        : static_cast<void>(release(lease, {}).value());
    EXPECT_EQ(world.record(id).workers_lost, 0u);
    EXPECT_EQ(world.record(id).state, TaskState::kQueued);
    lease = world.lease_one("w");
  }
  // Nothing new beyond what it was given.
  EXPECT_TRUE(release(lease, {900, digest()}).has_value());
  EXPECT_EQ(world.record(id).workers_lost, 1u);
}

TEST_F(Checkpoints, ProgressAloneIsRememberedAndNotStored) {
  EXPECT_FALSE(world.shard->progress_of(id).has_value());
  beat(token, {123, ""});
  EXPECT_TRUE(world.effects.changes.empty());
  EXPECT_EQ(world.shard->progress_of(id)->iterations_done, 123u);
  EXPECT_EQ(world.shard->progress_of(id)->at, world.now);
  beat(token, {100, ""});
  EXPECT_EQ(world.shard->progress_of(id)->iterations_done, 123u) << "a heartbeat that was overtaken";
  EXPECT_EQ(world.shard->progress_of(id)->first_done, 123u);
  beat(token, {1'001, ""});
  EXPECT_EQ(world.shard->progress_of(id)->iterations_done, 123u) << "more than there are";
  world.restart();
  EXPECT_FALSE(world.shard->progress_of(id).has_value());
  beat(token, {500, ""});
  EXPECT_TRUE(world.shard->progress_of(id).has_value());
  release(token, {}).value();
  EXPECT_FALSE(world.shard->progress_of(id).has_value());
  world.shard->check_invariants();
}

TEST_F(Checkpoints, ABadOneIsRefusedAndItsLeaseIsExtended) {
  const std::pair<Progress, std::string> cases[] = {
      {{400, "short"}, "has 5 bytes"},
      {{400, digest() + "d"}, "has 65 bytes"},
      {{0, digest()}, "iterations_done is 0"},
      {{1'000, digest()}, "iterations_done is 1000"},
      {{~std::uint64_t{0}, digest()}, "iterations_done is 18446744073709551615"},
  };
  for (const auto& [progress, part] : cases) {
    world.pass(seconds(10));
    const auto reply = beat(token, progress);
    EXPECT_TRUE(reply.lost.empty());
    ASSERT_EQ(reply.refused.size(), 1u) << part;
    EXPECT_NE(reply.refused[0].why.find(part), std::string::npos) << reply.refused[0].why;
    EXPECT_EQ(world.record(id).lease_expires_at, world.now + seconds(15));
  }
  EXPECT_TRUE(world.effects.changes.empty());
  EXPECT_EQ(world.shard->totals().checkpoints_refused, std::size(cases));
  const auto released = release(token, {400, "short"}).value();
  EXPECT_NE(released.checkpoint_refused.find("has 5 bytes"), std::string::npos);
  EXPECT_EQ(released.state, TaskState::kQueued) << "it is handed back all the same";
  EXPECT_EQ(next_begin(), 0u);
}

TEST_F(Checkpoints, OneThatIsBehindIsPassedOver) {
  beat(token, {400, digest('a')});
  world.effects = {};
  EXPECT_TRUE(beat(token, {300, digest('b')}).refused.empty());
  EXPECT_TRUE(beat(token, {400, digest('c')}).refused.empty());
  EXPECT_TRUE(world.effects.changes.empty());
  EXPECT_EQ(world.record(id).checkpoint->digest, digest('a'));
  beat(token, {401, digest('e')});
  EXPECT_EQ(world.record(id).checkpoint->digest, digest('e'));
}

TEST_F(Checkpoints, OneOfALeaseThatIsOverIsIgnored) {
  world.pass(seconds(15));
  EXPECT_EQ(beat(token, {400, digest()}).lost, std::vector{token});
  EXPECT_EQ(release(token, {400, digest()}).error().code, Code::kStaleLease);
  const LeaseToken live = world.lease_one("v");
  EXPECT_EQ(beat(token, {400, digest()}).lost, std::vector{token});
  EXPECT_FALSE(world.record(id).checkpoint.has_value());
  EXPECT_FALSE(world.shard->progress_of(id).has_value());
  EXPECT_EQ(world.record(id).lease_token(), live);
}

TEST_F(Checkpoints, AnAttemptThatHasNotStartedLeavesNone) {
  beat(token, {400, digest()}, false);
  EXPECT_FALSE(world.record(id).checkpoint.has_value());
  release(token, {400, digest()}, false).value();
  EXPECT_FALSE(world.record(id).checkpoint.has_value());
}

TEST_F(Checkpoints, ItOutlivesALostWorkerAnExpiredLeaseAndARestart) {
  beat(token, {400, digest()});
  world.shard->apply(LoseWorker{"w", 1, "gone"}, world.now, world.effects);
  EXPECT_EQ(next_begin(), 400u);
  world.pass(seconds(15));
  world.restart();
  EXPECT_EQ(next_begin(), 400u) << "also when an attempt added nothing";
}

TEST_F(Checkpoints, ItOutlivesAFailureAndATimeout) {
  beat(token, {400, digest()});
  world.fail_attempt(token).value();
  world.pass(kBackOffEnd);
  EXPECT_EQ(next_begin(), 400u);
  world.shard->apply(Fail{"w", world.record(id).lease_token(), "slow", false, true}, world.now, world.effects)
      .value();
  world.pass(kBackOffEnd);
  EXPECT_EQ(next_begin(), 400u);
}

TEST_F(Checkpoints, ADoneOrCancelledTaskHasNone) {
  beat(token, {400, digest()});
  world.complete(token).value();
  EXPECT_FALSE(world.record(id).checkpoint.has_value());
  const TaskId other = world.enqueue(world.spec(1'000));
  const LeaseToken second = world.lease_one("w");
  beat(second, {400, digest()});
  world.shard->apply(Cancel{other}, world.now, world.effects).value();
  EXPECT_FALSE(world.record(other).checkpoint.has_value());
  EXPECT_EQ(beat(second, {500, digest()}).cancelled, std::vector{second});
  EXPECT_FALSE(world.record(other).checkpoint.has_value());
}

TEST_F(Checkpoints, ADeadTaskKeepsItForARetryByHand) {
  beat(token, {400, digest()});
  world.shard->apply(Fail{"w", token, "no use", true, false}, world.now, world.effects).value();
  ASSERT_EQ(world.state(id), TaskState::kDead);
  world.restart();
  world.shard->apply(Retry{id}, world.now, world.effects).value();
  EXPECT_EQ(next_begin(), 400u);
}

TEST_F(Checkpoints, OneOfALeaseThatACrashForgotIsTakenWithIt) {
  world.restart();
  const TaskId fresh = world.enqueue(world.spec(1'000));
  const TaskRecord stored = world.record(fresh);
  const auto leased = world.lease("w", 2);
  auto next = std::make_unique<Shard>(0, 3, Random(1), ShardOptions{});
  next->load(stored);
  next->finish_load(world.now);
  world.shard = std::move(next);
  EXPECT_TRUE(beat(leased.back().token, {7, digest()}).lost.empty());
  EXPECT_EQ(world.record(fresh).checkpoint->iterations, 7u);
  EXPECT_EQ(world.shard->progress_of(fresh)->iterations_done, 7u);
}

TEST_F(Checkpoints, ATaskThatWantsNoneGetsNone) {
  world.complete(token).value();
  TaskSpec spec = world.spec(1'000);
  spec.keep_checkpoints = false;
  const TaskId plain = world.enqueue(spec);
  const auto leased = world.lease("w");
  ASSERT_EQ(leased.size(), 1u);
  EXPECT_FALSE(leased[0].keeps_checkpoints);
  EXPECT_NE(beat(leased[0].token, {400, digest()}).refused.at(0).why.find("keeps no checkpoints"),
            std::string::npos);
  EXPECT_FALSE(world.record(plain).checkpoint.has_value());
  EXPECT_EQ(world.shard->progress_of(plain)->iterations_done, 400u) << "it is shown all the same";
}

TEST_F(Checkpoints, ACommandHasNeitherProgressNorCheckpoint) {
  TaskSpec spec;
  spec.kind = "command";
  spec.program = "prog";
  const TaskId command = world.enqueue(spec);
  const auto leased = world.lease("w");
  ASSERT_EQ(leased.size(), 1u);
  EXPECT_FALSE(leased[0].keeps_checkpoints);
  EXPECT_EQ(beat(leased[0].token, {1, digest()}).refused.size(), 1u);
  EXPECT_FALSE(world.shard->progress_of(command).has_value());
}

TEST_F(Checkpoints, WorkThatWaitsIsWhatIsLeft) {
  EXPECT_EQ(world.shard->leased_work().iterations, 1'000u);
  beat(token, {400, digest()});
  EXPECT_EQ(world.shard->leased_work().iterations, 600u);
  release(token, {450, digest()}).value();
  EXPECT_EQ(world.shard->queued_work().iterations, 550u);
  world.shard->check_invariants();
}

}  // namespace
}  // namespace skep::queue
