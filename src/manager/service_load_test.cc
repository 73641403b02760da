// SPDX-License-Identifier: Apache-2.0
// What the scaler sees of queues and classes of tasks: work by what each class took, loads by objective.
#include "manager/testing/service_world.h"

namespace skep::manager {
namespace {

namespace v1 = api::v1;

class ServiceLoad : public testing::ServiceWorld {
 protected:
  // A worker that runs any program, and one task of `program` that took so long there.
  void run_one(const std::string& queue, const std::string& program, Duration took) {
    enqueue(task(queue, program));
    v1::RegisterRequest request;
    request.set_name("test");
    request.set_slots(4);
    request.set_commands(4);
    request.add_kinds("command");
    request.add_programs(program);
    const auto worker =
        call<v1::RegisterReply>([&](auto done) { service->register_worker(request, std::move(done)); })
            .value()
            .worker();
    v1::AcquireRequest wanted;
    wanted.set_worker(worker);
    wanted.set_max(1);
    wanted.add_kinds("command");
    wanted.add_programs(program);
    auto granted = call<Granted>([&](auto done) { service->acquire(wanted, {}, std::move(done)); }).value();
    ASSERT_EQ(granted.leases.size(), 1u);
    v1::CompleteRequest report;
    report.set_worker(worker);
    auto& outcome = *report.add_outcomes();
    outcome.set_lease(granted.leases[0].task.token.to_string());
    outcome.set_result("r");
    outcome.set_run_us(static_cast<std::uint64_t>(duration_cast<std::chrono::microseconds>(took).count()));
    call<Settled>([&](auto done) {
      service->complete(from_message(std::move(report)), std::move(done));
    }).value();
  }
  static TaskSpec task(const std::string& queue, const std::string& program) {
    TaskSpec spec;
    spec.queue = queue;
    spec.kind = "command";
    spec.program = program;
    return spec;
  }
};

TEST_F(ServiceLoad, WorkIsCountedByWhatEachProgramTook) {
  run_one("default", "quick", seconds(1));
  run_one("default", "slow", minutes(10));
  enqueue(task("default", "quick"));
  enqueue(task("default", "quick"));
  EXPECT_NEAR(service->observe().queued_seconds, 2, 1e-6);
  enqueue(task("default", "slow"));
  EXPECT_NEAR(service->observe().queued_seconds, 602, 1e-6);
  const auto cluster = call<v1::ClusterReply>([&](auto done) { service->cluster(std::move(done)); }).value();
  EXPECT_NEAR(cluster.backlog_seconds(), 602, 1e-6);
  EXPECT_TRUE(service->observe().loads.empty()) << "it is all one where no queue has an objective";
}

TEST_F(ServiceLoad, ATaskSaysWhatItShouldTake) {
  EXPECT_EQ(get(enqueue(task("default", "render"))).explanation().find("should take"), std::string::npos);
  run_one("default", "render", seconds(250));
  const std::string said = get(enqueue(task("default", "render"))).explanation();
  EXPECT_NE(said.find("It should take about 4m 10s, going by 1 task of program 'render' in its queue."),
            std::string::npos)
      << said;
}

TEST_F(ServiceLoad, QueuesWithObjectivesAreToldApart) {
  options.objectives = {{"urgent", seconds(5), 4}, {"unused", seconds(9), 1}};
  restart();
  run_one("urgent", "p", seconds(3));
  enqueue(task("urgent", "p"));
  executor.run_for(seconds(2));
  for (const char* queue : {"a", "b", "b"}) enqueue(task(queue, "p"));
  const auto seen = service->observe();
  ASSERT_EQ(seen.loads.size(), 3u);
  const scaler::QueueLoad& urgent = seen.loads[0];
  EXPECT_EQ(urgent.queue, "urgent");
  EXPECT_EQ(urgent.queued, 1u);
  EXPECT_EQ(urgent.started, 1u);
  EXPECT_NEAR(urgent.queued_seconds, 3, 1e-6);
  EXPECT_GE(urgent.oldest_wait, seconds(2));
  EXPECT_GT(urgent.arrival_seconds, 0);
  EXPECT_EQ(seen.loads[1], (scaler::QueueLoad{.queue = "unused"}));
  const scaler::QueueLoad& rest = seen.loads[2];
  EXPECT_EQ(rest.queue, "");
  EXPECT_EQ(rest.queued, 3u);
  EXPECT_EQ(rest.queues, 2u);
  EXPECT_LT(rest.oldest_wait, seconds(1));
  EXPECT_EQ(seen.queued, 4u);
  EXPECT_NEAR(seen.queued_seconds, 12, 1e-6);
  EXPECT_EQ(seen.oldest_wait, urgent.oldest_wait);
}

// 8 million iterations arrive each second for a minute: two seconds of work, as is believed.
TEST_F(ServiceLoad, WhatArrivesIsSmoothedOverHalfAMinute) {
  TaskSpec spec;
  spec.iterations = 8'000'000;
  for (int second = 0; second < 120; ++second) {
    enqueue(spec);
    executor.run_for(milliseconds(999));
  }
  EXPECT_NEAR(service->observe().arrival_seconds, 2, 0.1);
  executor.run_for(seconds(120));
  EXPECT_NEAR(service->observe().arrival_seconds, 0.04, 0.03);
}

}  // namespace
}  // namespace skep::manager
