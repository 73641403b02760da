// SPDX-License-Identifier: Apache-2.0
// Goal: managers that share a store hand shards to each other without losing anything, and one that is cut
// off stops by itself. Method: several services on virtual time over one memory disk.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <vector>

#include "base/testing/virtual_executor.h"
#include "manager/service.h"
#include "manager/testing/cut_store.h"

namespace skep::manager {
namespace {

using skep::testing::VirtualExecutor;
using testing::CutStore;
constexpr ShardId kShards = 64;

struct OneManager {
  OneManager(VirtualExecutor& executor, std::shared_ptr<store::MemoryDisk> disk, int number)
      : store(std::move(disk)), service(executor, store, options(number), Random(3), Logger()) {
    EXPECT_TRUE(service.start());
  }
  static ServiceOptions options(int number) {
    ServiceOptions options;
    options.address = "127.0.0.1:" + std::to_string(number);
    return options;
  }
  std::size_t served() const { return service.host().shards().size(); }

  CutStore store;
  Service service;
};

class ServiceSharing : public ::testing::Test {
 protected:
  OneManager& join() {
    managers.push_back(std::make_unique<OneManager>(executor, disk, ++joined));
    return *managers.back();
  }
  template <class T>
  Result<T> call(std::function<void(Reply<T>)> start) {
    auto slot = std::make_shared<std::optional<Result<T>>>();
    start([slot](Result<T> reply) { slot->emplace(std::move(reply)); });
    executor.run_for(milliseconds(1));
    return slot->has_value() ? **slot : Result<T>(fail(Code::kTimeout, "no answer"));
  }
  Result<queue::EnqueueReply> enqueue(OneManager& manager, const std::string& key = "") {
    TaskSpec spec;
    spec.iterations = 1;
    spec.idempotency_key = key;
    return call<queue::EnqueueReply>([&](auto done) {
      manager.service.enqueue({{spec, std::make_shared<const std::string>("body")}}, std::move(done));
    });
  }
  Result<api::v1::Task> get(OneManager& manager, TaskId id) {
    return call<api::v1::Task>(
        [&](auto done) { manager.service.get_task(id, kNoInstant, {}, std::move(done)); });
  }
  // The managers that serve the shard.
  std::vector<OneManager*> servers_of(ShardId id) {
    std::vector<OneManager*> found;
    for (const auto& manager : managers) {
      for (const auto& shard : manager->service.host().shards()) {
        if (shard->id() == id) found.push_back(manager.get());
      }
    }
    return found;
  }
  std::vector<std::size_t> shares() {
    std::vector<std::size_t> shares;
    for (const auto& manager : managers) shares.push_back(manager->served());
    std::sort(shares.begin(), shares.end());
    return shares;
  }

  VirtualExecutor executor;
  std::shared_ptr<store::MemoryDisk> disk = std::make_shared<store::MemoryDisk>(kShards, executor);
  std::vector<std::unique_ptr<OneManager>> managers;
  int joined = 0;
};

TEST_F(ServiceSharing, OneAloneServesAllAndThreeShareEvenlyWithinTenSeconds) {
  join();
  executor.run_for(milliseconds(100));
  EXPECT_EQ(managers[0]->served(), 64u);
  EXPECT_TRUE(managers[0]->service.is_settled());
  join();
  join();
  executor.run_for(seconds(10));
  EXPECT_EQ(shares(), (std::vector<std::size_t>{21, 21, 22}));
  EXPECT_NE(managers[0]->service.life_name(), managers[1]->service.life_name());
}

TEST_F(ServiceSharing, WhatOneTookIsThereAtTheOneThatTakesItsShardOver) {
  OneManager& first = join();
  executor.run_for(milliseconds(100));
  std::vector<TaskId> ids;
  for (int i = 0; i < 200; ++i) ids.push_back(enqueue(first).value().front().id);
  join();
  executor.run_for(seconds(10));
  EXPECT_EQ(shares(), (std::vector<std::size_t>{32, 32}));
  std::size_t moved = 0;
  for (const TaskId& id : ids) {
    const auto servers = servers_of(id.shard);
    ASSERT_EQ(servers.size(), 1u);
    EXPECT_TRUE(get(*servers.front(), id));
    if (servers.front() == &first) continue;
    ++moved;
    EXPECT_EQ(get(first, id).error().code, Code::kFenced);
  }
  EXPECT_GT(moved, 0u);
}

// As under load, where the answer to a beat overtakes that to a release.
TEST_F(ServiceSharing, WhoHandsShardsOverKeepsTheOthersThoughTheAnswersAreLate) {
  OneManager& first = join();
  executor.run_for(milliseconds(100));
  first.store.release_lag = milliseconds(700);
  join();
  executor.run_for(seconds(10));
  EXPECT_EQ(shares(), (std::vector<std::size_t>{32, 32}));
  for (const auto& shard : first.service.host().shards()) EXPECT_EQ(shard->epoch(), 1u) << shard->id();
}

TEST_F(ServiceSharing, ADeadManagersShardsAreServedWithinSixSeconds) {
  join();
  join();
  join();
  executor.run_for(seconds(10));
  std::vector<TaskId> ids;
  for (int i = 0; i < 100; ++i) ids.push_back(enqueue(*managers[1]).value().front().id);
  managers.erase(managers.begin() + 1);
  executor.run_for(milliseconds(5'300));
  EXPECT_EQ(shares(), (std::vector<std::size_t>{32, 32}));
  for (const TaskId& id : ids) EXPECT_TRUE(get(*servers_of(id.shard).front(), id));
}

TEST_F(ServiceSharing, WhoLeavesHandsEverythingOverAtOnce) {
  join();
  join();
  executor.run_for(seconds(10));
  const TaskId id = enqueue(*managers[0]).value().front().id;
  bool has_left = false;
  managers[0]->service.leave([&has_left] { has_left = true; });
  executor.run_for(milliseconds(100));
  EXPECT_EQ(managers[0]->served(), 0u);
  executor.run_for(milliseconds(1'400));
  EXPECT_EQ(managers[1]->served(), 64u);
  EXPECT_TRUE(has_left);
  // It knows where they went.
  EXPECT_EQ(managers[0]->service.ownership()->owner_of(0)->address, "127.0.0.1:2");
  EXPECT_TRUE(get(*managers[1], id));
}

TEST_F(ServiceSharing, WhoCanNotRenewStopsBeforeTheOthersBegin) {
  join();
  join();
  executor.run_for(seconds(10));
  OneManager& lonely = *managers[0];
  lonely.store.is_cut_off = true;
  executor.run_for(milliseconds(3'400));
  EXPECT_EQ(lonely.served(), 32u);
  executor.run_for(milliseconds(1'150));
  EXPECT_EQ(lonely.served(), 0u);
  EXPECT_EQ(enqueue(lonely).error().code, Code::kUnavailable);
  executor.run_for(milliseconds(1'500));
  EXPECT_EQ(managers[1]->served(), 64u);
  lonely.store.is_cut_off = false;
  executor.run_for(seconds(8));
  EXPECT_EQ(shares(), (std::vector<std::size_t>{32, 32}));
  EXPECT_TRUE(enqueue(lonely));
}

TEST_F(ServiceSharing, AfterACommitThatFailedItsShardsAreTakenAgainAndNothingHalfIsThere) {
  OneManager& one = join();
  executor.run_for(milliseconds(100));
  const TaskId kept = enqueue(one, "kept").value().front().id;
  one.store.commit_error = fail(Code::kUnknownOutcome, "lost");
  EXPECT_EQ(enqueue(one, "lost").error().code, Code::kUnknownOutcome);
  EXPECT_EQ(one.served(), 0u);
  executor.run_for(milliseconds(1'100));
  EXPECT_EQ(one.served(), 64u);
  EXPECT_TRUE(get(one, kept));
  EXPECT_TRUE(enqueue(one, "kept").value().front().is_existing);
  EXPECT_FALSE(enqueue(one, "lost").value().front().is_existing);
}

// Its shard may move while the acknowledgement is on its way.
TEST_F(ServiceSharing, AnAcknowledgementOfWhatAnotherServesIsRefusedAndNotAnsweredWell) {
  OneManager& first = join();
  executor.run_for(milliseconds(100));
  std::vector<TaskId> ids;
  for (ShardId i = 0; i < kShards; ++i) ids.push_back(enqueue(first).value().front().id);
  join();
  executor.run_for(seconds(10));
  std::size_t moved = 0;
  for (const TaskId& id : ids) {
    api::v1::AckRequest request;
    request.add_ids(id.to_string());
    const auto answer =
        call<api::v1::AckReply>([&](auto done) { first.service.ack(request, std::move(done)); });
    if (servers_of(id.shard).front() == &first) {
      EXPECT_TRUE(answer);
      continue;
    }
    ++moved;
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Code::kFenced);
  }
  EXPECT_GT(moved, 0u);
}

TEST_F(ServiceSharing, AKeyMeetsItsShardWhereverItIs) {
  join();
  join();
  executor.run_for(seconds(10));
  const auto first = enqueue(*managers[0], "one"), second = enqueue(*managers[1], "one");
  EXPECT_NE(first.has_value(), second.has_value());
  EXPECT_EQ((first ? second : first).error().code, Code::kFenced);
}

}  // namespace
}  // namespace skep::manager
