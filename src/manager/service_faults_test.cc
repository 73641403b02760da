// SPDX-License-Identifier: Apache-2.0
// Goal: what the service owes when something is wrong: a slow disk, a damaged blob, a client or worker that
// is gone, a worker without names for its leases. Method: a service on virtual time over a store with flaws.
#include <malloc.h>

#include <ctime>

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

// Clients fill what may wait for the disk within seconds, so that heartbeats are refused: the worker did all
// it could.
TEST_F(ServiceFaults, HeartbeatsThatFindNoRoomWhileADiskIsSlowStillKeepTheirLeases) {
  options.host.pending_max = 10;
  restart();
  const TaskId id = enqueue();
  const auto worker = add_worker();
  const auto lease = acquire(worker).leases(0).lease();
  flaws.commit_lag = seconds(20);  // longer than a lease
  begin_enqueue();
  settle();
  for (int i = 0; i < 20; ++i) begin_enqueue();
  for (int i = 0; i < 10; ++i) {
    beat(worker, lease);
    executor.run_for(seconds(2));
  }
  flaws.commit_lag = Duration::zero();
  for (int i = 0; i < 15; ++i) {
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

// A pull that takes longer than its receipt lasts, for the disk is slow: others may have pulled meanwhile.
TEST_F(ServiceFaults, WhatIsGivenOnceIsGivenOnceHoweverLongTheDiskTakes) {
  finish(1);
  flaws.commit_lag = seconds(40);
  begin_enqueue();
  settle();
  std::vector<std::shared_ptr<std::optional<Result<v1::PullReply>>>> pulls;
  for (const auto wait : {seconds(31), seconds(1), seconds(100)}) {
    pulls.push_back(begin<v1::PullReply>(
        [&](auto done) { service->pull(queue::Pull{}, Delivery::kOnce, kNoInstant, {}, std::move(done)); }));
    executor.run_for(wait);
  }
  executor.run_for(minutes(10));
  int given = 0;
  for (const auto& answer : pulls) {
    ASSERT_TRUE(answer->has_value());
    if (answer->value()) given += answer->value().value().items_size();
  }
  EXPECT_EQ(given, 1);
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
  EXPECT_EQ(get(id).state(), "delayed");
  EXPECT_EQ(get(id).workers_lost(), 0u);
  EXPECT_EQ(get(id).attempts_failed(), 0u);
  flaws.unreadable.clear();
  executor.run_for(seconds(5));
  EXPECT_EQ(acquire(add_worker()).leases_size(), 1);
}

// A bad sector under one body: the others are there, and are work.
TEST_F(ServiceFaults, ATaskWhoseBodyCanNotBeReadDoesNotHoldUpTheQueue) {
  const TaskId bad = enqueue();
  const TaskId good = enqueue();
  restart();
  flaws.unreadable[body_of(bad)] = Code::kUnavailable;
  const auto worker = add_worker();
  const auto before = service->host().commit_stats().commits;
  bool is_leased = false;
  int acquires = 0;
  for (; acquires < 60 && !is_leased; ++acquires) {
    const auto got = acquire(worker, 1);
    is_leased = got.leases_size() > 0 && got.leases(0).task() == good.to_string();
    (void)heartbeat(worker, {});
    executor.run_for(seconds(1));
  }
  EXPECT_TRUE(is_leased) << acquires << " acquires got nothing, at the price of "
                         << service->host().commit_stats().commits - before << " commits";
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

// What is asked of a registration holds for what each acquire says again: all of it is looked at for every
// task that is given to others while this one waits.
TEST_F(ServiceFaults, WhatAnAcquireNamesIsBoundedToo) {
  v1::AcquireRequest request;
  request.set_worker(add_worker());
  request.set_max(1);
  for (int i = 0; i < 300'000; ++i) request.add_kinds("kind-" + std::to_string(i));
  const auto answer = begin<Granted>([&](auto done) { service->acquire(request, {}, std::move(done)); });
  ASSERT_TRUE(answer->has_value());
  ASSERT_FALSE(answer->value());
  EXPECT_EQ(answer->value().error().code, Code::kInvalid);
}

// Clients may come, ask for a wait of minutes and go, again and again: what they asked for must not stay.
TEST_F(ServiceFaults, WaitsOfThoseWhoAreGoneAreLetGo) {
  const TaskId id = enqueue();
  const auto worker = add_worker();
  const auto gone = [] { return false; };
  const auto waits_for_task = begin<v1::Task>(
      [&](auto done) { service->get_task(id, executor.now() + minutes(5), gone, std::move(done)); });
  acquire(worker, 1);  // nothing is left
  bool is_connected = true;
  v1::AcquireRequest request;
  request.set_worker(worker);
  request.set_max(1);
  request.set_wait_ms(300'000);
  const auto waits_for_work = begin<Granted>([&](auto done) {
    service->acquire(
        request, [&is_connected] { return is_connected; }, std::move(done));
  });
  is_connected = false;
  for (int i = 0; i < 10; ++i) {
    heartbeat(worker, {});
    executor.run_for(seconds(2));
  }
  EXPECT_TRUE(waits_for_task->has_value()) << "of a task";
  EXPECT_TRUE(waits_for_work->has_value()) << "of a worker";
}

// Twice what may wait of bodies: `options.enqueue_bytes_max`.
constexpr std::size_t kWaitingBytesMax = std::size_t{512} << 20;

std::size_t bytes_in_use() {
  const auto info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

TEST_F(ServiceFaults, TasksThatWaitForASlowDiskTakeBoundedMemoryHoweverSmallTheyAre) {
  flaws.commit_lag = hours(1);
  begin_enqueue();  // its commit is under way
  settle();
  const std::size_t before = bytes_in_use();
  const auto body = std::make_shared<const std::string>();
  int refused = 0;
  int sent = 0;
  while (refused == 0 && sent < 1'200) {
    ++sent;
    std::vector<Service::NewTask> tasks;
    TaskSpec spec;
    spec.iterations = 1;
    for (std::size_t i = 0; i < limits::kBatchTasksMax; ++i) tasks.push_back({spec, body});
    service->enqueue(std::move(tasks), [&](const Result<queue::EnqueueReply>& reply) { refused += !reply; });
    settle();
  }
  const std::size_t taken = bytes_in_use() - before;
  EXPECT_LT(taken, kWaitingBytesMax) << sent << " batches of " << limits::kBatchTasksMax << " tasks, "
                                     << taken / (static_cast<std::size_t>(sent) * limits::kBatchTasksMax)
                                     << " bytes a task; " << options.host.pending_max << " may wait";
}

TEST_F(ServiceFaults, ResultsThatWaitForASlowDiskTakeBoundedMemory) {
  constexpr int kTasks = 700;
  const auto worker = add_worker(1'000);
  for (int i = 0; i < kTasks; ++i) enqueue();
  const auto leases = acquire(worker, 1'000);
  ASSERT_EQ(leases.leases_size(), kTasks);
  flaws.commit_lag = hours(1);
  begin_enqueue();
  settle();
  const std::size_t before = bytes_in_use();
  int refused = 0;
  for (const auto& lease : leases.leases()) {
    v1::CompleteRequest request;
    request.set_worker(worker);
    auto& outcome = *request.add_outcomes();
    outcome.set_lease(lease.lease());
    outcome.set_result(std::string(limits::kResultBytesMax, 'r'));
    service->complete(from_message(std::move(request)),
                      [&](const Result<Settled>& done) { refused += !done; });
    settle();
    if (refused > 0) break;
  }
  const std::size_t taken = bytes_in_use() - before;
  EXPECT_LT(taken, kWaitingBytesMax) << "and " << options.host.pending_max << " such requests may wait";
}

// What nobody here can do waits, and so do the workers: a request that has to do with neither shall not pay
// for both.
TEST_F(ServiceFaults, WorkThatNoWorkerCanDoDoesNotMakeWaitingWorkersCostly) {
  const auto cost_with = [&](int workers, bool has_unfit) {
    restart();
    for (int i = 0; i < workers; ++i) {
      v1::AcquireRequest request;
      request.set_worker(add_worker());
      request.add_kinds("sha512");
      request.set_wait_ms(300'000);
      request.set_max(1);
      service->acquire(request, {}, [](Result<Granted>) {});
    }
    settle();
    TaskSpec spec;
    spec.kind = "command";
    spec.program = "nobody";
    if (has_unfit) enqueue(spec);
    const std::clock_t begin = std::clock();
    for (int i = 0; i < 200; ++i)
      (void)call<v1::Task>([&](auto done) { service->get_task({0, 1, 1}, kNoInstant, {}, std::move(done)); });
    return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC / 200;
  };
  const double alone = cost_with(4'000, false);
  const double beside = cost_with(4'000, true);
  EXPECT_LT(beside, 20 * alone + 1e-5) << "seconds a request; " << alone << " without that task";
}

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
