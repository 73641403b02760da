// SPDX-License-Identifier: Apache-2.0
// Goal: what each endpoint means, without HTTP. Method: a service on virtual time over the memory store.
#include "manager/testing/service_world.h"

namespace skep::manager {
namespace {

namespace v1 = api::v1;

class ServiceTest : public testing::ServiceWorld {};

TEST_F(ServiceTest, TaskGoesThroughItsWholeLife) {
  const TaskId id = enqueue();
  EXPECT_EQ(get(id).state(), "queued");
  const auto worker = add_worker();
  const auto leased = acquire(worker);
  ASSERT_EQ(leased.leases_size(), 1);
  EXPECT_EQ(leased.leases(0).body(), "body");
  EXPECT_EQ(leased.leases(0).iterations(), 1u);
  EXPECT_EQ(get(id).state(), "leased");
  EXPECT_EQ(complete(worker, leased.leases(0).lease(), "result").outcomes(0).status(), "ok");
  const auto done = get(id);
  EXPECT_EQ(done.state(), "done");
  EXPECT_EQ(done.result(), "result");
  const auto pulled = pull().value();
  ASSERT_EQ(pulled.items_size(), 1);
  EXPECT_EQ(pulled.items(0).result(), "result");
  EXPECT_EQ(pull().value().items_size(), 0);
  EXPECT_EQ(get(id).result(), "result") << "delivered, but it stands until its retention ends";
}

TEST_F(ServiceTest, WorkerIsShownWithWhatItComputes) {
  const TaskId id = enqueue();
  const auto worker = add_worker();
  const auto leased = acquire(worker);
  const auto shown =
      call<v1::Worker>([&](auto done) { service->get_worker(worker, std::move(done)); }).value();
  EXPECT_EQ(shown.id(), worker);
  EXPECT_EQ(shown.state(), "active");
  ASSERT_EQ(shown.running_size(), 1);
  EXPECT_EQ(shown.running(0).task(), id.to_string());
  EXPECT_EQ(shown.running(0).iterations(), 1u);
  EXPECT_EQ(shown.running(0).progress_at_ms(), 0);
  complete(worker, leased.leases(0).lease(), "result");
  EXPECT_EQ(call<v1::Worker>([&](auto done) { service->get_worker(worker, std::move(done)); })
                .value()
                .running_size(),
            0);
  const auto unknown = call<v1::Worker>([&](auto done) { service->get_worker("w99", std::move(done)); });
  EXPECT_EQ(unknown.value().state(), "");
}

TEST_F(ServiceTest, ClusterSaysHowLongTasksWaited) {
  enqueue();
  executor.run_for(seconds(10));
  acquire(add_worker());
  const auto waits =
      call<v1::ClusterReply>([&](auto done) { service->cluster(std::move(done)); }).value().waits();
  EXPECT_EQ(waits.count(), 1u);
  EXPECT_NEAR(static_cast<double>(waits.p95_ms()), 10'000, 2'000);
  executor.run_for(minutes(2));
  EXPECT_EQ(
      call<v1::ClusterReply>([&](auto done) { service->cluster(std::move(done)); }).value().waits().count(),
      0u);
}

TEST_F(ServiceTest, WaitingAcquireIsAnsweredByTheNextEnqueue) {
  const auto worker = add_worker();
  auto waiting = begin_acquire(worker, 1, 30'000);
  EXPECT_FALSE(waiting->has_value());
  enqueue();
  ASSERT_TRUE(waiting->has_value());
  EXPECT_EQ((*waiting)->value().leases_size(), 1);
}

TEST_F(ServiceTest, WaitingGetIsAnsweredWhenTheTaskEnds) {
  const TaskId id = enqueue();
  const auto worker = add_worker();
  auto waiting = begin<v1::Task>(
      [&](auto done) { service->get_task(id, executor.now() + minutes(1), {}, std::move(done)); });
  EXPECT_FALSE(waiting->has_value());
  complete(worker, acquire(worker).leases(0).lease(), "result");
  ASSERT_TRUE(waiting->has_value());
  EXPECT_EQ((*waiting)->value().state(), "done");
}

TEST_F(ServiceTest, WaitingGetIsAnsweredAtItsTimeWithTheStateThen) {
  const TaskId id = enqueue();
  auto waiting = begin<v1::Task>(
      [&](auto done) { service->get_task(id, executor.now() + seconds(10), {}, std::move(done)); });
  executor.run_for(seconds(9));
  EXPECT_FALSE(waiting->has_value());
  executor.run_for(seconds(2));
  ASSERT_TRUE(waiting->has_value());
  EXPECT_EQ((*waiting)->value().state(), "queued");
}

TEST_F(ServiceTest, WaitingPullIsAnsweredByTheNextResult) {
  queue::Pull command;
  auto waiting = begin<v1::PullReply>([&](auto done) {
    service->pull(command, Service::Delivery::kReceipt, executor.now() + minutes(1), {}, std::move(done));
  });
  EXPECT_FALSE(waiting->has_value());
  enqueue();
  const auto worker = add_worker();
  complete(worker, acquire(worker).leases(0).lease(), "result");
  ASSERT_TRUE(waiting->has_value());
  EXPECT_EQ((*waiting)->value().items_size(), 1);
}

TEST_F(ServiceTest, WaitingPullGetsWhatComesAgainAfterItsVisibility) {
  enqueue();
  const auto worker = add_worker();
  complete(worker, acquire(worker).leases(0).lease(), "result");
  EXPECT_EQ(pull(Service::Delivery::kReceipt).value().items_size(), 1);
  queue::Pull command;
  auto waiting = begin<v1::PullReply>([&](auto done) {
    service->pull(command, Service::Delivery::kReceipt, executor.now() + minutes(2), {}, std::move(done));
  });
  executor.run_for(seconds(29));
  EXPECT_FALSE(waiting->has_value());
  executor.run_for(seconds(2));
  ASSERT_TRUE(waiting->has_value());
  EXPECT_EQ((*waiting)->value().items_size(), 1);
}

TEST_F(ServiceTest, ReceiptOfBeforeARestartIsRefusedAndItsResultsComeAgain) {
  enqueue();
  const auto worker = add_worker();
  complete(worker, acquire(worker).leases(0).lease(), "result");
  const auto pulled = pull(Service::Delivery::kReceipt).value();
  restart();
  v1::AckRequest ack;
  ack.set_receipt(pulled.receipt());
  EXPECT_EQ(call<v1::AckReply>([&](auto done) { service->ack(ack, std::move(done)); }).error().code,
            Code::kNotFound);
  const auto again = pull(Service::Delivery::kReceipt).value();
  EXPECT_EQ(again.items_size(), 1);
  ack.set_receipt(again.receipt());
  EXPECT_EQ(call<v1::AckReply>([&](auto done) { service->ack(ack, std::move(done)); }).value().acknowledged(),
            1u);
}

TEST_F(ServiceTest, BadReceiptsAndIdsAreRefused) {
  for (const char* text : {"x", "1.2", "1.2.", "1.2.3.", "1.2.3,", "-1.2.3", "99999999999999999999.1.1"}) {
    v1::AckRequest ack;
    ack.set_receipt(text);
    const auto reply = call<v1::AckReply>([&](auto done) { service->ack(ack, std::move(done)); });
    if (std::string(text) == "1.2.3,") continue;  // a trailing comma means an empty last part: harmless
    EXPECT_EQ(reply.error().code, Code::kInvalid) << text;
  }
  v1::AckRequest ack;
  ack.add_ids("not-an-id");
  EXPECT_EQ(call<v1::AckReply>([&](auto done) { service->ack(ack, std::move(done)); }).error().code,
            Code::kInvalid);
}

TEST_F(ServiceTest, SilentWorkerIsLostAndItsLeasesRunElsewhere) {
  enqueue();
  const auto quiet = add_worker(8);
  const auto lease = acquire(quiet, 8).leases(0).lease();
  const auto other = add_worker();
  auto waiting = begin_acquire(other, 1, 60'000);
  executor.run_for(seconds(4));
  heartbeat(other, {});
  EXPECT_FALSE(waiting->has_value());
  executor.run_for(milliseconds(1'500));
  ASSERT_TRUE(waiting->has_value());
  ASSERT_EQ((*waiting)->value().leases_size(), 1);
  EXPECT_EQ(heartbeat(quiet, {lease}).lost(0), lease);
}

TEST_F(ServiceTest, WhatNeverBeganOnALostWorkerIsNotBlamed) {
  const TaskId ran = enqueue();
  const TaskId second = enqueue();
  const TaskId third = enqueue();
  const auto worker = add_worker(2);
  const auto leased = acquire(worker, 3);
  ASSERT_EQ(leased.leases_size(), 3);
  v1::HeartbeatRequest beat;
  for (const auto& lease : leased.leases()) beat.add_leases()->set_lease(lease.lease());
  beat.mutable_leases(0)->set_started(true);
  call<v1::HeartbeatReply>([&](auto done) { service->heartbeat(worker, beat, std::move(done)); }).value();
  complete(worker, leased.leases(0).lease(), "result");  // makes room for one that waited
  executor.run_for(seconds(6));
  EXPECT_EQ(get(ran).state(), "done");
  EXPECT_EQ(get(second).workers_lost(), 1u);
  EXPECT_EQ(get(third).workers_lost(), 0u);
}

TEST_F(ServiceTest, TimeInWhichTheManagerStoodStillIsNotTheWorkersSilence) {
  WorkerRegistry registry;
  v1::RegisterRequest request;
  const Instant now = executor.now();
  const std::string id = registry.add(request, "1", now).id;
  registry.forgive(seconds(20));
  EXPECT_TRUE(registry.sweep(now + seconds(24), seconds(5)).empty());
  EXPECT_EQ(registry.sweep(now + seconds(26), seconds(5)), std::vector{id});
}

TEST_F(ServiceTest, UnknownWorkerIsToldToRegister) {
  v1::HeartbeatRequest request;
  const auto reply =
      call<v1::HeartbeatReply>([&](auto done) { service->heartbeat("w9-9", request, std::move(done)); });
  EXPECT_EQ(reply.error().code, Code::kNotFound);
  v1::AcquireRequest acquire_request;
  acquire_request.set_worker("w9-9");
  EXPECT_EQ(
      call<Granted>([&](auto done) { service->acquire(acquire_request, {}, std::move(done)); }).error().code,
      Code::kNotFound);
}

TEST_F(ServiceTest, WorkerGoesOnAfterTheManagersRestart) {
  const TaskId id = enqueue();
  const auto worker = add_worker();
  const auto lease = acquire(worker).leases(0).lease();
  restart();
  const auto again = add_worker();
  EXPECT_NE(again, worker) << "ids are never given twice";
  EXPECT_EQ(heartbeat(again, {lease}).lost_size(), 0);
  EXPECT_EQ(complete(again, lease, "result").outcomes(0).status(), "ok");
  EXPECT_EQ(get(id).state(), "done");
}

TEST_F(ServiceTest, DrainedWorkerIsToldAndGetsNothingMore) {
  const auto worker = add_worker();
  auto waiting = begin_acquire(worker, 1, 60'000);
  service->drain_worker(worker);
  settle();
  ASSERT_TRUE(waiting->has_value());
  EXPECT_TRUE((*waiting)->value().drain());
  enqueue();
  EXPECT_EQ(acquire(worker).leases_size(), 0);
  EXPECT_TRUE(heartbeat(worker, {}).drain());
}

TEST_F(ServiceTest, DeletedWorkersLeasesGoBack) {
  const TaskId id = enqueue();
  const auto worker = add_worker();
  acquire(worker);
  call<v1::Worker>([&](auto done) { service->delete_worker(worker, "done", std::move(done)); }).value();
  settle();
  EXPECT_EQ(get(id).state(), "queued");
}

TEST_F(ServiceTest, OutcomesAreJudgedOneByOne) {
  enqueue();
  const auto worker = add_worker();
  const auto lease = acquire(worker).leases(0).lease();
  v1::CompleteRequest request;
  request.set_worker(worker);
  request.add_outcomes()->set_lease("nonsense");
  auto& good = *request.add_outcomes();
  good.set_lease(lease);
  good.set_result("r");
  auto& stale = *request.add_outcomes();
  stale.set_lease(lease);
  stale.set_failed(true);
  const auto reply = call<Settled>([&](auto done) {
                       service->complete(from_message(std::move(request)), std::move(done));
                     }).value();
  EXPECT_EQ(reply.outcomes[0].status, "invalid");
  EXPECT_EQ(reply.outcomes[1].status, "ok");
  EXPECT_EQ(reply.outcomes[2].status, "stale_lease");
}

TEST_F(ServiceTest, DifferentResultMarksTheWorkerAsSuspect) {
  enqueue();
  const auto honest = add_worker();
  const auto lease = acquire(honest).leases(0).lease();
  complete(honest, lease, "r");
  const auto liar = add_worker();
  EXPECT_EQ(complete(liar, lease, "other").outcomes(0).status(), "conflict");
  settle();
  const auto workers =
      call<v1::WorkersReply>([&](auto done) { service->list_workers(std::move(done)); }).value();
  for (const auto& worker : workers.workers()) EXPECT_EQ(worker.mismatches(), worker.id() == liar ? 1u : 0u);
}

TEST_F(ServiceTest, SeedWorkerByAddressOldestFirst) {
  const TaskId a = enqueue({}, "a");
  const TaskId b = enqueue({}, "b");
  const auto get_work = [&](std::uint64_t connection) {
    return call<Service::SeedWork>(
               [&](auto done) { service->seed_get_work("10.0.0.7", connection, std::move(done)); })
        .value();
  };
  const auto push = [&](std::uint64_t connection, char digit) {
    return call<void>([&](auto done) {
      service->seed_push_result("10.0.0.7", connection, std::string(128, digit), std::move(done));
    });
  };
  EXPECT_EQ(*get_work(1).body, "a");
  EXPECT_EQ(*get_work(2).body, "b");
  EXPECT_FALSE(get_work(3).is_found);
  EXPECT_TRUE(push(4, 'a').has_value());
  EXPECT_TRUE(push(5, 'b').has_value());
  EXPECT_EQ(get(a).result(), std::string(128, 'a'));
  EXPECT_EQ(get(b).result(), std::string(128, 'b'));
  EXPECT_EQ(push(6, 'c').error().code, Code::kNotFound);
}

TEST_F(ServiceTest, SeedResultOnTheSameConnectionNamesItsLease) {
  const TaskId a = enqueue({}, "a");
  const TaskId b = enqueue({}, "b");
  for (std::uint64_t connection : {1u, 2u}) {
    call<Service::SeedWork>([&](auto done) {
      service->seed_get_work("10.0.0.7", connection, std::move(done));
    }).value();
  }
  call<void>([&](auto done) {
    service->seed_push_result("10.0.0.7", 2, std::string(128, 'b'), std::move(done));
  }).value();
  EXPECT_EQ(get(b).state(), "done");
  EXPECT_EQ(get(a).state(), "leased");
}

TEST_F(ServiceTest, SeedLeaseSurvivesARestartAndExpiresLikeAnyOther) {
  const TaskId id = enqueue();
  call<Service::SeedWork>([&](auto done) { service->seed_get_work("10.0.0.7", 1, std::move(done)); }).value();
  restart();
  EXPECT_TRUE(call<void>([&](auto done) {
                service->seed_push_result("10.0.0.7", 9, std::string(128, 'a'), std::move(done));
              }).has_value());
  EXPECT_EQ(get(id).state(), "done");
  const TaskId other = enqueue();
  call<Service::SeedWork>([&](auto done) { service->seed_get_work("10.0.0.7", 1, std::move(done)); }).value();
  executor.run_for(minutes(10));
  EXPECT_EQ(get(other).state(), "queued");
}

TEST_F(ServiceTest, DrainedSeedWorkerIsAskedToExit) {
  call<Service::SeedWork>([&](auto done) { service->seed_get_work("10.0.0.7", 1, std::move(done)); }).value();
  call<v1::Worker>([&](auto done) {
    service->drain_worker_by_hand("seed-10.0.0.7", std::move(done));
  }).value();
  EXPECT_TRUE(
      call<Service::SeedWork>([&](auto done) { service->seed_get_work("10.0.0.7", 1, std::move(done)); })
          .value()
          .is_exit_wanted);
}

TEST_F(ServiceTest, SiblingsAreKeptOnceAndItselfIsIgnored) {
  service->register_sibling("10.0.0.2:80", [](const auto&) {});
  service->register_sibling("10.0.0.2:80", [](const auto&) {});
  for (const char* address : {"127.0.0.1:1", "localhost:1", "127.0.0.2:1"})
    service->register_sibling(address, [](const auto&) {});
  EXPECT_EQ(service->managers(), (std::vector<std::string>{"127.0.0.1:1", "10.0.0.2:80", "127.0.0.2:1"}));
}

TEST_F(ServiceTest, ObservationCountsWorkInSeconds) {
  TaskSpec spec;
  spec.iterations = 4'000'000;
  enqueue(spec);
  const auto seen = service->observe();
  EXPECT_EQ(seen.queued, 1u);
  EXPECT_NEAR(seen.queued_seconds, 1.0, 0.01) << "by the prior of 4 million a second";
  EXPECT_EQ(seen.running, 0u);
}

TEST_F(ServiceTest, DrainAnswersEveryWaitAndRefusesNewTasks) {
  const TaskId id = enqueue();
  const auto worker = add_worker();
  acquire(worker);
  auto lease = begin_acquire(worker, 1, 60'000);
  auto task = begin<v1::Task>(
      [&](auto done) { service->get_task(id, executor.now() + minutes(1), {}, std::move(done)); });
  queue::Pull command;
  auto results = begin<v1::PullReply>([&](auto done) {
    service->pull(command, Service::Delivery::kReceipt, executor.now() + minutes(1), {}, std::move(done));
  });
  service->begin_drain();
  settle();
  EXPECT_TRUE(lease->has_value());
  EXPECT_TRUE(task->has_value());
  EXPECT_TRUE(results->has_value());
  TaskSpec spec;
  spec.iterations = 1;
  EXPECT_EQ(call<queue::EnqueueReply>([&](auto done) {
              service->enqueue({{spec, std::make_shared<const std::string>("x")}}, std::move(done));
            })
                .error()
                .code,
            Code::kUnavailable);
  EXPECT_EQ(service->readiness().error().code, Code::kUnavailable);
}

TEST_F(ServiceTest, PausedQueueIsExplained) {
  v1::PatchQueueRequest patch;
  patch.set_paused(true);
  call<v1::Queue>([&](auto done) { service->patch_queue("default", patch, std::move(done)); }).value();
  const TaskId id = enqueue();
  EXPECT_NE(get(id).explanation().find("paused"), std::string::npos) << get(id).explanation();
  restart();
  const auto queues =
      call<v1::QueuesReply>([&](auto done) { service->list_queues(std::move(done)); }).value();
  ASSERT_EQ(queues.queues_size(), 1);
  EXPECT_TRUE(queues.queues(0).paused()) << "settings are durable";
}

TEST_F(ServiceTest, AQueueTellsHowLongItsTasksWaited) {
  enqueue();
  acquire(add_worker(4));
  const auto queues =
      call<v1::QueuesReply>([&](auto done) { service->list_queues(std::move(done)); }).value();
  ASSERT_EQ(queues.queues_size(), 1);
  EXPECT_EQ(queues.queues(0).waits().count(), 1u);
  EXPECT_EQ(queues.queues(0).weight(), 1u);
}

TEST_F(ServiceTest, ClusterCountsWhatIsThere) {
  enqueue();
  enqueue();
  const auto worker = add_worker(4);
  acquire(worker);
  const auto cluster = call<v1::ClusterReply>([&](auto done) { service->cluster(std::move(done)); }).value();
  EXPECT_EQ(cluster.tasks().queued(), 1u);
  EXPECT_EQ(cluster.tasks().leased(), 1u);
  EXPECT_EQ(cluster.workers_active(), 1u);
  EXPECT_EQ(cluster.slots(), 4u);
  EXPECT_EQ(cluster.totals().enqueued(), 2u);
  EXPECT_TRUE(cluster.store().available());
}

TEST_F(ServiceTest, BatchOverSeveralShardsIsAllOrNone) {
  disk = std::make_shared<store::MemoryDisk>(4);
  restart();
  std::vector<Service::NewTask> tasks;
  for (int i = 0; i < 8; ++i) {
    TaskSpec spec;
    spec.iterations = i == 7 ? 0 : 1;  // the last one is wrong
    spec.idempotency_key = "key" + std::to_string(i);
    tasks.push_back({spec, std::make_shared<const std::string>("body")});
  }
  EXPECT_EQ(
      call<queue::EnqueueReply>([&](auto done) { service->enqueue(tasks, std::move(done)); }).error().code,
      Code::kInvalid);
  const auto cluster = call<v1::ClusterReply>([&](auto done) { service->cluster(std::move(done)); }).value();
  for (const auto& shard : cluster.shards()) EXPECT_EQ(shard.tasks(), 0u);
}

TEST_F(ServiceTest, ExtensionThatArrivedInTimeCountsHoweverLateItIsApplied) {
  const TaskId id = enqueue();
  const auto worker = add_worker();
  const auto lease = acquire(worker).leases(0).lease();
  executor.run_for(seconds(2));
  heartbeat(worker, {lease});
  // Both are due at once, as after a commit that took its time: the lease runs out, the heartbeat is there.
  v1::HeartbeatRequest request;
  request.add_leases()->set_lease(lease);
  const Instant expiry = from_unix_ms(get(id).lease_expires_at_ms());
  for (Instant at = executor.now() + seconds(4); at < expiry; at += seconds(4)) {
    executor.run_until(at);
    v1::HeartbeatRequest alive;  // it is heard from, the lease is not shown
    call<v1::HeartbeatReply>([&](auto done) { service->heartbeat(worker, alive, std::move(done)); }).value();
  }
  executor.run_until(expiry - milliseconds(1));
  executor.post_at(expiry,
                   [&] { service->heartbeat(worker, request, [](const Result<v1::HeartbeatReply>&) {}); });
  executor.run_until(expiry + milliseconds(5));
  EXPECT_EQ(get(id).state(), "leased");
}

TEST_F(ServiceTest, ScalerCountsAWorkersPlacesForCommandsWhileThereAreCommands) {
  v1::RegisterRequest request;
  request.set_slots(16);
  request.set_commands(2);
  request.add_kinds("sha512");
  request.add_kinds("command");
  request.add_programs("program");
  call<v1::RegisterReply>([&](auto done) { service->register_worker(request, std::move(done)); }).value();
  enqueue();
  EXPECT_EQ(service->observe().slots_per_worker, 16u);
  TaskSpec spec;
  spec.kind = "command";
  spec.program = "program";
  enqueue(spec);
  EXPECT_EQ(service->observe().slots_per_worker, 2u);
}

TEST_F(ServiceTest, ScalerDoesNotCountAWorkerThatCanTakeNothingOfWhatWaits) {
  call<Service::SeedWork>([&](auto done) { service->seed_get_work("10.0.0.7", 1, std::move(done)); }).value();
  EXPECT_EQ(service->observe().running, 1u);
  TaskSpec spec;
  spec.kind = "command";
  spec.program = "program";
  enqueue(spec);
  EXPECT_EQ(service->observe().running, 0u);
  EXPECT_FALSE(service->workers().at(0).is_fit);
  enqueue();
  EXPECT_EQ(service->observe().running, 1u);
  EXPECT_TRUE(service->workers().at(0).is_fit);
}

TEST_F(ServiceTest, ALostWorkerIsStillShownWhenTheScalerForgetsIt) {
  const auto worker = add_worker();
  executor.run_for(seconds(6));
  service->forget_worker(worker, "it was silent");
  settle();
  const auto* known =
      service->workers_seen().all().contains(worker) ? &service->workers_seen().all().at(worker) : nullptr;
  ASSERT_NE(known, nullptr);
  EXPECT_TRUE(known->is_lost);
  heartbeat(worker, {});
  EXPECT_FALSE(known->is_lost) << "and comes back under its name";
  service->forget_worker(worker, "its machine is gone");
  EXPECT_FALSE(service->workers_seen().all().contains(worker));
}

}  // namespace
}  // namespace skep::manager
