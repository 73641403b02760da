// SPDX-License-Identifier: Apache-2.0
// Goal: what is PostgreSQL's own of the contract: two owners of one database, a server that dies under
// commits, a schema from another version, columns that people read. Method: a server of the test, killed by
// SIGKILL.
#include <gtest/gtest.h>

#include <set>

#include "driver.h"
#include "postgres_server.h"
#include "store/postgres_connection.h"
#include "store/postgres_store.h"
#include "store/postgres_values.h"

namespace skep::contract {
namespace {

using store::BlobKind;
using store::PgConnection;
using store::PgRow;
using store::PutTask;
using store::ShardBatch;
using store::Sync;

PutTask put(ShardId shard, std::uint64_t sequence, std::size_t bytes = 10) {
  PutTask put;
  put.record->id = {shard, 1, sequence};
  put.body = std::make_shared<const std::string>(std::string(bytes, 'b'));
  return put;
}
std::vector<ShardBatch> batch(Epoch epoch, PutTask put) {
  const ShardId shard = put.record->id.shard;
  return {{shard, epoch, {std::move(put)}}};
}

class StorePostgres : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!PostgresServer::why_not().empty()) GTEST_SKIP() << PostgresServer::why_not();
    conninfo_ = PostgresServer::shared().make_database();
    store_ = open();
  }
  void TearDown() override {
    store_.reset();
    if (PostgresServer::why_not().empty() && !PostgresServer::shared().is_running())
      PostgresServer::shared().start();
  }
  std::unique_ptr<store::Store> open() {
    auto opened = store::open_postgres({.conninfo = conninfo_, .shard_count = 2}, Logger());
    EXPECT_TRUE(opened) << opened.error().message;
    return opened ? std::move(opened.value()) : nullptr;
  }
  std::string ask(const std::string& sql) {
    PgConnection connection(conninfo_);
    EXPECT_TRUE(connection.ensure());
    std::string answer;
    const auto asked = connection.query(sql, {}, [&](const PgRow& row) -> Result<void> {
      answer += std::string(row.bytes(0)) + "\n";
      return ok();
    });
    EXPECT_TRUE(asked) << asked.error().message;
    return answer;
  }
  void run(const std::string& sql) {
    PgConnection connection(conninfo_);
    ASSERT_TRUE(connection.ensure());
    const auto ran = connection.script(sql);
    ASSERT_TRUE(ran) << ran.error().message;
  }

  std::string conninfo_;
  std::unique_ptr<store::Store> store_;
};

TEST_F(StorePostgres, TheOlderOfTwoOwnersOfOneDatabaseIsFencedAndWritesNothing) {
  const auto other = open();
  Driver first(*store_), second(*other);
  const Epoch old_epoch = store_->claim(0).value();
  ASSERT_TRUE(first.commit(batch(old_epoch, put(0, 1))));
  const Epoch new_epoch = other->claim(0).value();
  EXPECT_EQ(new_epoch, old_epoch + 1);
  const auto refused = first.commit(batch(old_epoch, put(0, 2)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kFenced);
  EXPECT_NE(refused.error().message.find("epoch 2"), std::string::npos) << refused.error().message;
  Contents all;
  EXPECT_EQ(store_->load(0, old_epoch, all).error().code, Code::kFenced);
  ASSERT_TRUE(second.commit(batch(new_epoch, put(0, 3))));
  ASSERT_TRUE(other->load(0, new_epoch, all));
  ASSERT_EQ(all.tasks.size(), 2u);
  EXPECT_EQ(all.tasks[1].id.sequence, 3u);
  EXPECT_EQ(ask("SELECT count(*)::text FROM skep.bodies"), "2\n");
  run("DELETE FROM skep.shards WHERE shard = 0");
  EXPECT_EQ(second.commit(batch(new_epoch, put(0, 4))).error().code, Code::kFenced);
  EXPECT_EQ(other->claim(0).error().code, Code::kCorrupt);
  // The other shard is still its own.
  const Epoch epoch = store_->claim(1).value();
  EXPECT_TRUE(first.commit(batch(epoch, put(1, 1))));
}

TEST_F(StorePostgres, AClaimWaitsForTheCommitsUnderWay) {
  const Epoch epoch = store_->claim(0).value();
  PgConnection holder(conninfo_);
  ASSERT_TRUE(holder.ensure());
  ASSERT_TRUE(holder.script("BEGIN; SELECT skep.fence(ARRAY[0::bigint], ARRAY[" + std::to_string(epoch) +
                            "::bigint])"));
  auto claim = std::async(std::launch::async, [this] { return store_->claim(0); });
  while (ask("SELECT count(*)::text FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == "0\n") {
  }
  EXPECT_EQ(claim.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  ASSERT_TRUE(holder.script("COMMIT"));
  EXPECT_EQ(claim.get().value(), epoch + 1);
}

TEST_F(StorePostgres, AServerThatDiesUnderACommitLeavesAnUnknownOutcomeAndThenIsUnavailable) {
  PostgresServer& server = PostgresServer::shared();
  Driver driver(*store_);
  Epoch epoch = store_->claim(0).value();
  ASSERT_TRUE(driver.commit(batch(epoch, put(0, 1))));
  // A lock on the table holds the commit up where all of it has been sent.
  PgConnection holder(conninfo_);
  ASSERT_TRUE(holder.ensure());
  ASSERT_TRUE(holder.script("BEGIN; LOCK TABLE skep.task_records IN EXCLUSIVE MODE"));
  auto held = driver.begin_commit(batch(epoch, put(0, 2)), Sync::kDurable);
  auto behind = driver.begin_commit(batch(epoch, put(0, 3)), Sync::kDurable);
  while (ask("SELECT count(*)::text FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == "0\n") {
  }
  server.kill();
  EXPECT_EQ(held.get().error().code, Code::kUnknownOutcome);
  EXPECT_EQ(behind.get().error().code, Code::kUnavailable);
  EXPECT_EQ(driver.commit(batch(epoch, put(0, 4))).error().code, Code::kUnavailable);
  EXPECT_EQ(driver.read({{BlobKind::kBody, {0, 1, 1}}}).error().code, Code::kUnavailable);
  EXPECT_EQ(store_->claim(0).error().code, Code::kUnavailable);
  server.start();
  // By itself it is back; what was claimed before is void, whatever the database says.
  Result<void> after = driver.commit(batch(epoch, put(0, 5)));
  while (!after && after.error().code == Code::kUnavailable) after = driver.commit(batch(epoch, put(0, 5)));
  ASSERT_FALSE(after);
  EXPECT_EQ(after.error().code, Code::kFenced);
  auto claimed = store_->claim(0);
  while (!claimed) claimed = store_->claim(0);
  epoch = claimed.value();
  EXPECT_TRUE(driver.commit(batch(epoch, put(0, 6))));
  const auto all = driver.contents({epoch});
  ASSERT_TRUE(all) << all.error().message;
  ASSERT_EQ(all.value().tasks.size(), 2u);
  EXPECT_EQ(all.value().tasks[0].id.sequence, 1u);
  EXPECT_EQ(all.value().tasks[1].id.sequence, 6u);
}

TEST_F(StorePostgres, AnAcknowledgedCommitSurvivesKillsAtAnyMomentAndAnUnknownOneIsWholeOrAbsent) {
  // On a server as it comes: with fsync, and a log writer that is not held back.
  PostgresServer server("");
  conninfo_ = server.make_database();
  store_ = open();
  std::uint64_t next = 1;
  std::vector<bool> is_stored(1, true);  // by sequence; unknown ones are looked up
  int unknown = 0;
  for (int round = 0; round < 4; ++round) {
    Driver driver(*store_);
    auto claimed = store_->claim(0);
    while (!claimed) claimed = store_->claim(0);
    std::vector<std::future<Result<void>>> results;
    const std::uint64_t first = next;
    for (int i = 0; i < 200; ++i) {
      results.push_back(driver.begin_commit(batch(claimed.value(), put(0, next++, 20'000)), Sync::kDurable));
    }
    while (results[static_cast<std::size_t>(10 * round)].wait_for(std::chrono::seconds(0)) !=
           std::future_status::ready) {
    }
    server.kill();
    std::vector<Code> outcomes;
    for (auto& result : results) {
      const auto outcome = result.get();
      outcomes.push_back(outcome ? Code::kInvalid : outcome.error().code);
    }
    server.start();
    claimed = store_->claim(0);
    while (!claimed) claimed = store_->claim(0);
    const auto all = driver.contents({claimed.value()});
    ASSERT_TRUE(all) << all.error().message;
    std::set<std::uint64_t> found;
    for (const auto& task : all.value().tasks) {
      EXPECT_EQ(all.value().blobs.count({BlobKind::kBody, task.id}), 1u);
      found.insert(task.id.sequence);
    }
    for (std::uint64_t i = 0; i < results.size(); ++i) {
      const Code code = outcomes[i];
      if (code == Code::kInvalid)
        EXPECT_EQ(found.count(first + i), 1u) << "acknowledged";
      else if (code == Code::kUnknownOutcome)
        ++unknown;
      else
        EXPECT_EQ(found.count(first + i), 0u) << code_name(code);
    }
  }
  EXPECT_GT(unknown, 0) << "no kill met a commit";
  store_.reset();
}

TEST_F(StorePostgres, ANewerSchemaIsRefusedInOneSentenceAndADamagedBodyNamesItsTask) {
  Driver driver(*store_);
  const Epoch epoch = store_->claim(0).value();
  const PutTask task = put(0, 1);
  ASSERT_TRUE(driver.commit(batch(epoch, task)));
  run("UPDATE skep.bodies SET bytes = 'other'");
  const auto damaged = driver.read({{BlobKind::kBody, task.record->id}});
  EXPECT_EQ(damaged.error().code, Code::kCorrupt);
  EXPECT_NE(damaged.error().message.find(task.record->id.to_string()), std::string::npos);
  run("UPDATE skep.task_records SET state = 'nonsense'");
  Contents all;
  const auto refused = store_->load(0, epoch, all);
  EXPECT_EQ(refused.error().code, Code::kCorrupt);
  EXPECT_NE(refused.error().message.find(task.record->id.to_string()), std::string::npos);
  run("UPDATE skep.store SET version = 99");
  const auto newer = store::open_postgres({.conninfo = conninfo_, .shard_count = 2}, Logger());
  EXPECT_EQ(newer.error().code, Code::kInvalid);
  EXPECT_NE(newer.error().message.find("version 99"), std::string::npos) << newer.error().message;
}

TEST_F(StorePostgres, PeopleReadTheTasksInPlainColumns) {
  Driver driver(*store_);
  const Epoch epoch = store_->claim(1).value();
  PutTask task = put(1, kSequenceMax);
  TaskRecord& record = *task.record;
  record.id.epoch = 0xfedcba98;
  record.state = TaskState::kDead;
  record.spec.tags = {"a", "b"};
  record.enqueued_at = Instant(seconds(1'000'000'000) + milliseconds(250));
  record.ready_at = kNever;
  ASSERT_TRUE(driver.commit(batch(epoch, task)));
  const std::string id = record.id.to_string();
  EXPECT_EQ(ask("SELECT state || ' ' || count(*) FROM skep.tasks GROUP BY state"), "dead 1\n");
  EXPECT_EQ(ask("SELECT id FROM skep.tasks"), id + "\n");
  EXPECT_EQ(ask("SELECT state FROM skep.task('" + id + "')"), "dead\n");
  EXPECT_EQ(ask("SELECT state FROM skep.task('nonsense')"), "");
  EXPECT_EQ(ask("SELECT (enqueued_at AT TIME ZONE 'UTC')::text FROM skep.tasks"), "2001-09-09 01:46:40.25\n");
  EXPECT_EQ(ask("SELECT ready_at::text || (queued_at IS NULL) || tags[2] FROM skep.tasks"),
            "infinitytrueb\n");
  EXPECT_EQ(ask("SELECT tasks::text FROM skep.backlog"), "1\n");
}

TEST_F(StorePostgres, ThePlaceHasNoPasswordAndAWrongAddressIsNotRepeated) {
  EXPECT_NE(store_->stats().place.find("/skep"), std::string::npos);
  const auto refused = store::open_postgres({.conninfo = "postgres://me:secret%zz@host/x"}, Logger());
  EXPECT_EQ(refused.error().code, Code::kInvalid);
  EXPECT_EQ(refused.error().message.find("secret"), std::string::npos);
  const auto away = store::open_postgres({.conninfo = "postgres://me:secret@127.0.0.1:1/x"}, Logger());
  EXPECT_EQ(away.error().code, Code::kUnavailable);
  EXPECT_EQ(away.error().message.find("secret"), std::string::npos);
}

}  // namespace
}  // namespace skep::contract
