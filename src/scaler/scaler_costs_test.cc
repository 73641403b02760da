// SPDX-License-Identifier: Apache-2.0
// Goal: what machines that outlive a manager cost is counted once, whoever leads the fleet and when, and
// whatever becomes of what is written to the store.
// Method: several scalers over one provisioner and one imagined store, on virtual time; the lead goes from
// one to the other. What truly was is the sum of the machines' times.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <set>

#include "scaler/spending.h"
#include "scaler/testing/fake_cluster.h"
#include "scaler/testing/fake_lead.h"

namespace skep::scaler {
namespace {

using testing::FakeFleet;
using testing::FakeProvisioner;

// Keeps what store/fleet_store.h says of parts.
class Store {
 public:
  explicit Store(Executor& executor) : executor_(executor) {}

  Result<void> add(const SpendingPart& part) {
    if (is_away) return fail(Code::kUnavailable, "the store is away");
    Instant& counted = counted_[part.account];
    if (!ends_.contains(part.until)) {
      if (part.from < counted) return fail(Code::kFenced, "counted until " + format_instant(counted));
      counted = part.until;
      ends_.insert(part.until);
      micros += part.micros;
    }
    if (loses_answer) return fail(Code::kUnknownOutcome, "the connection broke");
    return ok();
  }
  FleetRecord record() {
    return {order_, month_of(executor_.now()), micros, counted_[std::string(kClusterAccount)]};
  }

  bool is_away = false;
  bool loses_answer = false;
  std::uint64_t micros = 0;

 private:
  Executor& executor_;
  const FleetOrder order_{FleetOrderKind::kSize, 3, executor_.now(), executor_.now() + kFleetOrderMax};
  std::map<std::string, Instant> counted_;
  std::set<Instant> ends_;
};

class World {
 public:
  explicit World(std::uint64_t seed = 1) : provisioner(executor, Random(seed)), fleet(executor) {
    provisioner.is_of_cluster = true;
    provisioner.on_boot = [this](const Instance& instance) { fleet.worker_up(instance.token); };
    provisioner.on_end = [this](const Instance& instance) { fleet.worker_down(instance.token); };
    fleet.on_exit = [this](const std::string& instance) { provisioner.end(instance, "exit code 0"); };
    options.bounds = {0, 8, seconds(30)};
    options.bounds.price_hour = 3'600;  // one a second
  }

  // One that can be asked for its costs, until it is ended.
  class Manager {
   public:
    Manager(World& world, const std::string& name, bool is_alone) {
      scaler =
          std::make_unique<Scaler>(world.executor, world.fleet, world.provisioner, make_drain_time_policy({}),
                                   world.options, name, Logger(), is_alone ? nullptr : &lead);
      scaler->on_spending([this, &world](const SpendingPart& part, auto done) {
        const bool is_slow = sends_late;
        world.executor.post_at(
            world.executor.now() + (is_slow ? seconds(20) : milliseconds(2)),
            [this, alive = std::weak_ptr<char>(life), &world, part, done = std::move(done)]() mutable {
              const auto added = world.store.add(part);
              if (alive.expired()) return;
              if (added) scaler->know(world.store.record());
              done(added);
            });
      });
      scaler->know(world.store.record());
      scaler->start();
    }
    double total() const { return in_money(scaler->costs().total()); }

    testing::FakeLead lead;
    std::unique_ptr<Scaler> scaler;
    bool sends_late = false;
    std::shared_ptr<char> life = std::make_shared<char>();
  };
  Manager& join(const std::string& name, bool is_alone = false) {
    managers.push_back(std::make_unique<Manager>(*this, name, is_alone));
    return *managers.back();
  }

  // As it was meant to be: what the machines that are there, and those that were, cost by now.
  double truth() {
    note();
    double sum = 0;
    for (const auto& [id, span] : spans)
      sum += std::chrono::duration<double>(span.second - span.first).count();
    return sum;
  }
  // Each second the managers read the store, as those that share one do.
  void run(Duration span) {
    const Instant end = executor.now() + span;
    while (executor.now() < end) {
      executor.run_for(std::min<Duration>(seconds(1), end - executor.now()));
      note();
      for (const auto& manager : managers) {
        if (!store.is_away) manager->scaler->know(store.record());
      }
    }
  }
  double spent() const { return static_cast<double>(store.micros) * 1e-6; }
  double counted() const {
    double sum = 0;
    for (const auto& manager : managers) sum += manager->total();
    return sum;
  }

  skep::testing::VirtualExecutor executor;
  FakeProvisioner provisioner;
  FakeFleet fleet;
  ScalerOptions options;
  Store store{executor};
  std::vector<std::unique_ptr<Manager>> managers;

 private:
  void note() {
    for (const auto& id : provisioner.existing_ids()) {
      auto& span = spans.try_emplace(id, executor.now(), executor.now()).first->second;
      span.second = executor.now();
    }
  }
  std::map<std::string, std::pair<Instant, Instant>> spans;
};

constexpr double kRounds = 12;  // starts are noted a second late; the last round is half of one ago

TEST(ScalerCosts, AreCountedOnceWhenTheLeadGoesAndComesBack) {
  World world;
  auto& a = world.join("a");
  auto& b = world.join("b");
  a.lead.leads = true;
  world.run(minutes(10));
  a.lead.leads = false;
  world.run(seconds(8));
  b.lead.leads = true;
  world.run(minutes(10));
  b.lead.leads = false;
  a.lead.leads = true;
  world.run(minutes(10));
  EXPECT_NEAR(world.truth(), 3 * 1'808, 20);
  EXPECT_NEAR(world.counted(), world.truth(), kRounds);
  a.lead.leads = false;
  world.run(seconds(10));
  EXPECT_NEAR(world.spent(), world.counted(), 0.01);
  for (const auto* costs : {&a.scaler->costs(), &b.scaler->costs()})
    EXPECT_EQ(costs->total(), costs->tasks().all() + costs->idle());
}

TEST(ScalerCosts, WhatALeaderCountedAndCouldNotStoreTheNextOneCounts) {
  World world;
  world.join("a").lead.leads = true;
  auto& b = world.join("b");
  world.run(minutes(10) + seconds(45));
  const double stored = world.spent();
  world.managers.erase(world.managers.begin());
  EXPECT_GT(world.truth() - stored, 60) << "three machines, some seconds of a minute";
  world.run(seconds(8));
  b.lead.leads = true;
  world.run(minutes(10));
  b.lead.leads = false;
  world.run(seconds(10));
  EXPECT_NEAR(world.spent() + 3 * 10, world.truth(), kRounds) << "nobody leads for the last 10 s";
  EXPECT_NEAR(b.total() + stored, world.spent(), 0.01);
}

// It finds by its clock that it leads no more, and what it sends then comes after the next one's.
TEST(ScalerCosts, WhatALateLeaderSendsIsRefusedAndGivenBack) {
  World world;
  auto& a = world.join("a");
  auto& b = world.join("b");
  a.lead.leads = true;
  world.run(minutes(10) + seconds(45));
  a.sends_late = true;
  a.lead.leads = false;
  world.run(seconds(1));
  b.lead.leads = true;
  world.run(minutes(5));
  EXPECT_NEAR(world.counted(), world.truth(), kRounds);
  b.lead.leads = false;
  world.run(seconds(30));
  EXPECT_NEAR(world.spent(), world.counted(), 0.01);
}

TEST(ScalerCosts, ALeaderThatIsOvertakenByALatePartGoesOnFromThere) {
  World world;
  auto& a = world.join("a");
  auto& b = world.join("b");
  a.lead.leads = true;
  world.run(minutes(10) + seconds(45));
  a.lead.leads = false;
  world.executor.run_for(seconds(1));  // and b has not read it yet
  b.lead.leads = true;
  world.executor.run_for(seconds(2));
  world.run(minutes(5));
  EXPECT_NEAR(world.counted(), world.truth(), kRounds);
  b.lead.leads = false;
  world.run(seconds(10));
  EXPECT_NEAR(world.spent(), world.counted(), 0.01);
}

TEST(ScalerCosts, OneManagerGoesOnWhereItsLifeBeforeEnded) {
  World world;
  world.join("a", true);
  world.run(minutes(10));
  bool is_stopped = false;
  world.managers.front()->scaler->stop(world.executor.now() + seconds(5), [&] { is_stopped = true; });
  world.run(seconds(1));
  EXPECT_TRUE(is_stopped);
  const double before = world.managers.front()->total();
  EXPECT_NEAR(world.spent(), before, 0.01);
  world.managers.clear();
  world.run(minutes(10));
  world.join("b", true);
  world.run(minutes(5));
  EXPECT_NEAR(before + world.counted(), world.truth(), kRounds) << "though nobody was there for a while";
}

RC_GTEST_PROP(ScalerCosts, TheStoreHasWhatTheMachinesCost, (std::uint64_t seed)) {
  Random random(seed);
  World world(seed);
  for (const char* name : {"a", "b", "c"}) world.join(name);
  // The first leader begins with its own instant, so what it could not store would be nobody's.
  world.managers[0]->lead.leads = true;
  world.run(seconds(10));
  for (int i = 0; i < 20; ++i) {
    for (const auto& manager : world.managers) {
      manager->lead.leads = false;
      manager->sends_late = random.below(4) == 0;
    }
    if (random.below(3) == 0) world.run(seconds(static_cast<std::int64_t>(random.below(10))));
    world.managers[random.below(world.managers.size())]->lead.leads = true;
    world.store.is_away = random.below(5) == 0;
    world.store.loses_answer = random.below(4) == 0;
    world.run(milliseconds(static_cast<std::int64_t>(random.below(200'000))));
  }
  world.store.is_away = world.store.loses_answer = false;
  for (const auto& manager : world.managers) manager->lead.leads = manager->sends_late = false;
  world.run(minutes(1));
  world.managers[0]->lead.leads = true;
  world.run(minutes(3));
  const double unstored = world.counted() - world.spent();
  RC_ASSERT(unstored >= -0.01);
  RC_ASSERT(unstored <= 3 * 61 + kRounds);
  RC_ASSERT(std::abs(world.counted() - world.truth()) <= kRounds);
}

}  // namespace
}  // namespace skep::scaler
