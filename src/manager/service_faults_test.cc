// SPDX-License-Identifier: Apache-2.0
// Goal: what the service owes when something is wrong: a slow disk, a damaged blob, a client or worker that
// is gone, a worker without names for its leases. Method: a service on virtual time over a store with flaws.
#include "manager/testing/service_world.h"

namespace skep::manager {
namespace {

namespace v1 = api::v1;
using Delivery = Service::Delivery;

class ServiceFaults : public testing::ServiceWorld {
 protected:
  // `count` tasks that are done.
  std::vector<TaskId> finish(int count) {
    std::vector<TaskId> ids;
    const auto worker = add_worker();
    for (int i = 0; i < count; ++i) {
      ids.push_back(enqueue());
      complete(worker, acquire(worker).leases(0).lease(), "r");
    }
    return ids;
  }
  void begin_enqueue() {
    TaskSpec spec;
    spec.iterations = 1;
    service->enqueue({{spec, std::make_shared<const std::string>("b")}},
                     [](const Result<queue::EnqueueReply>&) {});
  }
  void beat(const std::string& worker, const std::string& lease) {
    v1::HeartbeatRequest request;
    auto& held = *request.add_leases();
    held.set_lease(lease);
    held.set_started(true);
    service->heartbeat(worker, request, [](Result<v1::HeartbeatReply>) {});
  }
  static store::BlobKey result_of(const TaskId& id) { return {store::BlobKind::kResult, id}; }
  static store::BlobKey body_of(const TaskId& id) { return {store::BlobKind::kBody, id}; }
};

// ---- a slow disk ----

TEST_F(ServiceFaults, HeartbeatsThatWaitForASlowCommitStillKeepTheirLeases) {
  const TaskId id = enqueue();
  const auto worker = add_worker();
  const auto lease = acquire(worker).leases(0).lease();
  flaws.commit_lag = seconds(16);  // longer than a lease
  begin_enqueue();
  for (int i = 0; i < 12; ++i) {
    beat(worker, lease);
    executor.run_for(seconds(2));
  }
  flaws.commit_lag = Duration::zero();
  executor.run_for(seconds(2));
  EXPECT_EQ(get(id).workers_lost(), 0u);
  EXPECT_EQ(get(id).state(), "leased");
}

TEST_F(ServiceFaults, AWorkerIsNotLostWhileItsHeartbeatCanNotBeAnswered) {
  const TaskId id = enqueue();
  const auto worker = add_worker();
  const auto lease = acquire(worker).leases(0).lease();
  flaws.commit_lag = seconds(8);
  begin_enqueue();
  beat(worker, lease);
  executor.run_for(milliseconds(5'300));  // the worker's own patience with a heartbeat, and its back-off
  beat(worker, lease);
  executor.run_for(seconds(4));
  flaws.commit_lag = Duration::zero();
  for (int i = 0; i < 5; ++i) {
    beat(worker, lease);
    executor.run_for(seconds(2));
  }
  EXPECT_EQ(get(id).workers_lost(), 0u);
  EXPECT_EQ(get(id).state(), "leased");
}

TEST_F(ServiceFaults, ASilentWorkerIsStillLostOnceTheDiskAnswersAgain) {
  const TaskId id = enqueue();
  const auto worker = add_worker();
  acquire(worker);
  flaws.commit_lag = seconds(8);
  begin_enqueue();
  executor.run_for(seconds(9));
  flaws.commit_lag = Duration::zero();
  executor.run_for(seconds(20));
  EXPECT_EQ(get(id).state(), "queued");
}

// ---- damage ----

TEST_F(ServiceFaults, AReceiptDoesNotCoverWhatCouldNotBeSent) {
  const auto ids = finish(2);
  flaws.unreadable[result_of(ids[1])] = Code::kUnavailable;
  const auto pulled = pull(Delivery::kReceipt).value();
  EXPECT_EQ(pulled.items_size(), 1);
  flaws.unreadable.clear();
  EXPECT_EQ(ack(pulled.receipt()).acknowledged(), 1u);
  executor.run_for(seconds(31));
  const auto again = pull(Delivery::kReceipt).value();
  ASSERT_EQ(again.items_size(), 1);
  EXPECT_EQ(again.items(0).id(), ids[1].to_string());
}

TEST_F(ServiceFaults, WhatIsGivenOnceIsNotDeliveredUnlessItCanBeRead) {
  const auto ids = finish(2);
  for (const auto& id : ids) flaws.unreadable[result_of(id)] = Code::kUnavailable;
  const auto failed = pull();
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code, Code::kUnavailable);
  flaws.unreadable.erase(result_of(ids[1]));
  executor.run_for(seconds(31));
  EXPECT_EQ(pull().value().items_size(), 1);
  flaws.unreadable.clear();
  executor.run_for(seconds(31));
  const auto late = pull().value();
  ASSERT_EQ(late.items_size(), 1);
  EXPECT_EQ(late.items(0).id(), ids[0].to_string());
}

TEST_F(ServiceFaults, ATaskWhoseBodyIsLostIsDeadAndItsNeighboursAreLeased) {
  std::vector<TaskId> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(enqueue());
  restart();  // out of the cache
  flaws.unreadable[body_of(ids[2])] = Code::kCorrupt;
  const auto worker = add_worker();
  EXPECT_EQ(acquire(worker, 5).leases_size(), 4);
  const auto dead = get(ids[2]);
  EXPECT_EQ(dead.state(), "dead");
  EXPECT_NE(dead.reason().find("its body is lost"), std::string::npos) << dead.reason();
  EXPECT_EQ(get(ids[0]).state(), "leased");
}

TEST_F(ServiceFaults, ATaskWhoseBodyCanNotBeReadNowGoesBackUnblamed) {
  const TaskId id = enqueue();
  restart();
  flaws.unreadable[body_of(id)] = Code::kUnavailable;
  EXPECT_EQ(acquire(add_worker()).leases_size(), 0);
  EXPECT_EQ(get(id).state(), "queued");
  EXPECT_EQ(get(id).workers_lost(), 0u);
  flaws.unreadable.clear();
  EXPECT_EQ(acquire(add_worker()).leases_size(), 1);
}

TEST_F(ServiceFaults, ABodyGoesWithTheLastWorkOnIt) {
  const auto body_is_kept = [&](const TaskId& id) {
    auto session = memory->open_session(executor);
    bool is_kept = false;
    session->read({body_of(id)},
                  [&](Result<std::vector<Blob>> blobs) { is_kept = blobs.value()[0] != nullptr; });
    settle();
    return is_kept;
  };
  const TaskId cancelled = enqueue();
  EXPECT_TRUE(body_is_kept(cancelled));
  ASSERT_TRUE(
      call<v1::Task>([&](auto done) { service->cancel_task(cancelled, std::move(done)); }).has_value());
  EXPECT_FALSE(body_is_kept(cancelled));
  EXPECT_FALSE(body_is_kept(finish(1)[0]));
}

// ---- who is gone ----

TEST_F(ServiceFaults, AWaitingPullIsWokenByItsOwnQueueWhoeverWaitsBefore) {
  auto other = begin_pull("b");
  auto own = begin_pull("default");
  finish(1);
  EXPECT_TRUE(own->has_value());
  EXPECT_FALSE(other->has_value());
}

TEST_F(ServiceFaults, AClientThatIsGoneTakesNoWakeUpFromTheNext) {
  auto gone = begin_pull("", [] { return false; });
  auto there = begin_pull("");
  finish(1);
  ASSERT_TRUE(there->has_value());
  EXPECT_EQ((*there)->value().items_size(), 1);
  ASSERT_TRUE(gone->has_value()) << "its wait ends, too";
  EXPECT_EQ((*gone)->value().items_size(), 0);
}

TEST_F(ServiceFaults, AWorkerThatMustDrainGetsNoLeaseThatItAskedForBefore) {
  const auto worker = add_worker();
  v1::AcquireRequest request;
  request.set_worker(worker);
  request.set_wait_ms(30'000);
  std::optional<Granted> answer;
  service->acquire(request, {}, [&](Result<Granted> reply) { answer = reply.value(); });
  service->drain_worker_by_hand(worker, [](Result<v1::Worker>) {});
  settle();
  ASSERT_TRUE(answer.has_value());
  EXPECT_TRUE(answer->must_drain);
  EXPECT_TRUE(answer->leases.empty());
}

TEST_F(ServiceFaults, AWorkerThatLeftGetsNoLeaseThatItAskedForBefore) {
  const auto worker = add_worker();
  v1::AcquireRequest request;
  request.set_worker(worker);
  request.set_wait_ms(30'000);
  service->acquire(request, {}, [](const Result<Granted>&) {});
  service->delete_worker(worker, "", [](Result<v1::Worker>) {});
  settle();
  EXPECT_EQ(get(enqueue()).state(), "queued");
}

// ---- what a worker may say ----

TEST_F(ServiceFaults, WhatAWorkerSaysOfItselfIsBounded) {
  const auto worker = add_worker();
  const TaskId id = enqueue();
  const auto lease = acquire(worker).leases(0).lease();
  Report report;
  report.worker = std::string(70'000, 'w');
  report.outcomes.emplace_back();
  report.outcomes[0].lease = lease;
  report.outcomes[0].token = LeaseToken::parse(lease).value();
  report.outcomes[0].result = std::make_shared<const std::string>("r");
  const auto refused = call<Settled>([&](auto done) { service->complete(report, std::move(done)); });
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kInvalid);
  EXPECT_EQ(get(id).state(), "leased");
  const auto is_refused = [&](auto change) {
    v1::RegisterRequest request;
    change(request);
    return !call<v1::RegisterReply>([&](auto done) { service->register_worker(request, std::move(done)); });
  };
  EXPECT_TRUE(is_refused([](auto& request) { request.set_slots(1'001); }));
  EXPECT_TRUE(is_refused([](auto& request) { request.set_name(std::string(256, 'n')); }));
  EXPECT_TRUE(is_refused([](auto& request) { request.set_instance(std::string(256, 'n')); }));
  EXPECT_TRUE(is_refused([](auto& request) { request.add_kinds("no blanks"); }));
  EXPECT_FALSE(is_refused([](auto& request) { request.add_kinds("sha512"); }));
}

// ---- several shards ----

TEST(ServiceShards, AKeyMeetsItsTaskWhereverItStandsInABatchAndPagesEndBetweenShards) {
  testing::VirtualExecutor executor;
  store::MemoryStore store(std::make_shared<store::MemoryDisk>(ShardId{3}));
  Service service(executor, store, {}, Random(3), Logger());
  ASSERT_TRUE(service.start().has_value());
  executor.run_for(milliseconds(1));
  const auto put = [&](const std::vector<std::string>& keys) {
    std::vector<Service::NewTask> tasks;
    for (const auto& key : keys) {
      TaskSpec spec;
      spec.iterations = 1;
      spec.idempotency_key = key;
      tasks.push_back({spec, std::make_shared<const std::string>(key)});
    }
    std::vector<std::string> ids;
    service.enqueue(std::move(tasks), [&](Result<queue::EnqueueReply> reply) {
      for (const auto& task : reply.value()) ids.push_back(task.id.to_string());
    });
    executor.run_for(milliseconds(1));
    return ids;
  };
  const auto first = put({"", "a", "b", "c"});
  const auto again = put({"c", "", "b", "a"});
  EXPECT_EQ(again[0], first[3]);
  EXPECT_EQ(again[2], first[2]);
  EXPECT_EQ(again[3], first[1]);
  EXPECT_NE(again[1], first[0]);
  for (std::size_t limit = 1; limit <= 6; ++limit) {
    std::size_t listed = 0;
    queue::ListTasks query;
    query.limit = limit;
    for (bool is_last = false; !is_last;) {
      service.list_tasks(query, [&](Result<v1::ListTasksReply> reply) {
        listed += static_cast<std::size_t>(reply.value().tasks_size());
        is_last = reply.value().next_cursor().empty();
        if (!is_last) query.after = TaskId::parse(reply.value().next_cursor()).value();
      });
      executor.run_for(milliseconds(1));
    }
    EXPECT_EQ(listed, 5u) << "pages of " << limit;
  }
}

}  // namespace
}  // namespace skep::manager
