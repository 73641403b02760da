// SPDX-License-Identifier: Apache-2.0
// Goal: the explanation names the one thing that keeps a task where it is. Method: one input a state.
#include "manager/explain.h"

#include <gtest/gtest.h>

#include <limits>

namespace skep::manager {
namespace {

class Explain : public ::testing::Test {
 protected:
  Explain() {
    record.spec.iterations = 1;
    record.queued_at = now - seconds(10);
    input.record = &record;
    input.now = now;
    input.queue.settings.name = "default";
    input.workers = input.workers_fit = 1;
  }
  void expect(const std::string& part) {
    const std::string text = explain_task(input);
    EXPECT_NE(text.find(part), std::string::npos) << text;
  }

  const Instant now = Instant(hours(1'000));
  TaskRecord record;
  ExplainInput input;
};

TEST_F(Explain, QueuedSaysWhatIsMissing) {
  expect("has waited in queue 'default' since 10s ago");
  input.workers_fit = 0;
  expect("1 worker is there, but none runs kind 'sha512'");
  input.workers = 2;
  expect("2 workers are there");
  input.workers = 0;
  input.scaling = "one is booting";
  expect("No worker is registered. Scaling: one is booting.");
  input.workers_draining = 1;
  expect("1 worker is there, but drains and takes nothing more. Scaling: one is booting.");
  input.queue.settings.leased_max = 1;
  input.queue.counts.by_state[static_cast<std::size_t>(TaskState::kLeased)] = 1;
  expect("allows 1 leased task at once");
  input.queue.settings.is_paused = true;
  expect("paused");
}

TEST_F(Explain, SuspectIsSaidToBeOne) {
  record.workers_lost = 2;
  expect("given alone");
}

TEST_F(Explain, DelayedSaysByWhom) {
  record.state = TaskState::kDelayed;
  record.ready_at = now + seconds(5);
  expect("as the client asked");
  record.errors.push_back({1, AttemptEnd::kFailed, now, "w", "exit code 1"});
  record.attempts_failed = 1;
  expect("attempt 1 of 5 failed (exit code 1)");
}

TEST_F(Explain, LeasedSaysWhoHasIt) {
  record.state = TaskState::kLeased;
  record.worker = "w1-1";
  record.leased_at = now - seconds(3);
  record.lease_expires_at = now + seconds(12);
  expect("Worker w1-1 has it");
  expect("has not said yet that it runs it");
  record.started_at = now - seconds(2);
  expect("running since 2s ago");
}

TEST_F(Explain, LeasedSaysHowFarItIs) {
  record.state = TaskState::kLeased;
  record.spec.iterations = 1'000'000'000;
  input.progress = queue::RunProgress{374'000'000, now - seconds(2), 374'000'000, now - seconds(2)};
  expect(" 37.4 % done 2s ago: 374,000,000 of 1,000,000,000 iterations.");
  input.progress = queue::RunProgress{374'000'000, now - seconds(2), 333'000'000, now - seconds(12)};
  expect(" 37.4 % done 2s ago: 374,000,000 of 1,000,000,000 iterations at 4.1 M/s, about 2m 30s left.");
  input.progress->at = now - minutes(5);  // later than all would have been done
  input.progress->first_at = now - minutes(6);
  input.progress->first_done = 0;
  expect("at 6.2 M/s, about 0s left.");
  record.spec.iterations = std::numeric_limits<std::uint64_t>::max();
  expect("at 6.2 M/s, years left.");
}

TEST_F(Explain, WhoWaitsSaysWhatIsKept) {
  record.spec.iterations = 1'000;
  record.checkpoint = Checkpoint{400, "", now};
  for (const auto state : {TaskState::kQueued, TaskState::kDelayed, TaskState::kDead}) {
    record.state = state;
    expect("The next attempt goes on after 400 of 1,000 iterations (40.0 %), which are kept.");
  }
}

TEST_F(Explain, FinishedSaysHow) {
  record.finished_at = now - seconds(3);
  record.state = TaskState::kDone;
  expect("not pulled yet");
  record.delivered_at = now - seconds(1);
  expect("was delivered 1s ago");
  record.state = TaskState::kDead;
  record.reason = "5 of 5 attempts failed";
  expect("5 of 5 attempts failed");
  record.state = TaskState::kCancelled;
  expect("cancelled");
}

}  // namespace
}  // namespace skep::manager
