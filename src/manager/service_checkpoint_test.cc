// SPDX-License-Identifier: Apache-2.0
// Goal: what a worker says of its progress is shown, kept, and given to whoever has the task next. Method: a
// service on virtual time over the memory store, asked in the words of the protocol.
#include "manager/testing/service_world.h"

namespace skep::manager {
namespace {

namespace v1 = api::v1;

std::string digest(char letter = 'd') {
  return std::string(limits::kCheckpointBytes, letter);
}

class ServiceCheckpoints : public testing::ServiceWorld {
 protected:
  ServiceCheckpoints() {
    TaskSpec spec;
    spec.iterations = 1'000;
    id = enqueue(spec);
    worker = add_worker();
    lease = acquire(worker).leases(0).lease();
  }

  v1::HeartbeatReply beat(std::uint64_t done, const std::string& checkpoint) {
    v1::HeartbeatRequest request;
    auto& held = *request.add_leases();
    held.set_lease(lease);
    held.set_started(true);
    held.set_iterations_done(done);
    held.set_checkpoint(checkpoint);
    return call<v1::HeartbeatReply>(
               [&](auto reply) { service->heartbeat(worker, request, std::move(reply)); })
        .value();
  }
  std::uint32_t release(std::uint64_t done, const std::string& checkpoint) {
    v1::ReleaseRequest request;
    request.set_worker(worker);
    auto& item = *request.add_leases();
    item.set_lease(lease);
    item.set_started(true);
    item.set_iterations_done(done);
    item.set_checkpoint(checkpoint);
    return call<v1::ReleaseReply>([&](auto reply) { service->release(request, std::move(reply)); })
        .value()
        .released();
  }
  v1::Totals totals() {
    return call<v1::ClusterReply>([&](auto reply) { service->cluster(std::move(reply)); }).value().totals();
  }
  v1::Lease next_lease() {
    const auto leased = acquire(add_worker());
    EXPECT_EQ(leased.leases_size(), 1);
    return leased.leases_size() == 1 ? leased.leases(0) : v1::Lease{};
  }

  TaskId id;
  std::string worker;
  std::string lease;
};

TEST_F(ServiceCheckpoints, ALeaseSaysWhatItsTaskKeeps) {
  release(0, "");
  const auto first = next_lease();
  EXPECT_TRUE(first.keep_checkpoints());
  EXPECT_EQ(first.iterations_done(), 0u);
  EXPECT_EQ(first.checkpoint(), "");
  TaskSpec spec;
  spec.iterations = 1'000;
  spec.keep_checkpoints = false;
  enqueue(spec);
  EXPECT_FALSE(next_lease().keep_checkpoints());
}

TEST_F(ServiceCheckpoints, OneThatIsHandedBackComesWithTheNextLease) {
  EXPECT_EQ(release(400, digest('x')), 1u);
  const auto next = next_lease();
  EXPECT_EQ(next.iterations(), 1'000u);
  EXPECT_EQ(next.iterations_done(), 400u);
  EXPECT_EQ(next.checkpoint(), digest('x'));
  EXPECT_EQ(next.body(), "body") << "for a worker that begins anew";
}

TEST_F(ServiceCheckpoints, OneOfAHeartbeatOutlivesItsWorkerAndTheManager) {
  beat(400, digest('x'));
  restart();
  EXPECT_EQ(get(id).checkpoint_iterations(), 400u);
  executor.run_for(options.lease + seconds(1));
  EXPECT_EQ(next_lease().iterations_done(), 400u);
}

TEST_F(ServiceCheckpoints, OfATaskThatIsDoneAllIsDone) {
  complete(worker, lease, std::string(128, 'a'));
  EXPECT_EQ(get(id).iterations_done(), 1'000u);
}

TEST_F(ServiceCheckpoints, ProgressIsShownWithWhatItRestsOn) {
  EXPECT_EQ(get(id).iterations_done(), 0u);
  EXPECT_EQ(get(id).progress_at_ms(), 0);
  beat(400, digest());
  executor.run_for(seconds(2));
  beat(500, "");
  auto task = get(id);
  EXPECT_EQ(task.iterations_done(), 500u);
  EXPECT_EQ(task.progress_at_ms() - task.checkpoint_at_ms(), 2'001);
  EXPECT_EQ(task.checkpoint_iterations(), 400u);
  EXPECT_NE(task.explanation().find("500 of 1,000 iterations at 50.0/s, about 10s left."), std::string::npos)
      << task.explanation();
  release(0, "");
  task = get(id);
  EXPECT_EQ(task.iterations_done(), 400u) << "none runs: the checkpoint's";
  EXPECT_EQ(task.progress_at_ms(), 0);
  EXPECT_NE(task.explanation().find("goes on after 400 of 1,000 iterations"), std::string::npos)
      << task.explanation();
}

TEST_F(ServiceCheckpoints, ABadOneCostsNoLease) {
  EXPECT_EQ(beat(400, "short").lost_size(), 0);
  EXPECT_EQ(beat(1'000, digest()).lost_size(), 0);
  EXPECT_EQ(get(id).state(), "leased");
  EXPECT_EQ(get(id).checkpoint_iterations(), 0u);
  EXPECT_EQ(totals().checkpoints(), 0u);
  EXPECT_EQ(totals().checkpoints_refused(), 2u);
  EXPECT_EQ(release(1'000, digest()), 1u);
  EXPECT_EQ(totals().checkpoints_refused(), 3u);
  EXPECT_EQ(next_lease().checkpoint(), "");
}

TEST_F(ServiceCheckpoints, SpeedIsNotLearnedFromHalfARun) {
  TaskSpec spec;
  spec.iterations = 1'000'000'000;
  const TaskId rest = enqueue(spec);
  const double before = service->observe().queued_seconds;
  release(999, digest());
  const auto resumed = next_lease();
  ASSERT_EQ(resumed.iterations_done(), 999u);
  complete(worker, resumed.lease(), std::string(128, 'a'));
  EXPECT_EQ(get(rest).state(), "queued");
  EXPECT_EQ(service->observe().queued_seconds, before);
}

}  // namespace
}  // namespace skep::manager
