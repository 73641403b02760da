// SPDX-License-Identifier: Apache-2.0
// Goal: any manager answers any request as the owner would, and says whom it did not hear. Method: three real
// managers over one memory disk, asked over HTTP, that beat often.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <set>

#include "manager/testing/several_managers.h"

namespace skep::manager {
namespace {

namespace v1 = api::v1;
using api::Endpoint;
using client::Encoding;
constexpr ShardId kShards = 8;

class ForwarderTest : public testing::SeveralManagers {
 protected:
  void start(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      ManagerOptions options;
      options.ownership.beat = milliseconds(100);
      options.ownership.beat_soon = milliseconds(20);
      add_manager(std::make_unique<store::MemoryStore>(disk), options);
    }
    wait_for_shares(count);
  }
  void wait_for_shares(std::size_t count) {
    const Instant deadline = clock.now() + seconds(20);
    for (;;) {
      std::map<std::string, std::size_t> shares;
      const auto cluster = ask<v1::ClusterReply>(0, Endpoint::kCluster);
      for (const auto& shard : cluster.shards()) ++shares[shard.owner()];
      const bool is_even = shares.size() == count && static_cast<ShardId>(cluster.shards_size()) == kShards &&
                           std::all_of(shares.begin(), shares.end(), [&](const auto& share) {
                             return share.second == kShards / count || share.second == kShards / count + 1;
                           });
      if (is_even) return;
      ASSERT_LT(clock.now(), deadline) << cluster.ShortDebugString();
    }
  }

  std::shared_ptr<store::MemoryDisk> disk = std::make_shared<store::MemoryDisk>(kShards, clock);
};

TEST_F(ForwarderTest, ATaskIsFoundCancelledAndAnsweredInBothEncodingsThroughAnyManager) {
  start(3);
  for (const auto& id : one_each()) {
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(ask<v1::Task>(i, Endpoint::kGetTask, nullptr, {}, id).id(), id);
      const auto json = send(i, client::make_request(Endpoint::kGetTask, {id, {}}, Encoding::kJson));
      EXPECT_EQ(boost::json::parse(*json.body).at("id").as_string(), id);
      EXPECT_EQ(status(i, Endpoint::kGetResult, id), 409);
    }
    EXPECT_EQ(ask<v1::Task>(1, Endpoint::kCancelTask, nullptr, {}, id).state(), "cancelled");
    EXPECT_EQ(status(2, Endpoint::kRetryTask, id), 409);
  }
  EXPECT_EQ(status(0, Endpoint::kGetTask, TaskId{3, 1, 999}.to_string()), 404);
  EXPECT_EQ(status(0, Endpoint::kGetTask, TaskId{999, 1, 1}.to_string()), 404);
}

TEST_F(ForwarderTest, AKeyNamesOneTaskWhoeverIsAskedAndInABatchToo) {
  start(3);
  std::map<std::string, std::string> ids;
  for (int i = 0; i < 12; ++i)
    ids["key" + std::to_string(i)] = enqueue(static_cast<std::size_t>(i) % 3, "key" + std::to_string(i));
  v1::EnqueueBatchRequest batch;
  for (const auto& [key, id] : ids) {
    EXPECT_EQ(enqueue(1, key), id);
    auto& task = *batch.add_tasks();
    task.mutable_options()->set_iterations(1);
    task.mutable_options()->set_idempotency_key(key);
  }
  batch.add_tasks()->mutable_options()->set_iterations(1);
  const auto reply = ask<v1::EnqueueBatchReply>(2, Endpoint::kEnqueueBatch, &batch);
  ASSERT_EQ(reply.tasks_size(), 13);
  int i = 0;
  for (const auto& [key, id] : ids) {
    EXPECT_EQ(reply.tasks(i).id(), id);
    EXPECT_TRUE(reply.tasks(i++).existing());
  }
  EXPECT_FALSE(reply.tasks(12).existing());
}

TEST_F(ForwarderTest, ATraceStaysWithATaskOfAnotherManagerAndWithItsLease) {
  const std::string parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  start(3);
  v1::EnqueueBatchRequest batch;
  for (int i = 0; i < 12; ++i) {
    auto& options = *batch.add_tasks()->mutable_options();
    options.set_iterations(1);
    options.set_idempotency_key("key" + std::to_string(i));  // of each manager's shards
    options.set_traceparent(parent);
    options.set_tracestate("a=1");
  }
  const auto reply = ask<v1::EnqueueBatchReply>(2, Endpoint::kEnqueueBatch, &batch);
  for (const auto& task : reply.tasks())
    EXPECT_EQ(ask<v1::Task>(0, Endpoint::kGetTask, nullptr, {}, task.id()).options().traceparent(), parent);
  const std::string worker = add_worker(0);
  std::size_t seen = 0;
  while (seen < 12) {
    const auto leases = acquire(0, worker, 12);
    ASSERT_FALSE(leases.empty());
    seen += leases.size();
    for (const auto& lease : leases) {
      EXPECT_EQ(lease.traceparent(), parent);
      EXPECT_EQ(lease.tracestate(), "a=1");
    }
  }
}

TEST_F(ForwarderTest, AWorkerOfOneManagerWorksForAllOfThem) {
  start(3);
  const auto ids = one_each();
  const std::string worker = add_worker(0);
  const auto leases = acquire(0, worker, 3);
  ASSERT_EQ(leases.size(), 3u);
  v1::HeartbeatRequest beat;
  v1::CompleteRequest complete;
  complete.set_worker(worker);
  for (const auto& lease : leases) {
    EXPECT_EQ(lease.body(), "body");
    beat.add_leases()->set_lease(lease.lease());
    auto& outcome = *complete.add_outcomes();
    outcome.set_lease(lease.lease());
    outcome.set_result("result of " + lease.task());
  }
  EXPECT_EQ(ask<v1::HeartbeatReply>(0, Endpoint::kHeartbeat, &beat, {}, worker).lost_size(), 0);
  EXPECT_EQ(ask<v1::Task>(0, Endpoint::kCancelTask, nullptr, {}, ids[1]).state(), "cancelled");
  EXPECT_EQ(ask<v1::HeartbeatReply>(0, Endpoint::kHeartbeat, &beat, {}, worker).cancelled_size(), 1);
  const auto settled = ask<v1::CompleteReply>(0, Endpoint::kComplete, &complete);
  ASSERT_EQ(settled.outcomes_size(), 3);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(settled.outcomes(i).lease(), leases[static_cast<std::size_t>(i)].lease());
    EXPECT_EQ(settled.outcomes(i).status(),
              leases[static_cast<std::size_t>(i)].task() == ids[1] ? "conflict" : "ok");
  }
  const auto done = ask<v1::Task>(1, Endpoint::kGetTask, nullptr, {{"wait", "10s"}}, ids[2]);
  EXPECT_EQ(done.result(), "result of " + ids[2]);
}

TEST_F(ForwarderTest, AWorkerIsShownWithWhatItHasOfAllManagers) {
  start(3);
  const auto ids = one_each();
  const auto worker = add_worker(1);
  ASSERT_EQ(acquire(1, worker, 3).size(), 3u);
  for (std::size_t manager = 0; manager < 3; ++manager) {
    const auto shown = ask<v1::Worker>(manager, Endpoint::kGetWorker, nullptr, {}, worker);
    EXPECT_EQ(shown.id(), worker);
    EXPECT_EQ(shown.state(), "active");
    std::set<std::string> running;
    for (const auto& task : shown.running()) running.insert(task.task());
    EXPECT_EQ(running, std::set<std::string>(ids.begin(), ids.end())) << "asked at " << manager;
    EXPECT_EQ(status(manager, Endpoint::kGetWorker, "w99"), 404);
  }
  EXPECT_EQ(ask<v1::ClusterReply>(2, Endpoint::kCluster).waits().count(), 3u);
}

TEST_F(ForwarderTest, ALostWorkersLeasesGoBackEverywhere) {
  start(3);
  const auto ids = one_each();
  const std::string worker = add_worker(1);
  ASSERT_EQ(acquire(1, worker, 3).size(), 3u);
  EXPECT_EQ(send(0, client::make_request(Endpoint::kDeleteWorker, {worker, {}}, Encoding::kJson)).status,
            200);
  EXPECT_EQ(acquire(2, add_worker(2), 3).size(), 3u);
}

TEST_F(ForwarderTest, ListsGoThroughAllShardsInTheOrderOfIdsAndPullsGiveEachResultOnce) {
  start(3);
  std::set<std::string> ids;
  for (std::size_t i = 0; i < 24; ++i) ids.insert(enqueue(i % 3));
  std::vector<std::string> listed;
  std::string cursor;
  do {
    const auto page =
        ask<v1::ListTasksReply>(1, Endpoint::kListTasks, nullptr, {{"limit", "5"}, {"cursor", cursor}});
    EXPECT_EQ(page.silent_size(), 0);
    for (const auto& task : page.tasks()) listed.push_back(task.id());
    cursor = page.next_cursor();
  } while (!cursor.empty());
  EXPECT_EQ(listed, std::vector<std::string>(ids.begin(), ids.end()));
  EXPECT_EQ(ask<v1::ClusterReply>(2, Endpoint::kCluster).tasks().queued(), 24u);

  const std::string worker = add_worker(0);
  v1::CompleteRequest complete;
  complete.set_worker(worker);
  for (const auto& lease : acquire(0, worker, 24)) {
    auto& outcome = *complete.add_outcomes();
    outcome.set_lease(lease.lease());
    outcome.set_result("result");
  }
  (void)ask<v1::CompleteReply>(0, Endpoint::kComplete, &complete);
  std::vector<std::string> pulled;
  const auto once = client::read_pull_completed(
      send(1, client::make_request(Endpoint::kSeedPullCompleted, {"", {{"top", "15"}}}, Encoding::kJson)));
  for (const auto& item : once.value()) pulled.push_back(item.id);
  EXPECT_EQ(pulled.size(), 15u);
  const auto rest = ask<v1::PullReply>(2, Endpoint::kPullResults);
  for (const auto& item : rest.items()) pulled.push_back(item.id());
  EXPECT_EQ(std::set<std::string>(pulled.begin(), pulled.end()), ids);
  EXPECT_EQ(pulled.size(), ids.size());
  v1::AckRequest ack;
  ack.set_receipt(rest.receipt());
  EXPECT_EQ(ask<v1::AckReply>(0, Endpoint::kAckResults, &ack).acknowledged(), 9u);
}

TEST_F(ForwarderTest, AQueueIsChangedAtEveryManager) {
  start(3);
  v1::PatchQueueRequest patch;
  patch.set_paused(true);
  EXPECT_TRUE(ask<v1::Queue>(0, Endpoint::kPatchQueue, &patch, {}, "default").paused());
  (void)one_each();
  const auto queues = ask<v1::QueuesReply>(2, Endpoint::kListQueues);
  ASSERT_EQ(queues.queues_size(), 1);
  EXPECT_TRUE(queues.queues(0).paused());
  EXPECT_EQ(queues.queues(0).tasks().queued(), 3u);
  const std::string worker = add_worker(1);
  v1::AcquireRequest request;
  request.set_worker(worker);
  request.set_max(10);
  request.set_wait_ms(1'500);
  EXPECT_EQ(ask<v1::AcquireReply>(1, Endpoint::kAcquire, &request).leases_size(), 0);
}

TEST_F(ForwarderTest, WhoLeavesTakesNothingWithIt) {
  start(3);
  const auto ids = one_each();
  managers[2]->drain(seconds(3));
  managers.pop_back();
  wait_for_shares(2);
  for (const auto& id : ids)
    EXPECT_EQ(ask<v1::Task>(0, Endpoint::kGetTask, nullptr, {}, id).state(), "queued");
}

}  // namespace
}  // namespace skep::manager
