// SPDX-License-Identifier: Apache-2.0
// Goal: what a task's life is from enqueue to its end. Method: one shard, a clock moved by hand, one story a
// test.
#include "queue/shard.h"

#include <gtest/gtest.h>

#include "queue/backoff.h"
#include "queue/testing/shard_world.h"

namespace skep::queue {
namespace {

using testing::blob;
using testing::ShardWorld;

TEST(Shard, EnqueuedTaskIsQueuedAndPersistedWithItsBody) {
  ShardWorld world;
  const TaskId id = world.enqueue(world.spec(3), "hello");
  EXPECT_EQ(world.state(id), TaskState::kQueued);
  ASSERT_EQ(world.effects.changes.size(), 1u);
  const auto& put = std::get<PutTask>(world.effects.changes[0]);
  EXPECT_EQ(put.record->id, id);
  EXPECT_EQ(*put.body, "hello");
  EXPECT_EQ(put.record->body_bytes, 5u);
  EXPECT_TRUE(world.effects.needs_sync);
}

TEST(Shard, IdsRiseAndCarryShardAndEpoch) {
  ShardWorld world(3);
  const TaskId a = world.enqueue();
  const TaskId b = world.enqueue();
  EXPECT_LT(a, b);
  EXPECT_EQ(a.epoch, 3u);
  EXPECT_EQ(a.shard, 0u);
}

TEST(Shard, BatchIsRefusedWholeWhenOneSpecIsWrong) {
  ShardWorld world;
  Enqueue batch;
  batch.items.push_back({world.spec(), blob("a")});
  batch.items.push_back({world.spec(0), blob("b")});
  const auto reply = world.shard->apply(batch, world.now, world.effects);
  ASSERT_FALSE(reply.has_value());
  EXPECT_EQ(reply.error().code, Code::kInvalid);
  EXPECT_NE(reply.error().message.find("task 1"), std::string::npos);
  EXPECT_EQ(world.shard->size(), 0u);
}

TEST(Shard, SameIdempotencyKeyGivesTheSameTaskWithItsState) {
  ShardWorld world;
  TaskSpec spec = world.spec();
  spec.idempotency_key = "k";
  const TaskId id = world.enqueue(spec);
  world.complete(world.lease_one("w")).value();
  const auto again = world.shard->apply(Enqueue{{{spec, blob("other")}}}, world.now, world.effects).value();
  EXPECT_EQ(again[0].id, id);
  EXPECT_TRUE(again[0].is_existing);
  EXPECT_EQ(again[0].state, TaskState::kDone);
  EXPECT_EQ(world.shard->size(), 1u);
}

TEST(Shard, SameKeyInAnotherQueueIsAnotherTask) {
  ShardWorld world;
  TaskSpec spec = world.spec();
  spec.idempotency_key = "k";
  const TaskId id = world.enqueue(spec);
  spec.queue = "other";
  EXPECT_NE(world.enqueue(spec), id);
}

TEST(Shard, SameKeyTwiceInOneBatchIsOneTask) {
  ShardWorld world;
  TaskSpec spec = world.spec();
  spec.idempotency_key = "k";
  const auto reply =
      world.shard->apply(Enqueue{{{spec, blob("a")}, {spec, blob("a")}}}, world.now, world.effects).value();
  EXPECT_EQ(reply[0].id, reply[1].id);
  EXPECT_TRUE(reply[1].is_existing);
}

TEST(Shard, DelayedTaskIsLeasedOnlyAfterItsDelay) {
  ShardWorld world;
  TaskSpec spec = world.spec();
  spec.delay = seconds(10);
  const TaskId id = world.enqueue(spec);
  EXPECT_EQ(world.state(id), TaskState::kDelayed);
  world.pass(seconds(9));
  EXPECT_TRUE(world.lease("w").empty());
  world.pass(seconds(1));
  EXPECT_EQ(world.lease("w").size(), 1u);
}

TEST(Shard, TaskNotStartedByItsStartDeadlineIsDead) {
  ShardWorld world;
  TaskSpec spec = world.spec();
  spec.delay = seconds(5);
  spec.start_deadline = seconds(10);
  const TaskId id = world.enqueue(spec);
  world.pass(seconds(5));
  world.pass(seconds(9));
  EXPECT_EQ(world.state(id), TaskState::kQueued);
  world.pass(seconds(1));
  EXPECT_EQ(world.state(id), TaskState::kDead);
  EXPECT_NE(world.record(id).reason.find("not started within 10s"), std::string::npos)
      << world.record(id).reason;
}

TEST(Shard, StartDeadlineDoesNotCountOnceItWasStarted) {
  ShardWorld world;
  TaskSpec spec = world.spec();
  spec.start_deadline = seconds(10);
  const TaskId id = world.enqueue(spec);
  const auto token = world.lease_one("w");
  world.pass(seconds(12));
  world.fail_attempt(token).value();
  world.pass(minutes(10));
  EXPECT_EQ(world.state(id), TaskState::kQueued);
}

TEST(Shard, FailedAttemptBacksOffAndIsTriedAgain) {
  ShardWorld world;
  const TaskId id = world.enqueue();
  const auto token = world.lease_one("w");
  EXPECT_EQ(world.fail_attempt(token, "exit code 1").value().state, TaskState::kDelayed);
  EXPECT_EQ(world.record(id).attempts_failed, 1u);
  EXPECT_TRUE(world.lease("w").empty());
  world.pass(limits::kBackoffFirst);
  EXPECT_EQ(world.lease("w").size(), 1u);
  ASSERT_EQ(world.record(id).errors.size(), 1u);
  EXPECT_EQ(world.record(id).errors[0].message, "exit code 1");
  EXPECT_EQ(world.record(id).errors[0].end, AttemptEnd::kFailed);
}

// A message that ends inside a character would be no text, and no answer with it could be read.
TEST(Shard, LongErrorIsCutBetweenCharacters) {
  ShardWorld world;
  const std::string fits(limits::kErrorBytesMax - 1, 'e');
  for (const auto* character : {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x90\x9d"}) {
    const TaskId id = world.enqueue();
    EXPECT_TRUE(world.fail_attempt(world.lease_one("w"), fits + character + "more").has_value());
    EXPECT_EQ(world.record(id).errors.at(0).message, fits);
  }
  const TaskId id = world.enqueue();
  EXPECT_TRUE(world.fail_attempt(world.lease_one("w"), fits + "ef").has_value());
  EXPECT_EQ(world.record(id).errors.at(0).message, fits + "e");
}

TEST(Shard, UsedUpAttemptsMakeItDeadWithEveryError) {
  ShardWorld world;
  TaskSpec spec = world.spec();
  spec.attempts_max = 3;
  const TaskId id = world.enqueue(spec);
  for (int i = 1; i <= 3; ++i) {
    world.pass(minutes(10));
    const auto state = world.fail_attempt(world.lease_one("w"), "error " + std::to_string(i)).value().state;
    EXPECT_EQ(state, i < 3 ? TaskState::kDelayed : TaskState::kDead);
  }
  const auto& record = world.record(id);
  ASSERT_EQ(record.errors.size(), 3u);
  EXPECT_EQ(record.errors[0].message, "error 1");
  EXPECT_EQ(record.errors[2].message, "error 3");
  EXPECT_NE(record.reason.find("3 of 3"), std::string::npos);
}

TEST(Shard, PermanentFailureIsNotRetried) {
  ShardWorld world;
  const TaskId id = world.enqueue();
  const auto token = world.lease_one("w");
  const auto reply =
      world.shard->apply(Fail{"w", token, "bad input", true, false}, world.now, world.effects).value();
  EXPECT_EQ(reply.state, TaskState::kDead);
  EXPECT_NE(world.record(id).reason.find("bad input"), std::string::npos);
}

TEST(Shard, BackoffDoublesStaysInItsHalfAndIsBounded) {
  Random random(1);
  for (std::uint32_t failures = 1; failures < 100; ++failures) {
    const Duration delay = backoff(failures, random);
    const std::uint32_t doublings = std::min(failures - 1, 20u);
    const Duration full =
        std::min(limits::kBackoffFirst * (std::int64_t{1} << doublings), Duration(limits::kBackoffMax));
    EXPECT_GE(delay, full / 2);
    EXPECT_LE(delay, full);
  }
}

TEST(Shard, DeadTaskIsRetriedByHandWithFreshBudgets) {
  ShardWorld world;
  TaskSpec spec = world.spec();
  spec.attempts_max = 1;
  const TaskId id = world.enqueue(spec);
  world.fail_attempt(world.lease_one("w")).value();
  ASSERT_EQ(world.state(id), TaskState::kDead);
  const auto retried = world.shard->apply(Retry{id}, world.now, world.effects).value();
  EXPECT_EQ(retried.state, TaskState::kQueued);
  EXPECT_EQ(retried.attempts_failed, 0u);
  EXPECT_EQ(retried.errors.size(), 1u);
  world.complete(world.lease_one("w")).value();
  EXPECT_EQ(world.state(id), TaskState::kDone);
}

TEST(Shard, OnlyADeadTaskCanBeRetried) {
  ShardWorld world;
  const TaskId id = world.enqueue();
  EXPECT_EQ(world.shard->apply(Retry{id}, world.now, world.effects).error().code, Code::kConflict);
  EXPECT_EQ(world.shard->apply(Retry{TaskId{0, 1, 99}}, world.now, world.effects).error().code,
            Code::kNotFound);
}

TEST(Shard, CancelEndsAnUnfinishedTaskInEveryState) {
  ShardWorld world;
  const TaskId queued = world.enqueue();
  TaskSpec spec = world.spec();
  spec.delay = seconds(5);
  const TaskId delayed = world.enqueue(spec);
  const auto token = world.lease_one("w");
  ASSERT_EQ(token.task, queued);
  for (const TaskId& id : {queued, delayed}) {
    EXPECT_EQ(world.shard->apply(Cancel{id}, world.now, world.effects).value().state, TaskState::kCancelled);
    EXPECT_EQ(world.shard->apply(Cancel{id}, world.now, world.effects).value().state, TaskState::kCancelled);
  }
  EXPECT_EQ(world.complete(token).error().code, Code::kConflict);
  const auto extended =
      world.shard->apply(Extend{"w", seconds(15), {{token, true}}}, world.now, world.effects);
  EXPECT_EQ(extended.cancelled, std::vector{token});
}

TEST(Shard, DoneTaskCanNotBeCancelled) {
  ShardWorld world;
  const TaskId id = world.enqueue();
  world.complete(world.lease_one("w")).value();
  EXPECT_EQ(world.shard->apply(Cancel{id}, world.now, world.effects).error().code, Code::kConflict);
}

TEST(Shard, FullQueueRefusesAndTakesAgainWhenThereIsRoom) {
  ShardWorld world;
  QueueRecord settings;
  settings.name = "default";
  settings.depth_max = 2;
  world.shard->apply(SetQueue{settings}, world.now, world.effects).value();
  world.enqueue();
  world.enqueue();
  const auto refused = world.shard->apply(Enqueue{{{world.spec(), blob("x")}}}, world.now, world.effects);
  EXPECT_EQ(refused.error().code, Code::kExhausted);
  using Full = std::vector<std::pair<std::string, std::uint64_t>>;
  EXPECT_EQ(world.shard->full_queues(), (Full{{"default", 2}}));
  world.lease_one("w");
  EXPECT_EQ(world.shard->full_queues(), Full{});
  world.enqueue();
}

TEST(Shard, TooManyQueuesAreRefusedButUnusedOnesMakeRoom) {
  ShardWorld world;
  for (std::size_t i = 0; i < limits::kQueuesMax; ++i) {
    TaskSpec spec = world.spec();
    spec.queue = "q" + std::to_string(i);
    world.enqueue(spec);
  }
  TaskSpec spec = world.spec();
  spec.queue = "one-more";
  EXPECT_EQ(world.shard->apply(Enqueue{{{spec, blob("x")}}}, world.now, world.effects).error().code,
            Code::kExhausted);
  const auto first = world.shard->list({{}, "q0", "", {}, 1}).tasks.front();
  world.shard->apply(Cancel{first.id}, world.now, world.effects).value();
  world.pass(hours(2));  // past retention: the record is gone, the queue is unused
  EXPECT_TRUE(world.shard->apply(Enqueue{{{spec, blob("x")}}}, world.now, world.effects).has_value());
}

// All that there may be: q0 .. q999, each with a task that is dead.
std::vector<TaskId> fill_with_dead_tasks(ShardWorld& world) {
  std::vector<TaskId> dead;
  for (std::size_t i = 0; i < limits::kQueuesMax; ++i) {
    TaskSpec spec = world.spec();
    spec.queue = "q" + std::to_string(i);
    spec.attempts_max = 1;
    dead.push_back(world.enqueue(spec));
    world.now += milliseconds(1);
    world.fail_attempt(world.lease_one("w")).value();
  }
  return dead;
}

TEST(Shard, QueuesAtRestMakeRoomForNewOnesTheLongestFirst) {
  ShardWorld world;
  const auto dead = fill_with_dead_tasks(world);
  TaskSpec spec = world.spec();
  spec.queue = "one-more";
  const Enqueue one_more{{{spec, blob("x")}}};
  EXPECT_EQ(world.shard->check(one_more, world.now).error().code, Code::kExhausted);  // the answers are fresh
  world.pass(kRestMin);
  EXPECT_TRUE(world.shard->check(one_more, world.now).has_value());
  EXPECT_EQ(world.shard->size(), dead.size());  // a question changes nothing
  world.effects = {};
  ASSERT_TRUE(world.shard->apply(one_more, world.now, world.effects).has_value());
  world.shard->check_invariants();
  EXPECT_FALSE(world.shard->find(dead.front()).has_value());
  EXPECT_TRUE(world.shard->find(dead.back()).has_value());
  EXPECT_GT(world.shard->queues().size(), limits::kQueuesMax / 2);
  EXPECT_EQ(std::get<EraseTask>(world.effects.changes.front()).id, dead.front());
  QueueRecord settings;
  settings.name = "with-settings";
  for (std::size_t i = 0; i < limits::kQueuesMax; ++i) {
    settings.name = "s" + std::to_string(i);
    const auto made = world.shard->apply(SetQueue{settings}, world.now, world.effects);
    EXPECT_EQ(made.has_value(), i + 1 < limits::kQueuesMax);  // one has an unfinished task
  }
  EXPECT_EQ(world.shard->size(), 1u);
  world.shard->check_invariants();
}

TEST(Shard, QueuesWithUnfinishedTasksUndeliveredResultsSettingsOrMuchInThemDoNotMakeRoom) {
  ShardWorld world;
  TaskSpec spec = world.spec();
  spec.queue = "undelivered";
  const TaskId undelivered = world.enqueue(spec);
  world.complete(world.lease_one("w")).value();
  spec.queue = "large";
  for (std::uint64_t i = 0; i <= kRestingTasksMax; ++i) {
    const TaskId id = world.enqueue(spec);
    world.shard->apply(Cancel{id}, world.now, world.effects).value();
  }
  spec.queue = "delivered";
  const TaskId delivered = world.enqueue(spec);
  world.complete(world.lease_one("w")).value();
  world.shard->apply(Ack{0, {delivered}}, world.now, world.effects);
  spec.queue = "named";
  spec.idempotency_key = "key";
  const TaskId named = world.enqueue(spec);
  world.shard->apply(Cancel{named}, world.now, world.effects).value();
  const Enqueue::Item again{spec, blob("x")};
  spec.idempotency_key.clear();
  for (std::size_t i = 4; i < limits::kQueuesMax; ++i) {
    spec.queue = "open" + std::to_string(i);
    world.enqueue(spec);
  }
  world.pass(kRestMin);
  spec.queue = "new";
  // It names a queue at rest: of the other two that are nothing open, one can not go and one does.
  const auto reply = world.shard->apply(Enqueue{{again, {spec, blob("x")}}}, world.now, world.effects);
  ASSERT_TRUE(reply.has_value());
  EXPECT_TRUE(reply.value()[0].is_existing);
  EXPECT_FALSE(world.shard->find(delivered).has_value());
  EXPECT_TRUE(world.shard->find(undelivered).has_value());
  spec.queue = "newer";
  EXPECT_EQ(world.shard->apply(Enqueue{{again, {spec, blob("x")}}}, world.now, world.effects).error().code,
            Code::kExhausted);
  world.shard->check_invariants();
}

TEST(Shard, EnqueueIntoManyNewQueuesInOneBatchHoldsTheLimit) {
  ShardWorld world;
  Enqueue batch;
  for (std::size_t i = 0; i <= limits::kQueuesMax; ++i) {
    TaskSpec spec = world.spec();
    spec.queue = "q" + std::to_string(i);
    batch.items.push_back({spec, blob("x")});
  }
  EXPECT_EQ(world.shard->apply(batch, world.now, world.effects).error().code, Code::kExhausted);
  EXPECT_EQ(world.shard->size(), 0u);
}

TEST(Shard, FinishedTasksAreForgottenAfterTheirRetention) {
  ShardWorld world;
  QueueRecord settings;
  settings.name = "default";
  settings.retention = minutes(1);
  settings.dead_retention = minutes(2);
  world.shard->apply(SetQueue{settings}, world.now, world.effects).value();
  const TaskId cancelled = world.enqueue();
  world.shard->apply(Cancel{cancelled}, world.now, world.effects).value();
  TaskSpec spec = world.spec();
  spec.attempts_max = 1;
  const TaskId dead = world.enqueue(spec);
  world.fail_attempt(world.lease_one("w")).value();
  world.effects = {};
  world.pass(minutes(1));
  EXPECT_FALSE(world.shard->find(cancelled).has_value());
  EXPECT_TRUE(world.shard->find(dead).has_value());
  ASSERT_EQ(world.effects.changes.size(), 1u);
  EXPECT_EQ(std::get<EraseTask>(world.effects.changes[0]).id, cancelled);
  world.pass(minutes(1));
  EXPECT_FALSE(world.shard->find(dead).has_value());
}

TEST(Shard, NewRetentionCountsForTasksThatAreFinishedAlready) {
  ShardWorld world;
  const TaskId id = world.enqueue();
  world.shard->apply(Cancel{id}, world.now, world.effects).value();
  QueueRecord settings;
  settings.name = "default";
  settings.retention = seconds(30);
  world.shard->apply(SetQueue{settings}, world.now, world.effects).value();
  world.shard->check_invariants();
  world.pass(seconds(30));
  EXPECT_FALSE(world.shard->find(id).has_value());
}

TEST(Shard, ForgottenTaskFreesItsIdempotencyKey) {
  ShardWorld world;
  TaskSpec spec = world.spec();
  spec.idempotency_key = "k";
  const TaskId id = world.enqueue(spec);
  world.shard->apply(Cancel{id}, world.now, world.effects).value();
  world.pass(hours(2));
  EXPECT_NE(world.enqueue(spec), id);
}

TEST(Shard, ListFiltersAndGoesOnFromItsCursor) {
  ShardWorld world;
  std::vector<TaskId> tagged;
  for (int i = 0; i < 10; ++i) {
    TaskSpec spec = world.spec();
    if (i % 2 == 0) spec.tags = {"even"};
    const TaskId id = world.enqueue(spec);
    if (i % 2 == 0) tagged.push_back(id);
  }
  ListTasks query;
  query.tag = "even";
  query.limit = 2;
  std::vector<TaskId> seen;
  for (;;) {
    const auto page = world.shard->list(query);
    EXPECT_LE(page.tasks.size(), 2u);
    for (const auto& record : page.tasks) seen.push_back(record.id);
    if (!page.next) break;
    query.after = *page.next;
  }
  EXPECT_EQ(seen, tagged);
}

TEST(Shard, RestartKeepsEveryTaskAndItsPlace) {
  ShardWorld world;
  const TaskId queued = world.enqueue();
  TaskSpec spec = world.spec();
  spec.delay = seconds(30);
  spec.idempotency_key = "k";
  const TaskId delayed = world.enqueue(spec);
  world.restart();
  EXPECT_EQ(world.state(queued), TaskState::kQueued);
  EXPECT_EQ(world.state(delayed), TaskState::kDelayed);
  EXPECT_EQ(world.enqueue(spec), delayed);
  EXPECT_EQ(world.enqueue().epoch, 2u);
  EXPECT_EQ(world.lease_one("w").task, queued);
}

TEST(Shard, AFullQueueStillAnswersForAKeyThatItHolds) {
  ShardWorld world;
  QueueRecord settings;
  settings.name = "default";
  settings.depth_max = 1;
  ASSERT_TRUE(world.shard->apply(SetQueue{settings}, world.now, world.effects).has_value());
  TaskSpec spec = world.spec();
  spec.idempotency_key = "k";
  const Enqueue twice{{{spec, testing::blob("b")}, {spec, testing::blob("b")}}};
  const auto first = world.shard->apply(twice, world.now, world.effects);
  ASSERT_TRUE(first.has_value()) << first.error().message;
  EXPECT_EQ(first.value()[0].id, first.value()[1].id);
  EXPECT_TRUE(world.shard->apply(twice, world.now, world.effects).has_value());
  spec.idempotency_key = "other";
  const auto other = world.shard->apply(Enqueue{{{spec, testing::blob("b")}}}, world.now, world.effects);
  ASSERT_FALSE(other.has_value());
  EXPECT_EQ(other.error().code, Code::kExhausted);
}

}  // namespace
}  // namespace skep::queue
