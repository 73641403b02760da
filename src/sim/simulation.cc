// SPDX-License-Identifier: Apache-2.0
#include "sim/simulation.h"

#include "sim/fleet.h"
#include "sim/workload.h"

namespace skep::sim {
namespace {

constexpr Duration kTick = seconds(2);
// In this time after the faults everything must be finished: the longest row of back-offs, and runs that last
// for several leases.
constexpr Duration kRestWithin = minutes(20);
// Beside that, each task that kills workers may do so until it is parked, and workers that die as soon as
// they are up are started one a minute (scaler/reconciler.h).
constexpr Duration kPoisonTakes = limits::kWorkersLostMax * seconds(70);
// And in this time after that, the fleet must be gone.
constexpr Duration kFleetGoneWithin = minutes(10);

class Simulation {
 public:
  Simulation(const Config& config, TraceKept kept)
      : world_(config),
        cluster_(world_),
        network_(world_, cluster_),
        fleet_(world_, network_, cluster_),
        workload_(world_, network_) {
    if (kept == TraceKept::kAll) world_.trace.keep_all();
    world_.is_manager_serving = [this] { return cluster_.is_whole(); };
    world_.served = [this] { return cluster_.served(); };
    world_.shares = [this] { return cluster_.shares(); };
    world_.machines_existing = [this] { return cluster_.machines_existing(); };
    world_.machines_peak = [this] { return cluster_.machines_peak(); };
  }
  ~Simulation() { world_.crash = nullptr; }

  void run() {
    cluster_.start();
    fleet_.begin();
    workload_.begin();
    schedule_faults();
    if (!run_for(world_.config.fault_phase)) return;
    heal();
    if (!come_to_rest() || !audit()) return;
    restart_and_audit();
  }

  Outcome outcome() {
    Outcome out;
    out.seed = world_.config.seed;
    out.invariant = world_.verdict.invariant();
    out.sentence = world_.verdict.sentence();
    out.trace = world_.trace.text(testing::VirtualExecutor::kStart);
    out.trace_hash = world_.trace.hash();
    out.events = world_.executor.events_ran();
    out.virtual_time = world_.now() - testing::VirtualExecutor::kStart;
    out.counters = world_.counters;
    return out;
  }

 private:
  bool is_broken() const { return world_.verdict.is_broken(); }

  // False: an invariant broke.
  bool run_for(Duration span) {
    const Instant end = world_.now() + span;
    while (world_.now() < end) {
      const Instant stop = std::min(end, next_tick_);
      while (world_.executor.next_at() <= stop) {
        world_.executor.run_next();
        if (is_broken()) return false;
      }
      world_.executor.run_until(stop);
      if (stop == next_tick_) tick();
      if (is_broken()) return false;
    }
    return true;
  }

  void tick() {
    next_tick_ = world_.now() + kTick;
    world_.tell([](Checker& checker) { checker.on_tick(); });
    for (std::size_t node = 0; node < cluster_.size(); ++node) {
      if (cluster_.current(node) == nullptr) continue;
      for (const auto& shard : cluster_.current(node)->service->host().shards()) shard->check_invariants();
    }
  }

  // `action` again and again, `gap` between, until the faults are over.
  void repeat(Duration gap, std::function<void()> action) {
    if (gap == Duration::zero()) return;
    world_.executor.post_at(world_.now() + world_.about(gap), [this, gap, action = std::move(action)] {
      if (world_.is_healed) return;
      action();
      repeat(gap, action);
    });
  }

  void schedule_faults() {
    const Config& config = world_.config;
    repeat(config.crash_gap, [this] {
      if (world_.random.chance(world_.config.crash_at_step)) {
        world_.steps_to_crash = 1 + world_.random.below(60);
        world_.counters.add("crashes set to a step");
      } else {
        cluster_.crash_any();
      }
    });
    repeat(config.hang_gap, [this] { cluster_.hang(0); });
    repeat(config.stop_gap, [this] { cluster_.stop(0, milliseconds(200) + world_.up_to(seconds(3))); });
    repeat(config.disk_full_gap, [this] {
      world_.event("disk full");
      world_.disk.fill_until(world_.now() + world_.up_to(seconds(15)));
    });
    repeat(config.partition_gap, [this] { fleet_.cut_one_off(); });
    repeat(config.worker_death_gap, [this] { fleet_.kill_one(); });
    repeat(config.worker_hang_gap, [this] { fleet_.hang_one(); });
    repeat(config.worker_drain_gap, [this] { fleet_.drain_one(); });
    repeat(config.pause_gap, [this] { cluster_.pause(cluster_.any()); });
    repeat(config.leave_gap, [this] { cluster_.leave(cluster_.any()); });
    repeat(config.rolling_gap, [this] { cluster_.roll(); });
    repeat(config.cut_gap, [this] { cut(); });
    repeat(config.store_away_gap, [this] { lose_store(); });
  }

  // A manager and another one, or the store, do not reach each other.
  void cut() {
    world_.trouble();
    const auto one = static_cast<Place>(cluster_.any());
    const auto other =
        static_cast<Place>((one + 1 + world_.random.below(cluster_.size() - 1)) % cluster_.size());
    const bool is_of_store = world_.random.chance(0.5);
    const Place to = is_of_store ? kStorePlace : other;
    const Instant until = world_.now() + milliseconds(500) + world_.up_to(seconds(20));
    const auto direction = world_.random.below(3);
    if (direction != 1) world_.cuts.cut(one, to, until);
    if (direction != 0) world_.cuts.cut(to, one, until);
    const std::string how = direction == 2 ? "" : " in one direction";
    world_.event((is_of_store ? "manager cut off from the store" : "managers cut off from each other") + how,
                 std::to_string(one) + " and " + (is_of_store ? "the store" : std::to_string(other)));
  }

  // The database fails over: nobody reaches it, and the next one may not have what was not synced.
  void lose_store() {
    world_.event("store away");
    world_.trouble();
    ++world_.store_failovers;
    world_.store_away_until = world_.now() + world_.up_to(seconds(12));
    if (world_.random.chance(0.5)) world_.disk.lose_power();
  }

  void heal() {
    world_.event("faults over");
    world_.is_healed = true;
    world_.steps_to_crash = 0;
    world_.faults = Faults{};
    world_.disk.fill_until(world_.now());
    world_.cuts.heal();
    world_.store_away_until = world_.now();
    cluster_.heal();
    fleet_.heal();
    workload_.wind_up();
  }

  bool is_at_rest() const {
    if (!workload_.is_settled()) return false;
    for (const auto& [id, record] : world_.disk.records()) {
      if (!is_terminal(record.state)) return false;
      if (record.state == TaskState::kDone && record.delivered_at == kNoInstant) return false;
    }
    return true;
  }

  Duration patience() const {
    Duration patience = kRestWithin;
    for (const auto& [id, record] : world_.disk.records()) {
      const Intent* intent = world_.auditor.all().at(id).intent;
      const auto text = intent == nullptr ? std::nullopt : TaskText::parse(intent->body);
      const bool is_poison = text && text->behaviour == Behaviour::kPoison;
      if (is_poison && !is_terminal(record.state)) patience += kPoisonTakes;
    }
    return patience;
  }

  bool come_to_rest() {
    const Instant begin = world_.now();
    const Instant end = begin + patience();
    while (!is_at_rest() && world_.now() < end) {
      if (!run_for(seconds(1))) return false;
    }
    if (!workload_.is_settled()) {
      world_.verdict.broken("liveness", "an enqueue is still refused long after the faults stopped");
      return false;
    }
    const Instant fleet_end = world_.now() + kFleetGoneWithin;
    while (is_at_rest() && cluster_.machines_existing() > 0 && world_.now() < fleet_end) {
      if (!run_for(seconds(1))) return false;
    }
    world_.counters.add("virtual seconds from the faults' end to rest",
                        static_cast<std::uint64_t>((world_.now() - begin) / seconds(1)));
    return true;
  }

  bool audit() {
    world_.tell([](Checker& checker) { checker.on_quiet(); });
    if (is_broken()) return false;
    workload_.read_all();
    return run_for(seconds(2));
  }

  // What the disk says is all that is left.
  void restart_and_audit() {
    world_.event("last restart");
    cluster_.crash_all();
    // Of several it takes until the dead ones' time is over.
    if (!run_for(world_.is_shared() ? seconds(25) : seconds(12))) return;
    bool is_answered = false;
    workload_.pull_all([this, &is_answered](const Result<api::v1::PullReply>& reply) {
      is_answered = true;
      if (!reply) {
        world_.verdict.broken("liveness", "the manager does not answer a pull after its restart");
      } else if (reply.value().items_size() > 0) {
        world_.verdict.broken("delivery", "after the last restart a pull brings results that were delivered");
      }
    });
    workload_.read_all();
    if (!run_for(seconds(6))) return;
    if (!is_answered)
      world_.verdict.broken("liveness", "the manager does not answer a pull after its restart");
    tick();
    world_.tell([](Checker& checker) { checker.at_end(); });
  }

  World world_;
  Cluster cluster_;
  Network network_;
  Fleet fleet_;
  Workload workload_;
  Instant next_tick_ = testing::VirtualExecutor::kStart + kTick;
};

}  // namespace

Outcome simulate(std::uint64_t seed, Breakage breakage, std::uint32_t managers, TraceKept kept) {
  Simulation simulation(make_config(seed, breakage, managers), kept);
  simulation.run();
  return simulation.outcome();
}

}  // namespace skep::sim
