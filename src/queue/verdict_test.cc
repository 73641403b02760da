// SPDX-License-Identifier: Apache-2.0
// Goal: the rules for what becomes of a task after an attempt are those of docs/task_states.md, and a shard
// tells what it judged. Method: the rules case by case; a shard's decisions are judged again.
// (shard_property_test.cc does the latter for random histories.)
#include "queue/verdict.h"

#include <gtest/gtest.h>

#include "queue/testing/shard_world.h"

namespace skep::queue {
namespace {

VerdictInput ended(AttemptEnd end, std::uint32_t attempts_failed, std::uint32_t workers_lost) {
  VerdictInput input;
  input.end = end;
  input.attempts_failed = attempts_failed;
  input.attempts_max = 3;
  input.workers_lost = workers_lost;
  return input;
}

TEST(Verdict, FailuresSpendTheUsersAttempts) {
  for (const auto end : {AttemptEnd::kFailed, AttemptEnd::kRunTimeout}) {
    EXPECT_EQ(judge(ended(end, 1, 0)), (Ruling{Verdict::kRetry, VerdictRule::kAttempts}));
    EXPECT_EQ(judge(ended(end, 2, 4)), (Ruling{Verdict::kRetry, VerdictRule::kAttempts}));
    EXPECT_EQ(judge(ended(end, 3, 0)), (Ruling{Verdict::kPark, VerdictRule::kAttempts}));
  }
  VerdictInput permanent = ended(AttemptEnd::kFailed, 1, 0);
  permanent.is_permanent = true;
  EXPECT_EQ(judge(permanent), (Ruling{Verdict::kPark, VerdictRule::kPermanent}));
}

TEST(Verdict, LossesSpendTheInfrastructureBudget) {
  for (const auto end : {AttemptEnd::kWorkerLost, AttemptEnd::kLeaseExpired, AttemptEnd::kReleased}) {
    EXPECT_EQ(judge(ended(end, 0, 1)), (Ruling{Verdict::kRequeue, VerdictRule::kLosses}));
    EXPECT_EQ(judge(ended(end, 0, 2)), (Ruling{Verdict::kQuarantine, VerdictRule::kLosses}));
    EXPECT_EQ(judge(ended(end, 0, 4)), (Ruling{Verdict::kQuarantine, VerdictRule::kLosses}));
    EXPECT_EQ(judge(ended(end, 0, 5)), (Ruling{Verdict::kPark, VerdictRule::kLosses}));
    VerdictInput advanced = ended(end, 0, 1);
    advanced.has_advanced = true;
    EXPECT_EQ(judge(advanced), (Ruling{Verdict::kRequeue, VerdictRule::kAdvanced}));
    VerdictInput waited = ended(end, 0, 3);
    waited.has_begun = false;
    EXPECT_EQ(judge(waited), (Ruling{Verdict::kRequeue, VerdictRule::kNotBegun}));
  }
}

TEST(Verdict, WhatWasNotStartedInTimeIsParked) {
  VerdictInput late;
  late.is_too_late = true;
  EXPECT_EQ(judge(late), (Ruling{Verdict::kPark, VerdictRule::kDeadline}));
}

TEST(Verdict, AShardTellsWhatItJudged) {
  testing::ShardWorld world;
  TaskSpec spec = world.spec(1'000);
  spec.attempts_max = 2;
  const TaskId id = world.enqueue(spec);
  const auto lose = [&](const std::string& worker) {
    world.lease_one(worker);
    world.shard->apply(LoseWorker{worker, 1, "silent", 1, 0}, world.now, world.effects);
  };
  lose("w1");
  lose("w2");
  ASSERT_TRUE(world.fail_attempt(world.lease_one("w3"), "broke").has_value());
  world.pass(minutes(10));
  ASSERT_TRUE(world.fail_attempt(world.lease_one("w4"), "broke again").has_value());
  const auto& told = world.effects.decisions;
  ASSERT_EQ(told.size(), 4u);
  const Verdict expected[] = {Verdict::kRequeue, Verdict::kQuarantine, Verdict::kRetry, Verdict::kPark};
  for (std::size_t i = 0; i < told.size(); ++i) {
    EXPECT_EQ(told[i].id, id);
    EXPECT_EQ(told[i].worker, "w" + std::to_string(i + 1));
    EXPECT_EQ(told[i].attempt, i + 1);
    EXPECT_EQ(told[i].ruling.verdict, expected[i]) << i;
    EXPECT_EQ(judge(told[i].input), told[i].ruling) << i;
  }
  EXPECT_EQ(told[1].message, "silent");
  EXPECT_GT(told[2].ready_at, Instant(seconds(1'000'000)));
  EXPECT_EQ(world.state(id), TaskState::kDead);
}

TEST(Verdict, AWorkerThatHandsBackWhatItHasNotBegunCostsNothing) {
  testing::ShardWorld world;
  const TaskId id = world.enqueue();
  const auto token = world.lease_one("w");
  ASSERT_TRUE(world.shard->apply(Release{"w", token, false}, world.now, world.effects).has_value());
  ASSERT_EQ(world.effects.decisions.size(), 1u);
  EXPECT_EQ(world.effects.decisions[0].ruling, (Ruling{Verdict::kRequeue, VerdictRule::kNotBegun}));
  EXPECT_EQ(world.record(id).workers_lost, 0u);
}

}  // namespace
}  // namespace skep::queue
