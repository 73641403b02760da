// SPDX-License-Identifier: Apache-2.0
// Goal: managers with stores of their own share pulls, leases and what is asked by an id, and one that is
// away costs a bounded time and is named. Method: real managers, each over a memory disk of its own, asked
// over HTTP.
#include <gtest/gtest.h>

#include <set>

#include "client/testing/fake_manager.h"
#include "manager/testing/several_managers.h"

namespace skep::manager {
namespace {

namespace v1 = api::v1;
using api::Endpoint;
using client::Encoding;
using client::testing::FakeManager;
using client::testing::reply;

class OwnStores : public testing::SeveralManagers {
 protected:
  void start(std::size_t count, StoreNumber first = 100) {
    for (std::size_t i = 0; i < count; ++i) {
      auto disk = std::make_shared<store::MemoryDisk>(1, static_cast<StoreNumber>(first + i));
      add_manager(std::make_unique<store::MemoryStore>(disk));
    }
    for (std::size_t i = 0; i < count; ++i) {
      for (const auto& other : managers) join(i, other->address());
    }
  }
  void join(std::size_t manager, const std::string& sibling) {
    const auto answer = send(manager, client::make_request(Endpoint::kSeedRegisterSibling,
                                                           {"", {{"sibling", sibling}}}, Encoding::kJson));
    EXPECT_EQ(*answer.body, "ok");
  }
  // Until the manager has heard what the others have.
  void wait_for_help(std::size_t manager, const std::string& worker, std::vector<v1::Lease>& leases) {
    leases = acquire(manager, worker, 1);
    ASSERT_FALSE(leases.empty());
  }
  v1::PullReply pull(std::size_t manager, const std::string& max = "100") {
    return ask<v1::PullReply>(manager, Endpoint::kPullResults, nullptr, {{"max", max}});
  }
  // A task at each manager in turn, all done by a worker of manager 0. Ids, the oldest finished first.
  std::vector<std::string> finish(std::size_t count) {
    const std::string worker = add_worker(0);
    std::vector<std::string> ids;
    for (std::size_t i = 0; i < count; ++i) {
      ids.push_back(enqueue(i % managers.size()));
      const auto leases = acquire(0, worker, 1);
      EXPECT_EQ(leases.size(), 1u);
      complete_all(0, worker, leases);
      // Results are told apart by the millisecond in which they came.
      const Instant then = clock.now() + milliseconds(2);
      while (clock.now() < then) continue;
    }
    return ids;
  }
};

TEST_F(OwnStores, TheWorkerOfOneWorksForBothAndBothAnswerForEither) {
  start(2);
  const auto ids = one_each();
  EXPECT_NE(ids[0], ids[1]);
  const std::string worker = add_worker(0);
  const auto leases = acquire(0, worker, 2);
  ASSERT_EQ(leases.size(), 2u);
  v1::HeartbeatRequest beat;
  for (const auto& lease : leases) beat.add_leases()->set_lease(lease.lease());
  EXPECT_EQ(ask<v1::HeartbeatReply>(0, Endpoint::kHeartbeat, &beat, {}, worker).lost_size(), 0);
  for (std::size_t asked = 0; asked < 2; ++asked) {
    for (const auto& id : ids)
      EXPECT_EQ(ask<v1::Task>(asked, Endpoint::kGetTask, nullptr, {}, id).state(), "leased");
    EXPECT_EQ(status(asked, Endpoint::kGetTask, TaskId{0, (Epoch{77} << 16) + 1, 1}.to_string()), 404);
    EXPECT_EQ(ask<v1::Worker>(asked, Endpoint::kGetWorker, nullptr, {}, worker).running_size(), 2);
  }
  complete_all(0, worker, leases);
  for (const auto& id : ids)
    EXPECT_EQ(ask<v1::Task>(1, Endpoint::kGetTask, nullptr, {}, id).result(), "result of " + id);
  // Each keeps its own.
  EXPECT_EQ(ask<v1::ClusterReply>(0, Endpoint::kCluster).tasks().done(), 1u);
  EXPECT_EQ(ask<v1::ListTasksReply>(1, Endpoint::kListTasks).tasks_size(), 1);
}

TEST_F(OwnStores, WhatALostWorkerHeldOfASiblingGoesBack) {
  start(2);
  (void)enqueue(1);
  const std::string worker = add_worker(0);
  ASSERT_EQ(acquire(0, worker, 1).size(), 1u);
  // Through the other one, too: its id tells whose it is.
  EXPECT_EQ(send(1, client::make_request(Endpoint::kDeleteWorker, {worker, {}}, Encoding::kJson)).status,
            200);
  EXPECT_EQ(acquire(1, add_worker(1), 1).size(), 1u);
}

TEST_F(OwnStores, PullsGiveTheOldestOfAllFirstAndEachResultOnce) {
  start(3);
  const auto ids = finish(12);
  const auto first = pull_once(1, 5);
  EXPECT_EQ(first, std::vector<std::string>(ids.begin(), ids.begin() + 5));
  // What was pulled beyond these is there at once, for whoever asks.
  const auto rest = pull(2, "4");
  std::vector<std::string> pulled;
  for (const auto& item : rest.items()) pulled.push_back(item.id());
  EXPECT_EQ(pulled, std::vector<std::string>(ids.begin() + 5, ids.begin() + 9));
  EXPECT_EQ(rest.silent_size(), 0);
  EXPECT_EQ(pull_once(0, 100), std::vector<std::string>(ids.begin() + 9, ids.end()));
  EXPECT_EQ(pull(1).items_size(), 0) << "the others are in delivery";
  v1::AckRequest ack;
  ack.set_put_back_receipt(rest.receipt());
  ack.add_put_back(pulled[1]);
  ack.add_put_back(pulled[3]);
  EXPECT_EQ(ask<v1::AckReply>(0, Endpoint::kAckResults, &ack).acknowledged(), 0u);
  EXPECT_EQ(pull_once(0, 100), (std::vector<std::string>{pulled[1], pulled[3]}));
  ack.Clear();
  ack.set_receipt(rest.receipt());
  EXPECT_EQ(ask<v1::AckReply>(0, Endpoint::kAckResults, &ack).acknowledged(), 2u);
  EXPECT_EQ(pull_once(2, 100), std::vector<std::string>());
}

TEST_F(OwnStores, OneThatIsAwayIsNamedAndCostsNoMoreThanASecond) {
  start(2);
  const auto ids = finish(4);
  const std::string gone = managers[1]->address();
  managers.pop_back();
  const Instant began = clock.now();
  const auto answer =
      send(0, client::make_request(Endpoint::kSeedPullCompleted, {"", {{"top", "10"}}}, Encoding::kJson));
  EXPECT_LT(clock.now() - began, seconds(3));
  EXPECT_NE(answer.body->find("\"silent\":[\"" + gone + "\"]"), std::string::npos) << *answer.body;
  EXPECT_NE(answer.body->find(ids[0]), std::string::npos);
  EXPECT_EQ(pull(0).silent(0), gone);
  EXPECT_EQ(status(0, Endpoint::kGetTask, ids[1]), 503);
  EXPECT_NE(ask<v1::ClusterReply>(0, Endpoint::kCluster).warnings(0).find(gone), std::string::npos);
}

TEST_F(OwnStores, AnOutcomeForOneThatIsAwayDoesNotHoldUpTheOthers) {
  start(2);
  const auto ids = one_each();
  const std::string worker = add_worker(0);
  const auto leases = acquire(0, worker, 2);
  ASSERT_EQ(leases.size(), 2u);
  managers.pop_back();
  v1::CompleteRequest request;
  v1::HeartbeatRequest beat;
  v1::ReleaseRequest release;
  request.set_worker(worker);
  release.set_worker(worker);
  for (const auto& lease : leases) {
    auto& outcome = *request.add_outcomes();
    outcome.set_lease(lease.lease());
    outcome.set_result("result");
    beat.add_leases()->set_lease(lease.lease());
    release.add_leases()->set_lease(lease.lease());
  }
  EXPECT_EQ(ask<v1::HeartbeatReply>(0, Endpoint::kHeartbeat, &beat, {}, worker).lost_size(), 0);
  const auto settled = ask<v1::CompleteReply>(0, Endpoint::kComplete, &request);
  ASSERT_EQ(settled.outcomes_size(), 2);
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(settled.outcomes(i).status(),
              leases[static_cast<std::size_t>(i)].task() == ids[0] ? "ok" : "unavailable");
  EXPECT_EQ(ask<v1::ReleaseReply>(0, Endpoint::kRelease, &release).released(), 0u);
}

TEST_F(OwnStores, TheSeedsWorkersAreServedFromASiblingAndTheirResultsReachIt) {
  start(2);
  const std::string id = enqueue(1);
  http::Response work;
  const Instant deadline = clock.now() + seconds(20);
  do {
    work = send(0, client::make_request(Endpoint::kSeedGetWork, {}, Encoding::kJson));
  } while (work.status == 204 && clock.now() < deadline);
  ASSERT_EQ(work.status, 200);
  EXPECT_EQ(*work.body, "body");
  EXPECT_EQ(*work.headers.find("X-Iterations"), "1");
  auto push = client::make_request(Endpoint::kSeedPushResult, {}, Encoding::kJson);
  push.body = std::make_shared<const std::string>("{\"result\":\"" + std::string(128, 'a') + "\"}");
  EXPECT_EQ(send(0, push).status, 200);
  EXPECT_EQ(send(0, push).status, 404) << "it holds no lease any more";
  EXPECT_EQ(ask<v1::Task>(1, Endpoint::kGetTask, nullptr, {}, id).result(), std::string(128, 'a'));
}

// What an older one gives beyond what is wanted would be away for 30 s: it can not be put back.
TEST_F(OwnStores, OfASiblingOfAnOlderVersionNoMoreIsPulledThanIsWanted) {
  const FakeManager older([](const http::Request& request) {
    if (request.path == "/v1/cluster") {
      v1::ClusterReply cluster;
      cluster.add_shards()->set_epoch((Epoch{300} << 16) + 1);
      return reply(cluster);
    }
    if (request.path == "/v1/results:ack") {
      v1::AckReply acknowledged;
      acknowledged.set_acknowledged(1);
      return reply(acknowledged);
    }
    v1::PullReply pulled;
    for (int i = 0; i < std::stoi(std::string(*request.param("max"))); ++i) {
      auto& item = *pulled.add_items();
      item.set_id(TaskId{0, (Epoch{300} << 16) + 1, static_cast<std::uint64_t>(i)}.to_string());
      item.set_result("result of " + item.id());
      item.set_finished_at_ms(1);
    }
    pulled.set_receipt("19660801.0.7");
    return reply(pulled);
  });
  start(1);
  const auto ids = finish(2);
  join(0, older.url().host_port());
  const auto pulled = pull_once(0, 3);
  ASSERT_EQ(pulled.size(), 3u);
  EXPECT_EQ(std::vector<std::string>(pulled.begin(), pulled.begin() + 2), ids);
  for (const auto& request : older.requests()) {
    if (request.path == "/v1/results:pull") {
      EXPECT_EQ(request.param("max"), "1");
    }
    if (request.path != "/v1/results:ack") continue;
    v1::AckRequest ack;
    ASSERT_TRUE(ack.ParseFromString(*request.body));
    EXPECT_EQ(ack.receipt(), "19660801.0.7");
    EXPECT_EQ(ack.put_back_size(), 0);
  }
}

TEST_F(OwnStores, StoresThatCanNotBeToldApartAreLeftOut) {
  start(1, 100);
  start(1, 100);
  join(0, managers[1]->address());
  (void)finish(1);
  const Instant deadline = clock.now() + seconds(20);
  v1::ClusterReply cluster;
  do {
    cluster = ask<v1::ClusterReply>(1, Endpoint::kCluster);
    if (cluster.warnings_size() == 0) join(1, managers[0]->address());
  } while (cluster.warnings_size() == 0 && clock.now() < deadline);
  ASSERT_EQ(cluster.warnings_size(), 1);
  EXPECT_NE(cluster.warnings(0).find(managers[0]->address()), std::string::npos);
  EXPECT_TRUE(pull_once(1, 10).empty());
  EXPECT_EQ(pull_once(0, 10).size(), 1u);
}

}  // namespace
}  // namespace skep::manager
