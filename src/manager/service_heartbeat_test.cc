// SPDX-License-Identifier: Apache-2.0
// Goal: a heartbeat counts at once, and its answer waits until there is something to say. Method: a service
// on virtual time over the memory store.
#include "manager/testing/service_world.h"

namespace skep::manager {
namespace {

namespace v1 = api::v1;

class ServiceHeartbeatTest : public testing::ServiceWorld {
 protected:
  using Slot = std::shared_ptr<std::optional<Result<v1::HeartbeatReply>>>;

  // A heartbeat that is willing to wait for longer than a manager lets it.
  Slot begin_beat(const std::string& worker, const std::vector<std::string>& leases = {},
                  bool is_draining = false) {
    v1::HeartbeatRequest request;
    for (const auto& lease : leases) request.add_leases()->set_lease(lease);
    request.set_draining(is_draining);
    request.set_wait_ms(60'000);
    return begin<v1::HeartbeatReply>(
        [&](auto done) { service->heartbeat(worker, request, std::move(done)); });
  }
  void cancel(const TaskId& id) {
    call<v1::Task>([&](auto done) { service->cancel_task(id, std::move(done)); }).value();
  }
  void drain(const std::string& worker) {
    call<v1::Worker>([&](auto done) { service->drain_worker_by_hand(worker, std::move(done)); }).value();
  }
  // Whether it was answered, and had nothing to say.
  static bool is_plain(const Slot& slot) {
    if (!slot->has_value()) return false;
    const auto& reply = (*slot)->value();
    return reply.lost_size() == 0 && reply.cancelled_size() == 0 && !reply.drain() &&
           reply.managers_size() == 1;
  }
};

TEST_F(ServiceHeartbeatTest, WithNothingToSayItIsAnsweredAtItsTimeAtTheIntervalAtMost) {
  const auto worker = add_worker();
  const auto slot = begin_beat(worker);
  executor.run_for(options.heartbeat - milliseconds(5));
  EXPECT_FALSE(slot->has_value());
  executor.run_for(milliseconds(5));
  EXPECT_TRUE(is_plain(slot));

  v1::HeartbeatRequest request;
  request.set_wait_ms(500);
  const auto shorter =
      begin<v1::HeartbeatReply>([&](auto done) { service->heartbeat(worker, request, std::move(done)); });
  executor.run_for(milliseconds(490));
  EXPECT_FALSE(shorter->has_value());
  executor.run_for(milliseconds(10));
  EXPECT_TRUE(is_plain(shorter));
}

TEST_F(ServiceHeartbeatTest, WhatTheMachineWasToldIsShown) {
  const auto worker = add_worker();
  v1::HeartbeatRequest request;
  request.set_notice("spot interruption: terminate");
  for (int i = 0; i < 2; ++i)
    call<v1::HeartbeatReply>([&](auto done) {
      service->heartbeat(worker, request, std::move(done));
    }).value();
  const auto shown =
      call<v1::WorkersReply>([&](auto done) { service->list_workers(std::move(done)); }).value();
  ASSERT_EQ(shown.workers_size(), 1);
  EXPECT_EQ(shown.workers(0).notice(), "spot interruption: terminate");
  EXPECT_EQ(shown.workers(0).state(), "active");
}

TEST_F(ServiceHeartbeatTest, OneThatDoesNotWaitIsAnsweredAtOnce) {
  const auto worker = add_worker();
  EXPECT_EQ(heartbeat(worker, {}).managers_size(), 1);
}

TEST_F(ServiceHeartbeatTest, LeasesAreExtendedBeforeTheAnswer) {
  const TaskId id = enqueue();
  const auto worker = add_worker();
  const auto lease = acquire(worker).leases(0).lease();
  executor.run_for(seconds(1));
  const auto before = get(id).lease_expires_at_ms();
  const auto slot = begin_beat(worker, {lease});
  EXPECT_FALSE(slot->has_value());
  EXPECT_GT(get(id).lease_expires_at_ms(), before + 900);
}

TEST_F(ServiceHeartbeatTest, CancelIsToldAtOnce) {
  const TaskId id = enqueue();
  const auto worker = add_worker();
  const auto other = add_worker();
  const auto lease = acquire(worker).leases(0).lease();
  const auto slot = begin_beat(worker, {lease});
  const auto others = begin_beat(other);
  cancel(id);
  ASSERT_TRUE(slot->has_value());
  ASSERT_EQ((*slot)->value().cancelled_size(), 1);
  EXPECT_EQ((*slot)->value().cancelled(0), lease);
  EXPECT_FALSE((*slot)->value().drain());
  EXPECT_FALSE(others->has_value());
  executor.run_for(options.heartbeat);
  EXPECT_TRUE(is_plain(others));
}

TEST_F(ServiceHeartbeatTest, CancelOfALeaseThatCameAfterTheHeartbeatIsToldToo) {
  const auto worker = add_worker();
  const auto slot = begin_beat(worker);
  const TaskId id = enqueue();
  const auto lease = acquire(worker).leases(0).lease();
  cancel(id);
  ASSERT_TRUE(slot->has_value());
  ASSERT_EQ((*slot)->value().cancelled_size(), 1);
  EXPECT_EQ((*slot)->value().cancelled(0), lease);
}

TEST_F(ServiceHeartbeatTest, CancelThatIsCommittedWithTheHeartbeatIsToldWithIt) {
  const TaskId id = enqueue();
  const auto worker = add_worker();
  const auto lease = acquire(worker).leases(0).lease();
  executor.run_for(seconds(1));
  flaws.commit_lag = milliseconds(100);
  // While this one is committed the others wait for the next commit, together.
  TaskSpec spec;
  spec.iterations = 1;
  service->enqueue({{spec, std::make_shared<const std::string>("x")}},
                   [](const Result<queue::EnqueueReply>&) {});
  settle();
  const auto slot = begin_beat(worker, {lease});
  service->cancel_task(id, [](const Result<v1::Task>&) {});
  executor.run_for(milliseconds(300));
  ASSERT_TRUE(slot->has_value());
  ASSERT_EQ((*slot)->value().cancelled_size(), 1);
  EXPECT_EQ((*slot)->value().cancelled(0), lease);
}

TEST_F(ServiceHeartbeatTest, CancelOfATaskThatNobodyRunsIsToldToNobody) {
  const TaskId id = enqueue();
  const auto worker = add_worker();
  v1::ReleaseRequest release;
  release.set_worker(worker);
  release.add_leases()->set_lease(acquire(worker).leases(0).lease());
  call<v1::ReleaseReply>([&](auto done) { service->release(release, std::move(done)); }).value();
  const auto slot = begin_beat(worker);
  cancel(id);
  cancel(id);
  EXPECT_FALSE(slot->has_value());
}

TEST_F(ServiceHeartbeatTest, OrderToDrainIsToldAtOnce) {
  const auto worker = add_worker();
  const auto slot = begin_beat(worker);
  drain(worker);
  ASSERT_TRUE(slot->has_value());
  EXPECT_TRUE((*slot)->value().drain());
}

TEST_F(ServiceHeartbeatTest, NewerHeartbeatSendsTheOneThatWaitsHome) {
  const auto worker = add_worker();
  const auto first = begin_beat(worker);
  executor.run_for(seconds(1));
  const auto second = begin_beat(worker);
  EXPECT_TRUE(is_plain(first));
  EXPECT_FALSE(second->has_value());
  // The first one's time is no business of the second.
  executor.run_for(milliseconds(1'990));
  EXPECT_FALSE(second->has_value());
  executor.run_for(milliseconds(10));
  EXPECT_TRUE(is_plain(second));

  const auto third = begin_beat(worker);
  EXPECT_FALSE(third->has_value());
  heartbeat(worker, {});  // does not wait itself
  EXPECT_TRUE(is_plain(third));
}

TEST_F(ServiceHeartbeatTest, OfTwoThatAreCommittedTogetherOneWaits) {
  const auto worker = add_worker();
  v1::HeartbeatRequest request;
  request.set_wait_ms(60'000);
  std::vector<int> answered;
  service->heartbeat(worker, request, [&](const Result<v1::HeartbeatReply>&) { answered.push_back(1); });
  service->heartbeat(worker, request, [&](const Result<v1::HeartbeatReply>&) { answered.push_back(2); });
  settle();
  EXPECT_EQ(answered, (std::vector{1}));
  executor.run_for(options.heartbeat);
  EXPECT_EQ(answered, (std::vector{1, 2}));
}

TEST_F(ServiceHeartbeatTest, WhatIsToBeSaidIsSaidAtOnce) {
  const TaskId id = enqueue();
  const auto worker = add_worker();
  const auto lease = acquire(worker).leases(0).lease();
  EXPECT_EQ((*begin_beat(worker, {"nonsense"}))->value().lost(0), "nonsense");
  cancel(id);
  EXPECT_EQ((*begin_beat(worker, {lease}))->value().cancelled(0), lease);
  drain(worker);
  EXPECT_TRUE((*begin_beat(worker))->value().drain());
}

TEST_F(ServiceHeartbeatTest, WorkerThatKnowsThatItDrainsWaitsForACancel) {
  const TaskId id = enqueue();
  const auto worker = add_worker();
  const auto lease = acquire(worker).leases(0).lease();
  drain(worker);
  const auto slot = begin_beat(worker, {lease}, true);
  EXPECT_FALSE(slot->has_value());
  cancel(id);
  ASSERT_TRUE(slot->has_value());
  EXPECT_EQ((*slot)->value().cancelled_size(), 1);
}

TEST_F(ServiceHeartbeatTest, WorkerThatLeavesOrIsForgottenIsAnswered) {
  const auto leaves = add_worker();
  auto slot = begin_beat(leaves);
  call<v1::Worker>([&](auto done) { service->delete_worker(leaves, "done", std::move(done)); }).value();
  EXPECT_TRUE(is_plain(slot));
  const auto forgotten = add_worker();
  slot = begin_beat(forgotten);
  service->forget_worker(forgotten, "its machine is gone");
  EXPECT_TRUE(is_plain(slot));
}

TEST_F(ServiceHeartbeatTest, LostWorkerIsAnswered) {
  options.heartbeat = seconds(30);
  restart();
  const auto worker = add_worker();
  const auto slot = begin_beat(worker);
  executor.run_for(seconds(6));
  EXPECT_TRUE(is_plain(slot));
}

TEST_F(ServiceHeartbeatTest, ManagerThatDrainsAnswersAndLetsNoneWait) {
  const auto worker = add_worker();
  const auto slot = begin_beat(worker);
  service->begin_drain();
  EXPECT_TRUE(is_plain(slot));
  EXPECT_TRUE(is_plain(begin_beat(worker)));
}

TEST_F(ServiceHeartbeatTest, ManagerThatEndsLeavesNoTimerOfOneThatWaits) {
  const auto worker = add_worker();
  const auto slot = begin_beat(worker);
  service.reset();
  EXPECT_TRUE(executor.is_idle());
  EXPECT_FALSE(slot->has_value());
}

}  // namespace
}  // namespace skep::manager
