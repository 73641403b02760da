// SPDX-License-Identifier: Apache-2.0
// Goal: a crash of the reference loses soft commits from the newest on, and never what a durable one
// followed. Method: short histories with every possible loss. What all engines share is tested in
// test/contract.
#include "store/memory_tables.h"

#include <gtest/gtest.h>

#include "store/memory_store.h"

namespace skep::store {
namespace {

TaskRecord task(std::uint64_t sequence, std::uint32_t lease_number = 0) {
  TaskRecord record;
  record.id = {0, 1, sequence};
  record.lease_number = lease_number;
  return record;
}

Blob blob(std::string bytes) {
  return std::make_shared<const std::string>(std::move(bytes));
}

std::vector<ShardBatch> batch(std::vector<Mutation> mutations) {
  return {{0, 1, std::move(mutations)}};
}

struct Collected : RecordSink {
  void on_queue(QueueRecord record) override { queues.push_back(std::move(record)); }
  void on_task(TaskRecord record) override { tasks.push_back(std::move(record)); }
  std::vector<QueueRecord> queues;
  std::vector<TaskRecord> tasks;
};

Collected contents(const MemoryTables& tables) {
  Collected all;
  EXPECT_TRUE(tables.load(0, tables.epoch(0), all));
  return all;
}

TEST(MemoryTables, ACrashKeepsAPrefixOfTheSoftCommits) {
  for (std::size_t kept = 0; kept <= 3; ++kept) {
    MemoryTables tables;
    ASSERT_TRUE(tables.claim(0));
    ASSERT_TRUE(tables.apply(batch({PutTask{task(1), blob("body"), nullptr}}), Sync::kDurable));
    for (std::uint32_t number = 1; number <= 3; ++number) {
      ASSERT_TRUE(tables.apply(batch({PutTask{task(1, number), nullptr, nullptr}}), Sync::kSoft));
    }
    EXPECT_EQ(tables.soft_commits(), 3u);
    tables.crash(kept);
    ASSERT_EQ(contents(tables).tasks.size(), 1u);
    EXPECT_EQ(contents(tables).tasks[0].lease_number, kept);
    EXPECT_EQ(*tables.read({{BlobKind::kBody, task(1).id}})[0], "body");
    EXPECT_EQ(tables.soft_commits(), 0u);
  }
}

TEST(MemoryTables, ADurableCommitMakesEarlierSoftOnesDurable) {
  MemoryTables tables;
  ASSERT_TRUE(tables.claim(0));
  ASSERT_TRUE(tables.apply(batch({PutTask{task(1), nullptr, nullptr}}), Sync::kSoft));
  ASSERT_TRUE(tables.apply(batch({PutTask{task(2), nullptr, nullptr}}), Sync::kDurable));
  ASSERT_TRUE(tables.apply(batch({PutTask{task(3), nullptr, nullptr}}), Sync::kSoft));
  tables.crash();
  EXPECT_EQ(contents(tables).tasks.size(), 2u);
}

TEST(MemoryTables, AClaimMakesEarlierSoftCommitsDurable) {
  MemoryTables tables;
  ASSERT_TRUE(tables.claim(0));
  ASSERT_TRUE(tables.apply(batch({PutTask{task(1), nullptr, nullptr}}), Sync::kSoft));
  ASSERT_EQ(tables.claim(0).value(), 2u);
  tables.crash();
  EXPECT_EQ(contents(tables).tasks.size(), 1u);
  EXPECT_EQ(tables.epoch(0), 2u);
}

TEST(MemoryTables, ALostCommitGivesBackEverythingItChanged) {
  MemoryTables tables;
  QueueRecord before;
  before.name = "q";
  ASSERT_TRUE(tables.claim(0));
  ASSERT_TRUE(tables.apply(batch({PutTask{task(1), blob("body"), blob("result")}, PutQueue{before}}),
                           Sync::kDurable));
  QueueRecord changed = before;
  changed.is_paused = true;
  QueueRecord added;
  added.name = "r";
  ASSERT_TRUE(
      tables.apply(batch({EraseTask{task(1).id}, PutTask{task(1, 7), nullptr, nullptr}, EraseTask{task(9).id},
                          PutTask{task(2), blob("new"), nullptr}, PutQueue{changed}, PutQueue{added}}),
                   Sync::kSoft));
  EXPECT_EQ(tables.read({{BlobKind::kBody, task(1).id}})[0], nullptr);
  tables.crash();
  const auto after = contents(tables);
  EXPECT_EQ(after.tasks, std::vector{task(1)});
  EXPECT_EQ(after.queues, std::vector{before});
  EXPECT_EQ(*tables.read({{BlobKind::kBody, task(1).id}})[0], "body");
  EXPECT_EQ(*tables.read({{BlobKind::kResult, task(1).id}})[0], "result");
}

TEST(MemoryStore, ADiskOutlivesItsStores) {
  const auto disk = std::make_shared<MemoryDisk>(2);
  {
    MemoryStore first(disk);
    EXPECT_EQ(first.claim(1).value(), 1u);
    EXPECT_TRUE(first.close());
    EXPECT_EQ(first.claim(1).error().code, Code::kUnavailable);
  }
  MemoryStore second(disk);
  EXPECT_EQ(second.claim(1).value(), 2u);
  EXPECT_EQ(second.shard_count(), 2);
  EXPECT_EQ(second.stats().engine, "memory");
}

}  // namespace
}  // namespace skep::store
