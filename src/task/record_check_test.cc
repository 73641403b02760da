// SPDX-License-Identifier: Apache-2.0
// Goal: a record as the core leaves it has no problem; each field that does not fit the others is named.
// Method: one sound record for each state, and one change to it for each rule.
#include "task/record_check.h"

#include <gtest/gtest.h>

#include <functional>

namespace skep {
namespace {

constexpr Epoch kEpoch = 5;
constexpr Instant kNow = Instant(seconds(1'000'000));

TaskRecord sound(TaskState state) {
  TaskRecord r;
  r.id = {0, 3, 7};
  r.spec.iterations = 1;
  r.state = state;
  r.enqueued_at = r.ready_at = r.queued_at = kNow;
  if (state == TaskState::kDelayed || state == TaskState::kQueued) return r;
  r.lease_epoch = 4;
  r.lease_number = 2;
  r.worker = "w";
  r.leased_at = r.started_at = r.lease_expires_at = kNow;
  r.attempts_failed = 1;
  r.errors.push_back({1, AttemptEnd::kFailed, kNow, "w", "broke"});
  if (is_terminal(state)) r.finished_at = kNow;
  if (state == TaskState::kDead || state == TaskState::kCancelled) r.reason = "why";
  if (state == TaskState::kDone) {
    r.result_bytes = 1;
    r.result_hash = 9;
    r.completion = 1;
    r.completion_epoch = 4;
    r.delivered_at = kNow;
  }
  return r;
}

// With a checkpoint after 3 of 9 iterations.
TaskRecord halfway(TaskState state) {
  TaskRecord r = sound(state);
  r.spec.iterations = 9;
  r.lease_epoch = 4;
  r.lease_number = 2;
  r.checkpoint = Checkpoint{3, std::string(limits::kCheckpointBytes, 'd'), kNow};
  return r;
}

TEST(RecordCheck, AnUnfinishedOrDeadTaskMayHaveACheckpoint) {
  for (const auto state : {TaskState::kDelayed, TaskState::kQueued, TaskState::kLeased, TaskState::kDead}) {
    TaskRecord r = halfway(state);
    EXPECT_TRUE(check_record(r, kEpoch).empty()) << state_name(state);
    r.resumed_from = 3;
    EXPECT_TRUE(check_record(r, kEpoch).empty()) << state_name(state);
  }
}

TEST(RecordCheck, SoundRecordsOfEveryStateHaveNoProblem) {
  for (const auto state : {TaskState::kDelayed, TaskState::kQueued, TaskState::kLeased, TaskState::kDone,
                           TaskState::kDead, TaskState::kCancelled}) {
    const auto problems = check_record(sound(state), kEpoch);
    EXPECT_TRUE(problems.empty()) << state_name(state) << ": " << problems.front();
  }
}

TEST(RecordCheck, AResultOfALeaseThatACrashForgotIsSound) {
  TaskRecord r = sound(TaskState::kDone);
  r.lease_epoch = r.lease_number = 0;
  r.leased_at = r.started_at = r.lease_expires_at = kNoInstant;
  r.attempts_failed = 0;
  r.errors.clear();
  EXPECT_TRUE(check_record(r, kEpoch).empty());
}

TEST(RecordCheck, ErrorsOutliveARetryByHand) {
  TaskRecord r = sound(TaskState::kQueued);
  r.lease_epoch = 4;
  r.lease_number = 2;
  r.errors = sound(TaskState::kDead).errors;
  EXPECT_TRUE(check_record(r, kEpoch).empty());
}

struct Case {
  TaskState state;
  std::string expected;
  std::function<void(TaskRecord&)> change;
};

void expect_named(const Case& c, TaskRecord r) {
  c.change(r);
  std::string all;
  for (const auto& problem : check_record(r, kEpoch)) all += problem + "; ";
  EXPECT_NE(all.find(c.expected), std::string::npos) << "wanted: " << c.expected << "\nfound: " << all;
}

TEST(RecordCheck, EachRuleIsNamed) {
  using S = TaskState;
  const std::vector<Case> cases{
      {S::kQueued, "iterations is 0", [](auto& r) { r.spec.iterations = 0; }},
      {S::kQueued, "its id has epoch 6, its shard has epoch 5", [](auto& r) { r.id.epoch = 6; }},
      {S::kQueued, "its id has epoch 0", [](auto& r) { r.id.epoch = 0; }},
      {S::kQueued, "sequence 0", [](auto& r) { r.id.sequence = 0; }},
      {S::kQueued, "it has no enqueued_at", [](auto& r) { r.enqueued_at = kNoInstant; }},
      {S::kDelayed, "it has no ready_at", [](auto& r) { r.ready_at = kNoInstant; }},
      {S::kQueued, "it is queued and has no queued_at", [](auto& r) { r.queued_at = kNoInstant; }},
      {S::kQueued, "it is queued and has a finished_at", [](auto& r) { r.finished_at = kNow; }},
      {S::kQueued, "it is queued and has a reason", [](auto& r) { r.reason = "why"; }},
      {S::kQueued, "it is queued and has a completion", [](auto& r) { r.completion = 1; }},
      {S::kQueued, "it is queued and has a completion", [](auto& r) { r.completion_epoch = 1; }},
      {S::kQueued, "it is queued and has a result", [](auto& r) { r.result_bytes = 1; }},
      {S::kQueued, "it is queued and has a result", [](auto& r) { r.result_hash = 1; }},
      {S::kDead, "it is dead and was delivered", [](auto& r) { r.delivered_at = kNow; }},
      {S::kLeased, "its lease has epoch 6", [](auto& r) { r.lease_epoch = 6; }},
      {S::kLeased, "it was leased in an epoch before its own", [](auto& r) { r.lease_epoch = 2; }},
      {S::kLeased, "its lease has epoch 0 and number 2", [](auto& r) { r.lease_epoch = 0; }},
      {S::kLeased, "it is leased and has no lease", [](auto& r) { r.lease_epoch = r.lease_number = 0; }},
      {S::kLeased, "it is leased and names no worker", [](auto& r) { r.worker.clear(); }},
      {S::kLeased, "it is leased and has no leased_at", [](auto& r) { r.leased_at = kNoInstant; }},
      {S::kLeased, "no lease_expires_at", [](auto& r) { r.lease_expires_at = kNoInstant; }},
      {S::kDone, "it is done and has no completion", [](auto& r) { r.completion = 0; }},
      {S::kDone, "its completion has epoch 6", [](auto& r) { r.completion_epoch = 6; }},
      {S::kDone, "completed in an epoch before its own", [](auto& r) { r.completion_epoch = 2; }},
      {S::kDone, "it is done and has no finished_at", [](auto& r) { r.finished_at = kNoInstant; }},
      {S::kDead, "it is dead and has no reason", [](auto& r) { r.reason.clear(); }},
      {S::kCancelled, "it is cancelled and has no reason", [](auto& r) { r.reason.clear(); }},
      {S::kDead, "it has attempts_failed 6 of 5", [](auto& r) { r.attempts_failed = 6; }},
      {S::kDead, "it has workers_lost 6 of 5", [](auto& r) { r.workers_lost = 6; }},
      {S::kDone, "used up (5 of 5) and it is not dead", [](auto& r) { r.attempts_failed = 5; }},
      {S::kLeased, "infrastructure budget is used up", [](auto& r) { r.workers_lost = 5; }},
      {S::kDead, "it has errors 1 and 3 spent attempts", [](auto& r) { r.attempts_failed = 3; }},
      {S::kDead, "an error is of attempt 0", [](auto& r) { r.errors[0].number = 0; }},
      {S::kDead, "an error is of attempt 3", [](auto& r) { r.errors[0].number = 3; }},
      {S::kDead, "message is too long",
       [](auto& r) { r.errors[0].message.assign(limits::kErrorBytesMax + 1, 'x'); }},
      {S::kDead, "it has errors 17", [](auto& r) { r.errors.resize(limits::kErrorsKept + 1, r.errors[0]); }},
  };
  for (const auto& c : cases) expect_named(c, sound(c.state));
}

TEST(RecordCheck, EachRuleOfACheckpointIsNamed) {
  using S = TaskState;
  const std::vector<Case> cases{
      {S::kQueued, "went on from iteration 9 of 9", [](auto& r) { r.resumed_from = 9; }},
      {S::kQueued, "went on from iteration 3 of 9 and it keeps none",
       [](auto& r) {
         r.spec.keep_checkpoints = false;
         r.resumed_from = 3;
       }},
      {S::kQueued, "the task keeps no checkpoints", [](auto& r) { r.spec.keep_checkpoints = false; }},
      {S::kLeased, "the checkpoint has 2 bytes", [](auto& r) { r.checkpoint->digest = "no"; }},
      {S::kLeased, "iterations_done is 9", [](auto& r) { r.checkpoint->iterations = 9; }},
      {S::kLeased, "its checkpoint never came", [](auto& r) { r.checkpoint->at = kNoInstant; }},
      {S::kQueued, "it has a checkpoint and never had a lease",
       [](auto& r) { r.lease_epoch = r.lease_number = 0; }},
      {S::kDone, "it is done and has a checkpoint", [](auto&) {}},
      {S::kCancelled, "it is cancelled and has a checkpoint", [](auto&) {}},
  };
  for (const auto& c : cases) expect_named(c, halfway(c.state));
}

TEST(RecordCheck, AQueueHasAValidName) {
  QueueRecord queue;
  queue.name = "default";
  EXPECT_TRUE(check_record(queue).empty());
  queue.name = "no blanks";
  EXPECT_EQ(check_record(queue).size(), 1u);
  queue.name = "default";
  queue.retention = Duration(-1);
  EXPECT_EQ(check_record(queue).size(), 1u);
}

}  // namespace
}  // namespace skep
