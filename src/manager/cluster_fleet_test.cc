// SPDX-License-Identifier: Apache-2.0
// Goal: of managers that share a store exactly one sizes the fleet, for all, whoever dies, stands still or is
// not heard; and no worker is started twice or forgotten. Method: several managers with provisioners of
// imagined machines on virtual time over one memory disk; calls between them may be cut.
#include "manager/cluster_fleet.h"

#include <gtest/gtest.h>

#include <set>

#include "api/errors.h"
#include "base/testing/virtual_executor.h"
#include "client/request.h"
#include "manager/fleet_messages.h"
#include "scaler/testing/fake_provisioner.h"
#include "store/memory_store.h"

namespace skep::manager {
namespace {

namespace v1 = api::v1;
using scaler::FleetRole;
using scaler::Instance;
using scaler::testing::FakeProvisioner;
using scaler::testing::LaunchFault;
using skep::testing::VirtualExecutor;
constexpr ShardId kShards = 8;

struct OneManager;
struct World {
  VirtualExecutor executor;
  std::shared_ptr<store::MemoryDisk> disk = std::make_shared<store::MemoryDisk>(kShards, executor);
  std::map<std::string, OneManager*> by_address;
  std::set<std::string> silent;  // addresses that no call reaches
  scaler::Bounds limits;         // of managers that join
  bool is_dry_run = false;       // of managers that join
};

// Hands a call to the manager that has the address.
class Calls final : public SiblingCalls {
 public:
  explicit Calls(World& world) : world_(world) {}
  void send(const std::string& address, http::ClientRequest request, Duration patience,
            http::Client::Done done) override;

 private:
  World& world_;
};

// A provisioner as a cloud's, or as the processes of a machine.
class Machines final : public scaler::Provisioner {
 public:
  Machines(FakeProvisioner& inner, bool is_cluster_wide) : inner_(inner), is_cluster_wide_(is_cluster_wide) {}
  std::string name() const override { return "fake"; }
  bool can_launch() const override { return can_launch_; }
  bool is_cluster_wide() const override { return is_cluster_wide_; }
  void list(ListDone done) override { inner_.list(std::move(done)); }
  void launch(std::uint32_t count, std::string token, LaunchDone done) override {
    inner_.launch(count, std::move(token), std::move(done));
  }
  void terminate(std::vector<std::string> ids, TerminateDone done) override {
    inner_.terminate(std::move(ids), std::move(done));
  }
  void on_change(Changed changed) override { inner_.on_change(std::move(changed)); }
  bool can_launch_ = true;

 private:
  FakeProvisioner& inner_;
  const bool is_cluster_wide_;
};

struct OneManager {
  OneManager(World& in, int number, std::uint32_t workers_max, FakeProvisioner* shared)
      : world(in),
        address("127.0.0.1:" + std::to_string(number)),
        store(in.disk),
        service(in.executor, store, service_options(address), Random(3), Logger()),
        calls(in),
        forwarder(in.executor, service, calls, true, Random(1)),
        fleet(in.executor, service, forwarder, calls, Logger()),
        own_machines(in.executor, Random(static_cast<std::uint64_t>(number))),
        provisioner(shared != nullptr ? *shared : own_machines, shared != nullptr) {
    EXPECT_TRUE(service.start());
    in.executor.run_for(milliseconds(50));
    provisioner.can_launch_ = workers_max > 0;
    scaler::ScalerOptions options;
    options.bounds = in.limits;
    options.bounds.workers_max = std::max(1u, workers_max);
    options.address = address;
    options.is_dry_run = in.is_dry_run;
    scaler =
        std::make_unique<scaler::Scaler>(in.executor, fleet, provisioner, scaler::make_drain_time_policy({}),
                                         options, "e" + service.life_name(), Logger(), &fleet);
    service.attach(scaler.get(), "fake");
    service.on_shards_changed([this] {
      forwarder.on_shards_changed();
      fleet.on_shards_changed();
    });
    fleet.attach(scaler.get(), shared != nullptr);
    fleet.start();
    scaler->start();
    in.by_address[address] = this;
  }
  ~OneManager() {
    world.by_address.erase(address);
    service.attach(nullptr, "none");
    fleet.attach(nullptr);
  }
  static ServiceOptions service_options(const std::string& address) {
    ServiceOptions options;
    options.address = address;
    return options;
  }
  FleetRole role() const { return scaler->state().role; }

  World& world;
  const std::string address;
  store::MemoryStore store;
  Service service;
  Calls calls;
  Forwarder forwarder;
  ClusterFleet fleet;
  FakeProvisioner own_machines;
  Machines provisioner;
  std::unique_ptr<scaler::Scaler> scaler;
};

http::Response response_of(const Result<v1::ShareReply>& reply) {
  if (!reply)
    return http::Response::text(api::info(reply.error().code).http_status, api::kProblemJson,
                                api::problem_json(reply.error()));
  return http::Response::text(200, api::kProtobuf, reply.value().SerializeAsString());
}

void Calls::send(const std::string& address, http::ClientRequest request, Duration patience,
                 http::Client::Done done) {
  auto& executor = world_.executor;
  const auto found = world_.by_address.find(address);
  if (found == world_.by_address.end() || world_.silent.contains(address)) {
    executor.post_at(executor.now() + patience,
                     [done = std::move(done)]() mutable { done(fail(Code::kTimeout, "no answer")); });
    return;
  }
  if (request.target != "/v1/scaling:share") {
    executor.post([done = std::move(done)]() mutable { done(fail(Code::kUnavailable, "not in this test")); });
    return;
  }
  auto message = std::make_shared<v1::ShareRequest>();
  EXPECT_TRUE(message->ParseFromString(*request.body));
  executor.post_at(executor.now() + milliseconds(1),
                   [this, address, message, done = std::move(done)]() mutable {
                     const auto there = world_.by_address.find(address);
                     if (there == world_.by_address.end()) return done(fail(Code::kUnavailable, "gone"));
                     auto shared = std::make_shared<http::Client::Done>(std::move(done));
                     there->second->fleet.take_share(
                         *message, [shared](Result<v1::ShareReply> reply) { (*shared)(response_of(reply)); });
                   });
}

class ClusterFleetTest : public ::testing::Test {
 protected:
  // A manager whose workers, once up, register with it and say that they live.
  OneManager& join(std::uint32_t workers_max, FakeProvisioner* shared = nullptr) {
    managers.push_back(std::make_unique<OneManager>(world, ++joined, workers_max, shared));
    OneManager& manager = *managers.back();
    if (shared == nullptr) tend(manager.own_machines, [&manager](auto) { return &manager; });
    run(seconds(1));
    return manager;
  }
  struct Worker {
    std::string instance;
    std::string id;
    OneManager* at = nullptr;
    FakeProvisioner* machines = nullptr;
  };
  void tend(FakeProvisioner& machines, std::function<OneManager*(const Instance&)> home) {
    machines.on_boot = [this, &machines, home = std::move(home)](const Instance& instance) {
      workers[instance.token] = {instance.id, "", home(instance), &machines};
      enlist(instance.token);
    };
    machines.on_end = [this](const Instance& instance) { workers.erase(instance.token); };
  }
  void enlist(const std::string& token) {
    v1::RegisterRequest request;
    request.set_name("test");
    request.set_slots(1);
    request.add_kinds("sha512");
    request.set_instance(token);
    workers[token].at->service.register_worker(request, [this, token](Result<v1::RegisterReply> reply) {
      workers[token].id = reply.value().worker();
    });
  }
  // Beats of all workers, and exits of those that are to drain, each half second.
  void run(Duration span) {
    const Instant end = world.executor.now() + span;
    while (world.executor.now() < end) {
      beat();
      world.executor.run_for(milliseconds(500));
      EXPECT_LE(count_of(FleetRole::kLeads), 1) << "two lead the fleet";
    }
  }
  void beat() {
    std::vector<std::string> drained;
    for (auto& [token, worker] : workers) {
      if (std::none_of(managers.begin(), managers.end(), [&](auto& one) { return one.get() == worker.at; }))
        continue;
      const auto& known = worker.at->service.workers_seen().all();
      const auto found = known.find(worker.id);
      if (found != known.end() && found->second.is_draining) drained.push_back(token);
      worker.at->service.hear(worker.id);
    }
    for (const auto& token : drained) {
      const Worker worker = workers[token];
      worker.at->service.delete_worker(worker.id, "drained", [](auto) {});
      worker.machines->end(worker.instance, "exit code 0");
    }
  }
  void enqueue(OneManager& manager, int count, const std::string& kind = "sha512") {
    for (int i = 0; i < count; ++i) {
      TaskSpec spec;
      spec.kind = kind;
      if (kind == "sha512") spec.iterations = 100'000'000;  // for about a minute
      if (kind == "command") spec.program = "thumb";
      manager.service.enqueue({{spec, std::make_shared<const std::string>("body")}},
                              [](auto reply) { EXPECT_TRUE(reply); });
    }
    world.executor.run_for(milliseconds(5));
  }
  int count_of(FleetRole role) const {
    return static_cast<int>(std::count_if(managers.begin(), managers.end(),
                                          [&](const auto& manager) { return manager->role() == role; }));
  }
  OneManager& leader() {
    for (const auto& manager : managers) {
      if (manager->role() == FleetRole::kLeads) return *manager;
    }
    ADD_FAILURE() << "nobody leads";
    return *managers.front();
  }
  std::uint32_t existing() const {
    std::uint32_t count = 0;
    for (const auto& manager : managers) count += manager->own_machines.existing();
    return count;
  }

  World world;
  FakeProvisioner cloud{world.executor, Random(9)};
  std::vector<std::unique_ptr<OneManager>> managers;
  std::map<std::string, Worker> workers;  // by token
  int joined = 0;
};

// Every field but the silence, which is of the one that says so.
TEST(FleetMessages, APartIsTheSameAfterItsWay) {
  v1::FleetPart sent;
  const auto* fields = v1::FleetPart::descriptor();
  const auto* reflection = v1::FleetPart::GetReflection();
  for (int i = 0; i < fields->field_count(); ++i) {
    const auto& field = *fields->field(i);
    const auto value = static_cast<unsigned>(1'000 + i);
    if (field.is_repeated()) continue;
    if (field.cpp_type() == field.CPPTYPE_UINT32) reflection->SetUInt32(&sent, &field, value);
    if (field.cpp_type() == field.CPPTYPE_UINT64) reflection->SetUInt64(&sent, &field, value);
    if (field.cpp_type() == field.CPPTYPE_DOUBLE) reflection->SetDouble(&sent, &field, value);
    if (field.cpp_type() == field.CPPTYPE_BOOL) reflection->SetBool(&sent, &field, true);
    if (field.cpp_type() == field.CPPTYPE_STRING) reflection->SetString(&sent, &field, "text");
  }
  sent.add_boots()->set_ready_in_ms(70);
  sent.add_boots()->set_ready_in_ms(-80);
  auto& boots = *sent.add_boot_times();
  boots.set_type("m7a.large");
  boots.set_count(3);
  boots.set_p50_ms(41'000);
  boots.set_p90_ms(55'000);
  for (const char* queue : {"urgent", ""}) {
    auto& objective = *sent.add_objectives();
    objective.set_queue(queue);
    objective.set_target_wait_ms(*queue == 0 ? sent.target_wait_ms() : 5'000);
    objective.set_weight(*queue == 0 ? 1 : 4);
    objective.set_queued(3);
    objective.set_leased(4);
    objective.set_queued_seconds(5);
    objective.set_leased_seconds(6);
    objective.set_arrival_seconds(7);
    objective.set_oldest_wait_ms(8);
    objective.set_started(9);
    objective.set_queues(10);
  }
  v1::FleetPart back;
  to_message(from_message(sent, Instant(hours(5))), Instant(hours(5)), back);
  EXPECT_EQ(back.DebugString(), sent.DebugString());
}

TEST_F(ClusterFleetTest, OneLeadsAndTheOthersFollow) {
  join(2);
  EXPECT_EQ(leader().address, "127.0.0.1:1");
  join(2);
  join(2);
  run(seconds(10));
  EXPECT_EQ(count_of(FleetRole::kLeads), 1);
  EXPECT_EQ(count_of(FleetRole::kFollows), 2);
  EXPECT_EQ(managers[1]->scaler->state().leader, leader().address);
  EXPECT_EQ(leader().scaler->state().bounds.workers_max, 6u);
}

TEST_F(ClusterFleetTest, TasksOfAManagerWithoutAProvisionerStartWorkersAtASibling) {
  // The one without leads.
  join(0);
  OneManager& with = join(4);
  run(seconds(8));
  EXPECT_EQ(&leader(), managers[0].get());
  enqueue(*managers[0], 40);
  run(seconds(3));
  EXPECT_EQ(with.own_machines.existing(), 4u);
  EXPECT_EQ(with.own_machines.started(), 4u);
}

TEST_F(ClusterFleetTest, TheSizeIsSharedOutOverAllMachinesAndGoesWhenNothingIsLeft) {
  for (int i = 0; i < 3; ++i) join(2);
  run(seconds(8));
  enqueue(*managers[1], 40);
  run(seconds(5));
  for (const auto& manager : managers) EXPECT_EQ(manager->own_machines.existing(), 2u);
  for (const auto& shard : managers[1]->service.host().shards()) EXPECT_GT(shard->id() + 1, 0u);
  const auto ids = managers[1]->service.waiting_here();
  EXPECT_EQ(ids.size(), 1u);
  std::vector<TaskId> waiting;
  managers[1]->service.list_tasks({}, [&](Result<v1::ListTasksReply> reply) {
    for (const auto& task : reply.value().tasks()) waiting.push_back(TaskId::parse(task.id()).value());
  });
  world.executor.run_for(milliseconds(5));
  for (const auto& id : waiting) managers[1]->service.cancel_task(id, [](auto) {});
  run(minutes(3));
  EXPECT_EQ(existing(), 0u);
}

TEST_F(ClusterFleetTest, AnOrderIsForTheWholeFleet) {
  for (int i = 0; i < 3; ++i) join(2);
  run(seconds(8));
  FleetRecord kept;
  const auto order = [&](FleetOrderKind kind, std::uint32_t count) {
    const Instant now = world.executor.now();
    kept.order = {kind, count, now, now + hours(1)};
    for (const auto& manager : managers) manager->scaler->know(kept);
  };
  order(FleetOrderKind::kSize, 5);
  run(seconds(5));
  EXPECT_EQ(existing(), 5u);
  order(FleetOrderKind::kPause, 0);
  enqueue(*managers[1], 40);
  run(minutes(3));
  EXPECT_EQ(existing(), 5u) << "nothing is started, and nothing let go";
  order(FleetOrderKind::kSize, 1);
  run(minutes(1));
  EXPECT_EQ(existing(), 1u);
  order(FleetOrderKind::kNone, 0);
  run(seconds(5));
  EXPECT_EQ(existing(), 6u);
}

TEST_F(ClusterFleetTest, ABudgetHoldsWhereAManagerLeadsThatStartsNothing) {
  join(0);
  world.limits.price_hour = 0.5;
  world.limits.cost_hour_max = 1.6;
  join(6);
  run(seconds(8));
  EXPECT_EQ(&leader(), managers[0].get());
  enqueue(*managers[0], 40);
  run(seconds(10));
  EXPECT_EQ(existing(), 3u);
}

TEST_F(ClusterFleetTest, ALeaderInADryRunLetsTheOthersKeepWhatTheyHave) {
  world.is_dry_run = true;
  join(2);
  world.is_dry_run = false;
  OneManager& other = join(2);
  run(seconds(8));
  EXPECT_EQ(&leader(), managers[0].get());
  enqueue(*managers[0], 40);
  run(seconds(10));
  EXPECT_EQ(existing(), 0u);
  EXPECT_EQ(leader().scaler->wanted(), 2u);
  EXPECT_NE(other.scaler->explain().find("this is a dry run"), std::string::npos) << other.scaler->explain();
}

TEST_F(ClusterFleetTest, ALeaderInADryRunLetsNothingGoElsewhere) {
  join(2);
  world.is_dry_run = true;
  join(2);
  world.is_dry_run = false;
  OneManager& third = join(2);
  run(seconds(8));
  enqueue(third, 40);
  run(seconds(5));
  ASSERT_EQ(third.own_machines.existing(), 2u);
  managers.erase(managers.begin());
  run(seconds(12));
  EXPECT_EQ(&leader(), managers[0].get());
  std::vector<TaskId> waiting;
  third.service.list_tasks({}, [&](Result<v1::ListTasksReply> reply) {
    for (const auto& task : reply.value().tasks()) waiting.push_back(TaskId::parse(task.id()).value());
  });
  world.executor.run_for(milliseconds(5));
  for (const auto& id : waiting) third.service.cancel_task(id, [](auto) {});
  run(minutes(3));
  EXPECT_EQ(third.own_machines.existing(), 2u);
}

TEST_F(ClusterFleetTest, AfterTheLeadersDeathTheNextKeepsWhatRunsAndStartsNothingTwice) {
  for (int i = 0; i < 3; ++i) join(2);
  run(seconds(8));
  enqueue(*managers[1], 3);
  run(seconds(5));
  ASSERT_EQ(existing(), 3u);
  managers.erase(managers.begin());  // with its worker
  const std::uint64_t started = managers[0]->own_machines.started() + managers[1]->own_machines.started();
  EXPECT_EQ(existing(), 2u);
  run(seconds(12));
  EXPECT_EQ(count_of(FleetRole::kLeads), 1);
  // The one that died with the leader is replaced, and nothing else is started.
  EXPECT_EQ(existing(), 3u);
  EXPECT_EQ(managers[0]->own_machines.started() + managers[1]->own_machines.started(), started + 1);
}

TEST_F(ClusterFleetTest, WhatCrashesIsReplacedWhileNobodyLeads) {
  for (int i = 0; i < 3; ++i) join(1);
  run(seconds(8));
  enqueue(*managers[1], 10);
  run(seconds(5));
  managers.erase(managers.begin());
  run(seconds(1));
  OneManager& follower = *managers[0];
  follower.own_machines.end(follower.own_machines.existing_ids().front(), "signal 9");
  run(seconds(3));
  EXPECT_EQ(count_of(FleetRole::kLeads), 0);
  EXPECT_EQ(follower.own_machines.existing(), 1u);
}

TEST_F(ClusterFleetTest, ASilentSiblingCountsAsItLastWasAndIsNamed) {
  for (int i = 0; i < 3; ++i) join(2);
  run(seconds(8));
  enqueue(*managers[1], 2);
  run(seconds(5));
  ASSERT_EQ(existing(), 2u);
  const std::string silent = managers[1]->address;
  world.silent.insert(silent);
  run(seconds(5));
  enqueue(*managers[2], 20);
  run(seconds(3));
  EXPECT_NE(leader().scaler->explain().find(silent + " was silent for"), std::string::npos)
      << leader().scaler->explain();
  EXPECT_EQ(managers[0]->own_machines.existing(), 2u);
  EXPECT_EQ(managers[2]->own_machines.existing(), 2u);
  EXPECT_EQ(managers[1]->own_machines.existing(), 1u);
  // It hears no leader: after a while it sees to its own tasks.
  run(seconds(6));
  EXPECT_EQ(managers[1]->role(), FleetRole::kAlone);
  world.silent.clear();
  run(seconds(2));
  EXPECT_EQ(managers[1]->role(), FleetRole::kFollows);
}

TEST_F(ClusterFleetTest, AnOrderOfAnOlderEpochIsRefused) {
  for (int i = 0; i < 2; ++i) join(2);
  run(seconds(8));
  v1::ShareRequest old;
  old.set_epoch(0);
  old.set_leader("127.0.0.1:99");
  old.set_share(2);
  std::optional<Error> refused;
  managers[1]->fleet.take_share(old, [&](Result<v1::ShareReply> reply) { refused = reply.error(); });
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code, Code::kFenced);
  run(seconds(3));
  EXPECT_EQ(existing(), 0u);
}

TEST_F(ClusterFleetTest, WhereLaunchesFailAnotherMachineDoesThem) {
  for (int i = 0; i < 2; ++i) join(2);
  run(seconds(8));
  for (int i = 0; i < 50; ++i) managers[0]->own_machines.fail_next(LaunchFault::kError);
  enqueue(*managers[0], 2);
  run(seconds(8));
  EXPECT_EQ(managers[1]->own_machines.existing(), 2u);
  EXPECT_EQ(&leader(), managers[0].get());
  EXPECT_EQ(leader().scaler->problem(), "") << "all that is wanted runs";
}

TEST_F(ClusterFleetTest, AWorkerThatFledToASiblingIsNeitherEndedNorReplaced) {
  for (int i = 0; i < 2; ++i) join(1);
  run(seconds(8));
  enqueue(*managers[1], 1);
  run(seconds(4));
  ASSERT_EQ(existing(), 1u);
  ASSERT_EQ(workers.size(), 1u);
  auto& [token, worker] = *workers.begin();
  OneManager& from = *worker.at;
  worker.at = &from == managers[0].get() ? managers[1].get() : managers[0].get();
  enlist(token);
  run(minutes(2));
  EXPECT_EQ(existing(), 1u);
  EXPECT_EQ(managers[0]->own_machines.started() + managers[1]->own_machines.started(), 1u);
  EXPECT_EQ(leader().scaler->state().counts.running, 1u);
}

TEST_F(ClusterFleetTest, AWorkerOfNoUseForWhatWaitsElsewhereStandsInForNone) {
  for (int i = 0; i < 2; ++i) join(1);
  run(seconds(8));
  // By hand, at the one where nothing waits; it can not run commands.
  workers["hand"] = {"", "", managers[0].get(), &managers[0]->own_machines};
  v1::RegisterRequest request;
  request.set_name("hand");
  request.set_slots(1);
  request.add_kinds("sha512");
  managers[0]->service.register_worker(
      request, [this](Result<v1::RegisterReply> reply) { workers["hand"].id = reply.value().worker(); });
  enqueue(*managers[1], 1, "command");
  run(seconds(4));
  EXPECT_EQ(existing(), 1u);
}

TEST_F(ClusterFleetTest, ACloudIsTheLeadersAndTheNextLeaderAdoptsWhatRunsThere) {
  for (int i = 0; i < 3; ++i) join(4, &cloud);
  tend(cloud, [this](const Instance&) { return managers.back().get(); });
  run(seconds(8));
  enqueue(*managers[1], 4);
  run(seconds(8));
  ASSERT_EQ(cloud.existing(), 4u);
  EXPECT_EQ(cloud.started(), 4u);
  managers.erase(managers.begin());
  run(seconds(40));
  EXPECT_EQ(count_of(FleetRole::kLeads), 1);
  EXPECT_EQ(cloud.existing(), 4u);
  EXPECT_EQ(cloud.started(), 4u);
  // One that stops leaves them to the others.
  bool is_stopped = false;
  leader().scaler->stop(world.executor.now() + seconds(2), [&] { is_stopped = true; });
  world.executor.run_for(milliseconds(100));
  EXPECT_TRUE(is_stopped);
  EXPECT_EQ(cloud.existing(), 4u);
}

}  // namespace
}  // namespace skep::manager
