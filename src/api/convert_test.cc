// SPDX-License-Identifier: Apache-2.0
// Between nouns and messages: options come back equal, defaults are filled in, what is out of range is
// refused.
#include "api/convert.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace skep::api {
namespace {

v1::TaskOptions sha512(std::uint64_t iterations) {
  v1::TaskOptions options;
  options.set_iterations(iterations);
  return options;
}

TEST(Convert, ZeroValuesMeanTheDefaults) {
  const auto spec = to_spec(sha512(7));
  ASSERT_TRUE(spec.has_value());
  TaskSpec expected;
  expected.iterations = 7;
  EXPECT_EQ(spec.value(), expected);
}

TEST(Convert, PriorityZeroIsNotTheDefault) {
  auto options = sha512(1);
  options.set_priority(0);
  EXPECT_EQ(to_spec(options).value().priority, 0u);
}

TEST(Convert, DurationsThatDoNotFitAreRefusedNotWrapped) {
  auto options = sha512(1);
  options.set_delay_ms(std::numeric_limits<std::uint64_t>::max());
  const auto spec = to_spec(options);
  ASSERT_FALSE(spec.has_value());
  EXPECT_EQ(spec.error().code, Code::kInvalid);
}

TEST(Convert, ImpossibleOptionsAreRefused) {
  EXPECT_FALSE(to_spec(sha512(0)).has_value());
  auto options = sha512(1);
  options.set_priority(10);
  EXPECT_FALSE(to_spec(options).has_value());
  options = sha512(1);
  options.set_queue("no blanks");
  EXPECT_FALSE(to_spec(options).has_value());
}

RC_GTEST_PROP(Convert, SpecComesBackEqual, ()) {
  TaskSpec spec;
  spec.iterations = *rc::gen::inRange<std::uint64_t>(1, limits::kIterationsMax);
  spec.priority = *rc::gen::inRange(0u, limits::kPriorityMax + 1);
  spec.attempts_max = *rc::gen::inRange(1u, limits::kAttemptsMaxMax);
  spec.delay = milliseconds(*rc::gen::inRange(0, 1'000'000));
  spec.start_deadline = milliseconds(*rc::gen::inRange(0, 1'000'000));
  spec.run_timeout = milliseconds(*rc::gen::inRange(0, 1'000'000));
  spec.tags = {"a", "b"};
  spec.keep_checkpoints = *rc::gen::arbitrary<bool>();
  v1::TaskOptions options;
  from_spec(spec, options);
  const auto again = to_spec(options);
  RC_ASSERT(again.has_value());
  RC_ASSERT(again.value() == spec);
}

TEST(Convert, CheckpointIsAnOptionOfSha512Alone) {
  auto options = sha512(2);
  EXPECT_TRUE(to_spec(options).value().keep_checkpoints);
  options.set_checkpoint(false);
  EXPECT_FALSE(to_spec(options).value().keep_checkpoints);
  v1::TaskOptions command;
  command.set_kind("command");
  command.set_program("p");
  const auto spec = to_spec(command);
  ASSERT_TRUE(spec.has_value());
  v1::TaskOptions again;
  from_spec(spec.value(), again);
  EXPECT_FALSE(again.has_checkpoint());
  for (const bool value : {true, false}) {
    command.set_checkpoint(value);
    const auto refused = to_spec(command);
    ASSERT_FALSE(refused.has_value());
    EXPECT_NE(refused.error().message.find("only for tasks of kind 'sha512'"), std::string::npos);
  }
}

TEST(Convert, RecordShowsItsCheckpointWithoutTheDigest) {
  TaskRecord record;
  record.checkpoint = Checkpoint{7, std::string(limits::kCheckpointBytes, 'd'), from_unix_ms(4'000)};
  v1::Task task;
  from_record(record, task);
  EXPECT_EQ(task.checkpoint_iterations(), 7u);
  EXPECT_EQ(task.checkpoint_at_ms(), 4'000);
}

TEST(Convert, RecordShowsItsLeaseOnlyWhileLeased) {
  TaskRecord record;
  record.id = {1, 2, 3};
  record.lease_expires_at = from_unix_ms(5'000);
  record.errors.push_back({1, AttemptEnd::kWorkerLost, from_unix_ms(4'000), "w", "gone"});
  v1::Task task;
  from_record(record, task);
  EXPECT_EQ(task.id(), record.id.to_string());
  EXPECT_EQ(task.state(), "queued");
  EXPECT_EQ(task.lease_expires_at_ms(), 0);
  ASSERT_EQ(task.errors_size(), 1);
  EXPECT_EQ(task.errors(0).end(), "worker_lost");
  EXPECT_EQ(task.errors(0).at_ms(), 4'000);
  record.state = TaskState::kLeased;
  v1::Task leased;
  from_record(record, leased);
  EXPECT_EQ(leased.lease_expires_at_ms(), 5'000);
}

TEST(Convert, PatchChangesOnlyWhatIsGiven) {
  QueueRecord record;
  record.name = "q";
  record.depth_max = 9;
  v1::PatchQueueRequest patch;
  patch.set_paused(true);
  patch.set_retention_ms(1'500);
  const auto changed = patched(record, patch);
  ASSERT_TRUE(changed.has_value());
  QueueRecord expected = record;
  expected.is_paused = true;
  expected.retention = milliseconds(1'500);
  EXPECT_EQ(changed.value(), expected);
  v1::Queue queue;
  from_queue(changed.value(), queue);
  EXPECT_TRUE(queue.paused());
  EXPECT_EQ(queue.max_depth(), 9u);
  EXPECT_EQ(queue.retention_ms(), 1'500u);
}

TEST(Convert, PatchOutOfRangeIsRefused) {
  v1::PatchQueueRequest patch;
  patch.set_dead_retention_ms(std::numeric_limits<std::uint64_t>::max());
  EXPECT_FALSE(patched({}, patch).has_value());
}

}  // namespace
}  // namespace skep::api
