// SPDX-License-Identifier: Apache-2.0
// Goal: nothing is answered before it is durable, and what fails is not half there. Method: a host on virtual
// time over a store whose commits a test lets go one by one.
#include "manager/shard_host.h"

#include <gtest/gtest.h>

#include <deque>

#include "base/testing/virtual_executor.h"
#include "store/memory_tables.h"

namespace skep::manager {
namespace {

using skep::testing::VirtualExecutor;

Blob blob(const std::string& text) {
  return std::make_shared<const std::string>(text);
}

// Holds every commit until the test says what becomes of it.
class HeldStore final : public store::Store {
 public:
  struct Held {
    std::vector<store::ShardBatch> batches;
    store::Sync sync;
    store::Session::CommitDone done;
  };

  Result<Epoch> claim(ShardId shard) override {
    if (claim_error) return *claim_error;
    return tables.claim(shard);
  }
  ShardId shard_count() const override { return 1; }
  Result<void> load(ShardId shard, Epoch epoch, store::RecordSink& sink) override {
    return tables.load(shard, epoch, sink);
  }
  std::unique_ptr<store::Session> open_session(Executor& executor) override;
  store::StoreStats stats() const override { return {"held", "test", 0, 0, ""}; }
  Result<void> close() override { return ok(); }

  // Stores the oldest commit and answers it.
  void let_go(Executor& executor) {
    auto held = std::move(commits.front());
    commits.pop_front();
    auto applied = tables.apply(held.batches, held.sync);
    executor.post([done = std::move(held.done), applied]() mutable { done(applied); });
  }
  void fail_one(Executor& executor, Error error) {
    auto held = std::move(commits.front());
    commits.pop_front();
    executor.post([done = std::move(held.done), error]() mutable { done(error); });
  }

  store::MemoryTables tables{1};
  std::deque<Held> commits;
  std::optional<Error> claim_error;
};

class HeldSession final : public store::Session {
 public:
  HeldSession(HeldStore& store, Executor& executor) : store_(store), executor_(executor) {}
  void commit(std::vector<store::ShardBatch> batches, store::Sync sync, CommitDone done) override {
    store_.commits.push_back({std::move(batches), sync, std::move(done)});
  }
  void read(std::vector<store::BlobKey> keys, ReadDone done) override {
    executor_.post(
        [done = std::move(done), blobs = store_.tables.read(keys)]() mutable { done(std::move(blobs)); });
  }

 private:
  HeldStore& store_;
  Executor& executor_;
};

std::unique_ptr<store::Session> HeldStore::open_session(Executor& executor) {
  return std::make_unique<HeldSession>(*this, executor);
}

class Listener final : public HostListener {
 public:
  void on_decision(const queue::TaskDecision&) override {}
  void on_notice(const queue::Notice& notice, std::optional<TaskState>) override {
    notices.push_back(notice.kind);
  }
  void on_state(HostState state, const std::string&) override { states.push_back(state); }
  void on_batch() override { ++batches; }

  std::vector<queue::NoticeKind> notices;
  std::vector<HostState> states;
  int batches = 0;
};

class ShardHostTest : public ::testing::Test {
 protected:
  ShardHostTest() { start(); }

  void start() {
    host = std::make_unique<ShardHost>(executor, store, listener, ShardHostOptions{}, Random(1), Logger());
    ASSERT_TRUE(host->start().has_value());
    executor.run_ready();
  }
  void enqueue(std::optional<Result<TaskId>>& answer, const std::string& body = "body") {
    host->submit<TaskId>(
        [body](ShardHost::Turn& turn) -> Result<TaskId> {
          TaskSpec spec;
          spec.iterations = 1;
          SKEP_TRY(const auto reply, turn.apply(turn.next_shard(), queue::Enqueue{{{spec, blob(body)}}}));
          return reply[0].id;
        },
        [&answer](Result<TaskId> id) { answer.emplace(std::move(id)); });
  }
  using Leased = std::optional<Result<std::vector<GrantedLease>>>;
  void acquire(Leased& answer, Duration wait = Duration::zero(), std::function<bool()> is_wanted = nullptr) {
    ShardHost::Acquire request;
    request.command.worker = "w";
    request.wait_until = executor.now() + wait;
    if (is_wanted) request.is_wanted = is_wanted;
    request.done = [&answer](Result<std::vector<GrantedLease>> granted) {
      answer.emplace(std::move(granted));
    };
    host->acquire(std::move(request));
  }

  VirtualExecutor executor;
  HeldStore store;
  Listener listener;
  std::unique_ptr<ShardHost> host;
};

TEST_F(ShardHostTest, NothingIsAnsweredBeforeItsCommit) {
  std::optional<Result<TaskId>> answer;
  enqueue(answer);
  executor.run_ready();
  ASSERT_EQ(store.commits.size(), 1u);
  EXPECT_EQ(store.commits[0].sync, store::Sync::kDurable);
  EXPECT_FALSE(answer.has_value());
  EXPECT_TRUE(listener.notices.empty());
  store.let_go(executor);
  executor.run_ready();
  ASSERT_TRUE(answer.has_value());
  EXPECT_TRUE(answer->has_value());
  EXPECT_EQ(listener.notices, std::vector{queue::NoticeKind::kEnqueued});
}

TEST_F(ShardHostTest, WhatComesDuringACommitIsTheNextBatch) {
  std::array<std::optional<Result<TaskId>>, 5> answers;
  enqueue(answers[0]);
  executor.run_ready();
  for (std::size_t i = 1; i < 5; ++i) enqueue(answers[i]);
  executor.run_ready();
  EXPECT_EQ(store.commits.size(), 1u);
  store.let_go(executor);
  executor.run_ready();
  ASSERT_EQ(store.commits.size(), 1u);
  EXPECT_EQ(store.commits[0].batches[0].mutations.size(), 4u);
  EXPECT_TRUE(answers[0].has_value());
  EXPECT_FALSE(answers[1].has_value());
  store.let_go(executor);
  executor.run_ready();
  for (const auto& answer : answers) EXPECT_TRUE(answer.has_value());
}

TEST_F(ShardHostTest, LeaseGoesOutAtOnceWithTheBodyThatIsNotStoredYet) {
  std::optional<Result<TaskId>> answer;
  Leased leased;
  acquire(leased, seconds(30));
  executor.run_ready();
  enqueue(answer, "fresh");
  executor.run_ready();
  ASSERT_TRUE(leased.has_value() && leased->has_value());
  ASSERT_EQ(leased->value().size(), 1u);
  EXPECT_EQ(*leased->value()[0].body, "fresh");
  EXPECT_FALSE(answer.has_value());
}

TEST_F(ShardHostTest, ALeaseDoesNotWaitForTheCommitUnderWay) {
  std::optional<Result<TaskId>> first;
  enqueue(first, "first");
  executor.run_ready();
  store.let_go(executor);
  executor.run_ready();
  std::optional<Result<TaskId>> second;
  enqueue(second);
  executor.run_ready();
  ASSERT_EQ(store.commits.size(), 1u);
  Leased leased;
  acquire(leased);
  executor.run_ready();
  ASSERT_TRUE(leased.has_value() && leased->has_value());
  EXPECT_EQ(*leased->value().at(0).body, "first");
  EXPECT_FALSE(second.has_value()) << "its commit is still under way";
}

TEST_F(ShardHostTest, ABodyIsHeldUntilItsOwnCommitIsBack) {
  ShardHostOptions options;
  options.body_cache_bytes = 0;  // whatever is stored goes at once
  host = std::make_unique<ShardHost>(executor, store, listener, options, Random(1), Logger());
  ASSERT_TRUE(host->start().has_value());
  executor.run_ready();
  std::array<std::optional<Result<TaskId>>, 2> answers;
  enqueue(answers[0], "first");
  executor.run_ready();
  enqueue(answers[1], "second");
  executor.run_ready();
  store.let_go(executor);  // the first is stored, the second only handed over
  executor.run_ready();
  for (const char* body : {"first", "second"}) {
    Leased leased;
    acquire(leased);
    executor.run_ready();
    ASSERT_TRUE(leased.has_value() && leased->has_value());
    EXPECT_EQ(*leased->value().at(0).body, body);
  }
}

TEST_F(ShardHostTest, ALeaseAloneIsASoftCommit) {
  std::optional<Result<TaskId>> answer;
  enqueue(answer);
  executor.run_ready();
  store.let_go(executor);
  executor.run_ready();
  Leased leased;
  acquire(leased);
  executor.run_ready();
  EXPECT_EQ(leased->value().size(), 1u);
  ASSERT_EQ(store.commits.size(), 1u);
  EXPECT_EQ(store.commits[0].sync, store::Sync::kSoft);
}

TEST_F(ShardHostTest, ParkedAcquireIsAnsweredEmptyWhenItsTimeIsOver) {
  Leased leased;
  acquire(leased, seconds(5));
  executor.run_for(seconds(4));
  EXPECT_FALSE(leased.has_value());
  executor.run_for(seconds(1));
  ASSERT_TRUE(leased.has_value());
  EXPECT_TRUE(leased->value().empty());
}

TEST_F(ShardHostTest, ParkedAcquireOfAWorkerThatIsGoneGetsNothing) {
  Leased gone;
  Leased here;
  acquire(gone, seconds(60), [] { return false; });
  acquire(here, seconds(60), [] { return true; });
  executor.run_ready();
  std::optional<Result<TaskId>> answer;
  enqueue(answer);
  executor.run_ready();
  ASSERT_TRUE(gone.has_value());
  EXPECT_TRUE(gone->value().empty());
  ASSERT_TRUE(here.has_value());
  EXPECT_EQ(here->value().size(), 1u);
}

TEST_F(ShardHostTest, TotalsCountOnlyWhatWasCommittedAndOutliveAReload) {
  std::optional<Result<TaskId>> kept;
  enqueue(kept);
  executor.run_ready();
  store.let_go(executor);
  executor.run_ready();
  EXPECT_EQ(host->totals().enqueued, 1u);
  std::optional<Result<TaskId>> failed;
  enqueue(failed);
  executor.run_ready();
  store.fail_one(executor, fail(Code::kUnavailable, "no space left"));
  executor.run_for(seconds(1));
  EXPECT_EQ(host->state(), HostState::kServing);
  EXPECT_EQ(host->totals().enqueued, 1u);
}

TEST_F(ShardHostTest, FailedCommitFailsEveryRequestAndReloadsAtAHigherEpoch) {
  std::optional<Result<TaskId>> a;
  std::optional<Result<TaskId>> b;
  enqueue(a);
  executor.run_ready();
  enqueue(b);  // waits for the next batch, which never comes
  store.fail_one(executor, fail(Code::kUnavailable, "no space left"));
  executor.run_ready();
  ASSERT_TRUE(a.has_value() && b.has_value());
  EXPECT_EQ(a->error().code, Code::kUnavailable);
  EXPECT_EQ(b->error().code, Code::kUnavailable);
  EXPECT_EQ(host->state(), HostState::kUnavailable);
  std::optional<Result<TaskId>> c;
  enqueue(c);
  ASSERT_TRUE(c.has_value());
  EXPECT_EQ(c->error().code, Code::kUnavailable);
  EXPECT_NE(c->error().message.find("no space left"), std::string::npos);
  executor.run_for(seconds(1));
  EXPECT_EQ(host->state(), HostState::kServing);
  EXPECT_EQ(host->shards()[0]->epoch(), 2u);
  EXPECT_EQ(host->shards()[0]->size(), 0u) << "what was not stored is not there";
}

TEST_F(ShardHostTest, WhatWasAppliedDuringACommitThatFailsIsRefusedToo) {
  std::optional<Result<TaskId>> a;
  std::optional<Result<TaskId>> b;
  enqueue(a);
  executor.run_ready();
  enqueue(b);
  executor.run_ready();  // applied, not handed over
  store.fail_one(executor, fail(Code::kUnknownOutcome, "connection lost"));
  executor.run_ready();
  EXPECT_EQ(a->error().code, Code::kUnknownOutcome);
  ASSERT_TRUE(b.has_value());
  EXPECT_EQ(b->error().code, Code::kUnavailable) << "nobody ever wrote it";
  executor.run_for(seconds(1));
  EXPECT_TRUE(store.commits.empty()) << "nor does anybody now";
  EXPECT_EQ(host->shards()[0]->size(), 0u);
}

TEST_F(ShardHostTest, UnknownOutcomeIsSaidAndTheStoreDecidesWhatIsTrue) {
  std::optional<Result<TaskId>> a;
  enqueue(a);
  executor.run_ready();
  ASSERT_TRUE(store.tables.apply(store.commits[0].batches, store::Sync::kDurable).has_value());
  store.fail_one(executor, fail(Code::kUnknownOutcome, "connection lost"));
  executor.run_ready();
  EXPECT_EQ(a->error().code, Code::kUnknownOutcome);
  executor.run_for(seconds(1));
  EXPECT_EQ(host->shards()[0]->size(), 1u) << "it was stored after all";
}

TEST_F(ShardHostTest, ReloadIsTriedUntilTheStoreIsBack) {
  std::optional<Result<TaskId>> a;
  enqueue(a);
  executor.run_ready();
  store.claim_error = fail(Code::kUnavailable, "disk full");
  store.fail_one(executor, fail(Code::kUnavailable, "disk full"));
  executor.run_for(minutes(2));
  EXPECT_EQ(host->state(), HostState::kUnavailable);
  store.claim_error.reset();
  executor.run_for(seconds(6));
  EXPECT_EQ(host->state(), HostState::kServing);
}

TEST_F(ShardHostTest, ParkedAcquireSurvivesAReload) {
  Leased leased;
  acquire(leased, minutes(1));
  std::optional<Result<TaskId>> a;
  executor.run_ready();
  host->submit<void>(
      [](ShardHost::Turn& turn) -> Result<void> {
        QueueRecord record;
        record.name = "q";
        SKEP_TRY(turn.apply(*turn.shards()[0], queue::SetQueue{record}));
        return ok();
      },
      [](Result<void>) {});
  executor.run_ready();
  store.fail_one(executor, fail(Code::kUnavailable, "x"));
  executor.run_for(seconds(1));
  EXPECT_FALSE(leased.has_value());
  enqueue(a);
  executor.run_ready();
  ASSERT_TRUE(leased.has_value());
  EXPECT_EQ(leased->value().size(), 1u);
}

TEST_F(ShardHostTest, TimersOfTheShardWakeIt) {
  host->submit<void>(
      [](ShardHost::Turn& turn) -> Result<void> {
        TaskSpec spec;
        spec.iterations = 1;
        spec.delay = seconds(30);
        SKEP_TRY(turn.apply(turn.next_shard(), queue::Enqueue{{{spec, blob("x")}}}));
        return ok();
      },
      [](Result<void>) {});
  executor.run_ready();
  store.let_go(executor);
  Leased leased;
  acquire(leased, minutes(1));
  executor.run_for(seconds(29));
  EXPECT_FALSE(leased.has_value());
  executor.run_for(seconds(1));
  ASSERT_TRUE(leased.has_value());
  EXPECT_EQ(leased->value().size(), 1u);
}

TEST_F(ShardHostTest, TooManyWaitingRequestsAreRefused) {
  ShardHostOptions options;
  options.pending_max = 2;
  host = std::make_unique<ShardHost>(executor, store, listener, options, Random(1), Logger());
  ASSERT_TRUE(host->start().has_value());
  executor.run_ready();
  std::array<std::optional<Result<TaskId>>, 4> answers;
  enqueue(answers[0]);
  executor.run_ready();  // under way
  for (std::size_t i = 1; i < 4; ++i) enqueue(answers[i]);
  ASSERT_TRUE(answers[3].has_value());
  EXPECT_EQ(answers[3]->error().code, Code::kUnavailable);
  EXPECT_FALSE(answers[2].has_value());
}

TEST_F(ShardHostTest, StopWaitsForTheCommitAndAnswersTheParked) {
  std::optional<Result<TaskId>> a;
  Leased leased;
  acquire(leased, minutes(1));
  executor.run_ready();
  enqueue(a);
  enqueue(a);
  executor.run_ready();
  bool is_stopped = false;
  host->stop([&] { is_stopped = true; });
  executor.run_ready();
  EXPECT_FALSE(is_stopped);
  store.let_go(executor);
  executor.run_ready();
  EXPECT_TRUE(is_stopped);
  EXPECT_TRUE(a->has_value());
  std::optional<Result<TaskId>> late;
  enqueue(late);
  EXPECT_EQ(late->error().code, Code::kUnavailable);
}

TEST_F(ShardHostTest, StopCommitsWhatTimeChangedDuringTheCommitBefore) {
  host->submit<void>(
      [](ShardHost::Turn& turn) -> Result<void> {
        TaskSpec spec;
        spec.iterations = 1;
        spec.start_deadline = seconds(30);
        SKEP_TRY(turn.apply(turn.next_shard(), queue::Enqueue{{{spec, blob("x")}}}));
        return ok();
      },
      [](const Result<void>&) {});
  executor.run_ready();
  store.let_go(executor);
  executor.run_for(seconds(30) - milliseconds(1));
  std::optional<Result<TaskId>> a;
  enqueue(a);
  executor.run_ready();  // under way when the deadline passes
  executor.run_for(milliseconds(1));
  bool is_stopped = false;
  host->stop([&] { is_stopped = true; });
  store.let_go(executor);
  executor.run_ready();
  ASSERT_EQ(store.commits.size(), 1u);
  EXPECT_FALSE(is_stopped);
  store.let_go(executor);
  executor.run_ready();
  EXPECT_TRUE(is_stopped);
}

TEST_F(ShardHostTest, RestartFindsWhatWasCommitted) {
  std::optional<Result<TaskId>> a;
  enqueue(a, "kept");
  executor.run_ready();
  store.let_go(executor);
  executor.run_ready();
  host.reset();
  start();
  EXPECT_EQ(host->shards()[0]->size(), 1u);
  Leased leased;
  acquire(leased);
  executor.run_ready();
  EXPECT_EQ(*leased->value()[0].body, "kept");
}

}  // namespace
}  // namespace skep::manager
