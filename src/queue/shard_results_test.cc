// SPDX-License-Identifier: Apache-2.0
// Goal: results are pulled oldest first, once or until acknowledged, and kept as long as promised. Method:
// stories.
#include <gtest/gtest.h>

#include "queue/testing/shard_world.h"

namespace skep::queue {
namespace {

using testing::ShardWorld;

TaskId finish(ShardWorld& world, const std::string& queue = "default", const std::string& result = "result") {
  TaskSpec spec = world.spec();
  spec.queue = queue;
  const TaskId id = world.enqueue(spec);
  world.complete(world.lease_one("w"), result).value();
  return id;
}

PullReply pull(ShardWorld& world, std::uint32_t max = 100, const std::string& queue = "") {
  return world.shard->apply(Pull{max, limits::kPullBytesMax, queue, seconds(30)}, world.now, world.effects);
}

// Pulled and acknowledged at once.
PullReply take(ShardWorld& world, std::uint32_t max = 100, const std::string& queue = "") {
  const auto pulled = pull(world, max, queue);
  world.shard->apply(Ack{pulled.receipt, {}}, world.now, world.effects);
  return pulled;
}

TEST(Results, ArePulledInOrderOfCompletion) {
  ShardWorld world;
  const TaskId a = world.enqueue();
  const TaskId b = world.enqueue();
  const auto leased = world.lease("w", 2);
  world.complete(leased[1].token).value();
  world.complete(leased[0].token).value();
  const auto pulled = take(world);
  ASSERT_EQ(pulled.items.size(), 2u);
  EXPECT_EQ(pulled.items[0].id, b);
  EXPECT_EQ(pulled.items[1].id, a);
}

TEST(Results, AcknowledgedAreNotPulledAgainAndMarkedDurably) {
  ShardWorld world;
  const TaskId id = finish(world);
  world.effects = {};
  EXPECT_EQ(take(world).items.size(), 1u);
  EXPECT_TRUE(world.effects.needs_sync);
  EXPECT_TRUE(take(world).items.empty());
  EXPECT_NE(world.record(id).delivered_at, kNoInstant);
  world.restart();
  EXPECT_TRUE(take(world).items.empty());
}

TEST(Results, TopLimitsAPull) {
  ShardWorld world;
  for (int i = 0; i < 5; ++i) finish(world);
  EXPECT_EQ(take(world, 2).items.size(), 2u);
  EXPECT_EQ(take(world, 9).items.size(), 3u);
}

TEST(Results, OfOneQueueOnly) {
  ShardWorld world;
  finish(world, "a");
  const TaskId b = finish(world, "b");
  const auto pulled = take(world, 9, "b");
  ASSERT_EQ(pulled.items.size(), 1u);
  EXPECT_EQ(pulled.items[0].id, b);
  EXPECT_TRUE(take(world, 9, "none").items.empty());
}

TEST(Results, UnacknowledgedComeAgainAfterTheirVisibility) {
  ShardWorld world;
  const TaskId id = finish(world);
  const auto first = pull(world);
  EXPECT_EQ(first.items.size(), 1u);
  EXPECT_NE(first.receipt, 0u);
  EXPECT_TRUE(pull(world).items.empty());
  EXPECT_TRUE(take(world).items.empty());
  world.pass(seconds(30));
  const auto second = pull(world);
  ASSERT_EQ(second.items.size(), 1u);
  EXPECT_EQ(second.items[0].id, id);
  EXPECT_NE(second.receipt, first.receipt);
}

TEST(Results, AcknowledgedNeverComeAgain) {
  ShardWorld world;
  finish(world);
  const auto pulled = pull(world);
  EXPECT_EQ(world.shard->apply(Ack{pulled.receipt, {}}, world.now, world.effects).delivered.size(), 1u);
  EXPECT_EQ(world.shard->apply(Ack{pulled.receipt, {}}, world.now, world.effects).delivered.size(), 0u);
  world.pass(minutes(1));
  EXPECT_TRUE(pull(world).items.empty());
}

TEST(Results, LateAcknowledgementByIdStillCounts) {
  ShardWorld world;
  const TaskId id = finish(world);
  const auto pulled = pull(world);
  world.pass(seconds(30));
  EXPECT_EQ(world.shard->apply(Ack{pulled.receipt, {}}, world.now, world.effects).delivered.size(), 0u);
  EXPECT_EQ(world.shard->apply(Ack{0, {id}}, world.now, world.effects).delivered.size(), 1u);
  EXPECT_TRUE(take(world).items.empty());
}

TEST(Results, AckOfSomeByIdLeavesTheOthersToTheirReceipt) {
  ShardWorld world;
  const TaskId a = finish(world);
  const TaskId b = finish(world);
  pull(world);
  world.shard->apply(Ack{0, {a}}, world.now, world.effects);
  world.pass(seconds(30));
  const auto again = pull(world);
  ASSERT_EQ(again.items.size(), 1u);
  EXPECT_EQ(again.items[0].id, b);
}

TEST(Results, PulledWithAReceiptComeAgainAfterARestart) {
  ShardWorld world;
  finish(world);
  pull(world);
  world.restart();
  EXPECT_EQ(pull(world).items.size(), 1u);
}

TEST(Results, APullStopsOnceItHasItsBytes) {
  ShardWorld world;
  for (int i = 0; i < 3; ++i) finish(world, "default", std::string(100, 'x'));
  const auto pull_bytes = [&](std::uint64_t bytes) {
    return world.shard->apply(Pull{9, bytes, "", seconds(30)}, world.now, world.effects).items.size();
  };
  EXPECT_EQ(pull_bytes(101), 2u);
  EXPECT_EQ(pull_bytes(1), 1u) << "one goes however large it is";
}

TEST(Results, WithheldAreNotAcknowledgedWithTheirReceiptAndComeAgain) {
  ShardWorld world;
  const TaskId a = finish(world);
  const TaskId b = finish(world);
  const auto pulled = pull(world);
  world.shard->apply(Withhold{pulled.receipt, {b}}, world.now, world.effects);
  EXPECT_EQ(world.shard->apply(Ack{pulled.receipt, {}}, world.now, world.effects).delivered.size(), 1u);
  EXPECT_NE(world.record(a).delivered_at, kNoInstant);
  EXPECT_EQ(world.record(b).delivered_at, kNoInstant);
  EXPECT_TRUE(pull(world).items.empty()) << "not before its time, or it would be pulled in a loop";
  world.pass(seconds(30));
  const auto again = pull(world);
  ASSERT_EQ(again.items.size(), 1u);
  EXPECT_EQ(again.items[0].id, b);
}

TEST(Results, PutBackArePulledAgainAtOnceAndAreNoneOfTheirReceiptAnyMore) {
  ShardWorld world;
  const TaskId a = finish(world);
  const TaskId b = finish(world);
  const TaskId c = finish(world);
  const auto pulled = pull(world);
  const PutBack command{{pulled.receipt}, {c, b, TaskId{0, 1, 999}}};
  EXPECT_EQ(world.shard->apply(command, world.now, world.effects).put_back, 2u);
  EXPECT_EQ(world.shard->apply(command, world.now, world.effects).put_back, 0u) << "again";
  EXPECT_EQ(world.shard->apply(PutBack{{pulled.receipt + 1}, {a}}, world.now, world.effects).put_back, 0u);
  const auto again = pull(world);
  ASSERT_EQ(again.items.size(), 2u);
  EXPECT_EQ(again.items[0].id, b) << "the oldest first";
  EXPECT_EQ(again.items[1].id, c);
  // What somebody else has pulled by now is not to be put back by who had it before.
  EXPECT_EQ(world.shard->apply(command, world.now, world.effects).put_back, 0u);
  const auto acknowledged = world.shard->apply(Ack{pulled.receipt, {}}, world.now, world.effects);
  EXPECT_EQ(acknowledged.delivered, std::vector<TaskId>{a});
  EXPECT_EQ(world.shard->apply(Ack{again.receipt, {}}, world.now, world.effects).delivered.size(), 2u);
}

TEST(Results, WithholdingWhatIsNotThereDoesNothing) {
  ShardWorld world;
  const TaskId a = finish(world);
  const auto pulled = pull(world);
  world.shard->apply(Withhold{pulled.receipt + 1, {a}}, world.now, world.effects);
  world.shard->apply(Withhold{pulled.receipt, {TaskId{0, 1, 999}}}, world.now, world.effects);
  EXPECT_EQ(world.shard->apply(Ack{pulled.receipt, {}}, world.now, world.effects).delivered.size(), 1u);
}

TEST(Results, AreKeptUntilDeliveredAndRetentionHasPassed) {
  ShardWorld world;
  const TaskId id = finish(world);
  world.pass(hours(24 * 365));
  EXPECT_EQ(world.state(id), TaskState::kDone);
  take(world);
  world.pass(limits::kRetentionDefault - seconds(1));
  EXPECT_EQ(world.state(id), TaskState::kDone);
  world.pass(seconds(1));
  EXPECT_FALSE(world.shard->find(id).has_value());
}

TEST(Results, DeliveredBeyondTheByteLimitGoOldestFirstButNotAtOnce) {
  ShardWorld world;
  QueueRecord settings;
  settings.name = "default";
  settings.retention_bytes = 2 * (100 + kKeptTaskBytes) + 50;
  world.shard->apply(SetQueue{settings}, world.now, world.effects).value();
  const TaskId a = finish(world, "default", std::string(100, 'a'));
  take(world);
  world.pass(seconds(1));
  const TaskId b = finish(world, "default", std::string(100, 'b'));
  const TaskId c = finish(world, "default", std::string(100, 'c'));
  take(world);
  world.pass(seconds(1));
  EXPECT_TRUE(world.shard->find(a).has_value()) << "its answer may still be on the way";
  EXPECT_EQ(world.shard->wake_at(), world.record(a).delivered_at + kRetentionMin);
  world.pass(kRetentionMin);
  EXPECT_FALSE(world.shard->find(a).has_value());
  EXPECT_TRUE(world.shard->find(b).has_value());
  EXPECT_TRUE(world.shard->find(c).has_value());
}

TEST(Results, OldestUndeliveredLooksAtTheQueueAsked) {
  ShardWorld world;
  EXPECT_FALSE(world.shard->oldest_undelivered("").has_value());
  const TaskId a = finish(world, "a");
  world.pass(seconds(1));
  const TaskId b = finish(world, "b");
  EXPECT_EQ(world.shard->oldest_undelivered("")->second, a);
  EXPECT_EQ(world.shard->oldest_undelivered("b")->second, b);
}

}  // namespace
}  // namespace skep::queue
