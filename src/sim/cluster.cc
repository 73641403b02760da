// SPDX-License-Identifier: Apache-2.0
#include "sim/cluster.h"

#include <algorithm>

#include "scaler/policy.h"
#include "sim/kinship.h"

namespace skep::sim {
namespace {

std::string name_of(const Life& life) {
  const std::string number = std::to_string(life.number);
  return life.shared == nullptr ? number : std::to_string(life.node) + ", life " + number;
}

}  // namespace

Cluster::Cluster(World& world) : world_(world), nodes_(world.config.managers) {
  world_.crash = [this] { crash_any(); };
  if (!world_.config.are_workers_children) lasting_machines_ = make_machines();
  if (lasting_machines_) lasting_machines_->is_of_cluster = world_.is_shared();
  if (!world_.is_shared()) return;
  for (auto& node : nodes_) {
    const double drift = (2 * world_.random.unit() - 1) * world_.config.drift_max;
    const Duration offset = world_.up_to(2 * world_.config.clock_offset_max) - world_.config.clock_offset_max;
    node.clock = {offset, drift};
  }
}

scaler::testing::FakeProvisionerScript Cluster::script() const {
  scaler::testing::FakeProvisionerScript script;
  script.boot = milliseconds(300);
  script.boot_spread = seconds(2);
  if (world_.is_healed) return script;
  const double badness = world_.config.launch_faults;
  script.launch_error = 0.2 * badness;
  script.never_boots = 0.15 * badness;
  script.vanishes = 0.2 * badness;
  script.unknown_outcome = 0.2 * badness;
  script.list_error = 0.1 * badness;
  script.terminate_error = 0.2 * badness;
  script.no_reply = 0.02 * badness;
  script.is_gone_listed = badness < 0.5;
  return script;
}

std::shared_ptr<Machines> Cluster::make_machines() {
  auto machines = std::make_shared<Machines>(world_.executor, world_.random.split(), script());
  machines->on_boot = [this, weak = std::weak_ptr<Machines>(machines)](const scaler::Instance& instance) {
    count_machines();
    world_.event("instance up", instance.id);
    on_boot(instance, weak);
  };
  machines->on_end = [this](const scaler::Instance& instance) {
    world_.event("instance gone: " + instance.detail, instance.id);
    on_end(instance);
  };
  std::erase_if(machines_, [](const auto& old) { return old.expired(); });
  machines_.push_back(machines);
  return machines;
}

std::uint32_t Cluster::machines_existing() const {
  std::uint32_t count = 0;
  for (const auto& weak : machines_) {
    if (const auto machines = weak.lock()) count += machines->existing();
  }
  return count;
}

void Cluster::count_machines() {
  for (const auto& weak : machines_) {
    if (const auto machines = weak.lock()) peak_ = std::max(peak_, machines->peak());
  }
}

// ---- beginnings ----

void Cluster::start() {
  for (std::size_t node = 0; node < nodes_.size(); ++node) begin_life(node);
}

manager::ServiceOptions Cluster::service_options(std::size_t node) const {
  manager::ServiceOptions options;
  options.worker_timeout = world_.config.worker_timeout;
  options.lease = world_.config.lease;
  options.seed_lease = seconds(40);
  options.visibility = world_.config.visibility;
  options.address = address(node);
  options.host.body_cache_bytes = world_.config.body_cache_bytes;
  options.host.shard.recovered_lease = world_.config.lease;
  if (world_.config.breakage == Breakage::kLateStop) options.ownership.margin = -hours(1);
  if (world_.config.breakage == Breakage::kKeepShards) options.ownership.give_up_max = 0;
  return options;
}

void Cluster::begin_life(std::size_t node) {
  nodes_[node].is_starting = false;
  if (nodes_[node].current != nullptr) return;
  auto life = std::make_shared<Life>();
  nodes_[node].current = life;
  life->node = node;
  life->number = ++lives_;
  world_.event("manager started", name_of(*life));
  life->process = std::make_shared<Process>(world_.executor, nodes_[node].clock);
  life->machines = lasting_machines_ ? lasting_machines_ : make_machines();
  store::Store* store = nullptr;
  if (world_.is_shared()) {
    world_.trouble();
    life->shared = std::make_unique<SharedStore>(world_, life->process, static_cast<Place>(node));
    store = life->shared.get();
  } else {
    life->store = std::make_unique<SimStore>(world_, life->process);
    store = life->store.get();
  }
  life->service = std::make_unique<manager::Service>(*life->process, *store, service_options(node),
                                                     world_.random.split(), Logger());
  if (world_.is_shared()) {
    join_siblings(life);
  } else {
    life->api = make_direct_api(*life->process, *life->service);
  }
  life->front = std::make_unique<Front>(world_, *life->api, life->process, life->number);
  // The real manager gives up when it can not load at its start, and is started again.
  if (auto started = life->service->start(); !started && !life->process->is_dead()) {
    world_.event("manager could not start", started.error().message);
    crash(node);
  }
  if (life->process->is_dead() || world_.is_shared()) return;
  start_scaler(*life);
}

void Cluster::start_scaler(Life& life) {
  scaler::ScalerOptions options;
  options.bounds = {0, world_.config.workers_max, seconds(10)};
  options.address = address(life.node);
  const std::string prefix = "e" + life.service->life_name();
  life.provider = std::make_unique<Provider>(world_, life.machines, life.process, life.node);
  manager::ClusterFleet* const fleet = life.kin != nullptr ? life.kin->fleet.get() : nullptr;
  scaler::Fleet& seen = fleet != nullptr ? static_cast<scaler::Fleet&>(*fleet) : *life.service;
  const bool has_leader = world_.config.breakage != Breakage::kNoLeader;
  life.scaler = std::make_unique<scaler::Scaler>(*life.process, seen, *life.provider,
                                                 scaler::make_drain_time_policy({}), options, prefix,
                                                 Logger(), has_leader ? fleet : nullptr);
  life.service->attach(life.scaler.get(), life.provider->name());
  if (fleet != nullptr) {
    fleet->attach(life.scaler.get(), life.provider->is_cluster_wide());
    fleet->start();
  }
  life.scaler->start();
}

// ---- ends ----

void Cluster::break_connections(Life& life) {
  for (auto& [call, broken] : std::exchange(life.connections, {})) broken();
}

// Nothing of it runs any more. It may be on the stack now, so its parts go later.
void Cluster::end(const std::shared_ptr<Life>& life) {
  for (const auto& shard : life->service->host().shards()) {
    const auto& totals = shard->totals();
    world_.counters.add("core: duplicate results", totals.duplicate_results);
    world_.counters.add("core: leases expired", totals.lease_expired);
    world_.counters.add("core: leases of lost workers", totals.workers_lost);
    world_.counters.add("core: leases handed back", totals.released);
  }
  life->process->kill();
  if (life->store != nullptr) life->store->kill();
  break_connections(*life);
  count_machines();
  if (life->machines != lasting_machines_) {
    for (const auto& id : life->machines->existing_ids()) life->machines->end(id, "its manager died");
  }
  world_.executor.post([life] { take_apart(*life); });
}

void Cluster::take_apart(Life& life) {
  if (life.service != nullptr) life.service->attach(nullptr, "none");
  if (life.kin != nullptr) life.kin->fleet->attach(nullptr);
  life.scaler.reset();
  life.provider.reset();
  if (life.kin != nullptr) {
    life.kin->live.reset();
    life.kin->fleet.reset();
    life.kin->forwarder.reset();
  }
  life.service.reset();
  life.front.reset();
  life.api.reset();
  life.kin.reset();
  life.store.reset();
  life.shared.reset();
  life.machines.reset();
}

// Calls under way and the manager that has them hold each other.
Cluster::~Cluster() {
  for (auto& node : nodes_) {
    if (node.current == nullptr) continue;
    node.current->process->kill();
    node.current->connections.clear();
    take_apart(*node.current);
  }
}

void Cluster::crash(std::size_t node) {
  if (nodes_[node].current == nullptr) return;
  const auto life = std::move(nodes_[node].current);
  nodes_[node].current = nullptr;
  world_.trouble();
  end(life);
  if (world_.random.chance(world_.config.power_loss)) {
    world_.event("manager crashed, power lost", name_of(*life));
    world_.disk.lose_power();
  } else {
    world_.event("manager crashed", name_of(*life));
  }
  start_later(node, milliseconds(200) + world_.up_to(seconds(8)));
}

void Cluster::crash_any() {
  crash(nodes_.size() == 1 ? 0 : any());
}

void Cluster::crash_all() {
  for (std::size_t node = 0; node < nodes_.size(); ++node) crash(node);
}

void Cluster::start_later(std::size_t node, Duration delay) {
  if (std::exchange(nodes_[node].is_starting, true)) return;
  world_.executor.post_at(world_.now() + delay, [this, node] { begin_life(node); });
}

void Cluster::go_on(const std::shared_ptr<Life>& life) {
  if (life->process->is_dead() || !life->process->is_stopped()) return;
  world_.trouble();
  world_.event("manager goes on", name_of(*life));
  const bool is_posted_first = world_.is_shared() && world_.random.chance(0.5);
  life->process->go_on(is_posted_first ? Process::First::kPosted : Process::First::kOldest);
  if (life->store != nullptr) life->store->go_on();
}

void Cluster::hang(std::size_t node) {
  const auto life = nodes_[node].current;
  if (life == nullptr || !life->process->runs()) return;
  world_.trouble();
  life->process->stop();
  world_.event("manager hangs", name_of(*life));
  const Duration span = milliseconds(500) + world_.up_to(seconds(20));
  if (world_.random.chance(world_.config.replaced)) {
    world_.executor.post_at(world_.now() + span / 2, [this, life] {
      if (nodes_.front().current == life) replace();
    });
  }
  world_.executor.post_at(world_.now() + span, [this, life] { go_on(life); });
}

void Cluster::pause(std::size_t node) {
  const auto life = nodes_[node].current;
  if (life == nullptr || !life->process->runs()) return;
  world_.trouble();
  life->process->stop();
  const Duration span = milliseconds(500) + world_.up_to(world_.config.pause_max);
  world_.event("manager pauses", name_of(*life) + " for " + describe_duration(span));
  world_.executor.post_at(world_.now() + span, [this, life] { go_on(life); });
}

// It is presumed dead; another opens its directory.
void Cluster::replace() {
  const auto life = std::move(nodes_.front().current);
  nodes_.front().current = nullptr;
  world_.event("manager replaced", name_of(*life));
  life->store->lose_directory();
  life->front->silence();
  if (life->provider != nullptr) life->provider->refuse();
  break_connections(*life);
  if (life->machines != lasting_machines_) {
    for (const auto& id : life->machines->existing_ids()) life->machines->end(id, "its manager was replaced");
  }
  replaced_.push_back(life);
  begin_life(0);
  world_.executor.post_at(world_.now() + seconds(10) + world_.up_to(seconds(40)), [this, life] {
    if (!life->process->is_dead()) end(life);
  });
}

namespace {

// `then` once: when `begin` calls what it is given, or when the patience is over.
void wait_for(const std::shared_ptr<Process>& process, Duration patience,
              const std::function<void(std::function<void()>)>& begin, std::function<void()> then) {
  auto is_over = std::make_shared<bool>(false);
  const std::function<void()> once = [is_over, then = std::move(then)] {
    if (!std::exchange(*is_over, true)) then();
  };
  process->post_at(process->now() + patience, once);
  begin(once);
}

}  // namespace

// As Manager::drain does it.
void Cluster::drain(const std::shared_ptr<Life>& life, std::function<void()> drained) {
  const auto process = life->process;
  const auto stop = [life, process, drained = std::move(drained)] {
    wait_for(
        process, seconds(5), [life](auto done) { life->service->stop(std::move(done)); }, drained);
  };
  const auto leave = [life, process, stop] {
    wait_for(
        process, seconds(4), [life](auto done) { life->service->leave(std::move(done)); }, stop);
  };
  life->front->begin_drain();
  life->service->begin_drain();
  const auto let_go = [life](auto done) {
    if (life->scaler == nullptr) return done();
    life->scaler->stop(life->process->now() + seconds(2), std::move(done));
  };
  wait_for(process, seconds(3), let_go, leave);
}

void Cluster::stop(std::size_t node, Duration away) {
  const auto life = nodes_[node].current;
  const bool may_stop = life != nullptr && life->process->runs() && !life->service->is_draining() &&
                        (life->scaler != nullptr || world_.is_shared());
  if (!may_stop) return;
  world_.trouble();
  world_.event("manager is stopped", name_of(*life));
  life->process->post([life, node, away, this] {
    drain(life, [life, node, away, this] {
      if (nodes_[node].current != life) return;
      world_.trouble();
      world_.event("manager stopped", name_of(*life));
      nodes_[node].current = nullptr;
      end(life);
      start_later(node, away);
    });
  });
}

void Cluster::leave(std::size_t node) {
  if (nodes_[node].current == nullptr) return;
  const Duration away = seconds(8) + world_.up_to(seconds(25));
  world_.event("manager leaves for a while", std::to_string(node));
  if (world_.random.chance(0.5)) return stop(node, away);
  nodes_[node].is_starting = true;
  world_.executor.post_at(world_.now() + away, [this, node] { begin_life(node); });
  crash(node);
}

void Cluster::roll() {
  world_.event("managers are restarted one by one");
  for (std::size_t node = 0; node < nodes_.size(); ++node) {
    world_.executor.post_at(world_.now() + static_cast<int>(node) * seconds(6), [this, node] {
      if (!world_.is_healed) stop(node, milliseconds(300) + world_.up_to(seconds(2)));
    });
  }
}

void Cluster::heal() {
  for (const auto& life : replaced_) {
    if (!life->process->is_dead()) end(life);
  }
  replaced_.clear();
  for (std::size_t node = 0; node < nodes_.size(); ++node) {
    if (const auto life = nodes_[node].current) {
      go_on(life);
    } else {
      world_.executor.post_at(world_.now() + milliseconds(500), [this, node] { begin_life(node); });
    }
  }
  for (const auto& weak : machines_) {
    if (const auto machines = weak.lock()) machines->script = script();
  }
}

// ---- what is seen of them ----

std::vector<Serving> Cluster::served() const {
  std::vector<Serving> all;
  each([&](const Life& life) {
    const auto* ownership = life.service->ownership();
    const bool may_serve = life.process->runs() && ownership != nullptr &&
                           life.service->host().state() == manager::HostState::kServing &&
                           life.process->now() < ownership->serves_until();
    if (!may_serve) return;
    for (const auto& shard : life.service->host().shards())
      all.push_back({life.node, shard->id(), shard->epoch()});
  });
  return all;
}

std::vector<std::size_t> Cluster::shares() const {
  std::vector<std::size_t> shares;
  each([&](const Life& life) {
    if (life.process->runs() && !life.service->is_draining())
      shares.push_back(life.service->host().shards().size());
  });
  return shares;
}

bool Cluster::is_whole() const {
  if (!world_.is_shared()) {
    const auto& life = nodes_.front().current;
    return life != nullptr && life->process->runs() &&
           life->service->host().state() == manager::HostState::kServing;
  }
  const bool is_cut = world_.cuts.is_any(world_.now()) || world_.now() < world_.store_away_until;
  std::size_t able = 0;
  each([&](const Life& life) { able += life.process->runs() && !life.service->is_draining() ? 1 : 0; });
  return !is_cut && able == nodes_.size() && served().size() == world_.config.shards;
}

}  // namespace skep::sim
