// SPDX-License-Identifier: Apache-2.0
#include "sim/cluster.h"

#include <algorithm>

#include "scaler/policy.h"

namespace skep::sim {

Cluster::Cluster(World& world) : world_(world) {
  world_.crash = [this] { crash(); };
  if (!world_.config.are_workers_children) lasting_machines_ = make_machines();
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

void Cluster::start() {
  is_starting_ = false;
  if (current_ != nullptr) return;
  auto life = std::make_shared<Life>();
  current_ = life;
  life->number = ++lives_;
  world_.event("manager started", std::to_string(life->number));
  life->process = std::make_shared<Process>(world_.executor);
  life->machines = lasting_machines_ ? lasting_machines_ : make_machines();
  life->store = std::make_unique<SimStore>(world_, life->process);
  manager::ServiceOptions options;
  options.worker_timeout = world_.config.worker_timeout;
  options.lease = world_.config.lease;
  options.seed_lease = seconds(40);
  options.visibility = world_.config.visibility;
  options.address = "manager:80";
  options.host.body_cache_bytes = world_.config.body_cache_bytes;
  options.host.shard.recovered_lease = world_.config.lease;
  life->service = std::make_unique<manager::Service>(*life->process, *life->store, std::move(options),
                                                     world_.random.split(), Logger());
  life->front = std::make_unique<Front>(world_, *life->service, life->process, life->number);
  // The real manager gives up when it can not load at its start, and is started again.
  if (auto started = life->service->start(); !started && !life->process->is_dead()) {
    world_.event("manager could not start", started.error().message);
    crash();
  }
  if (life->process->is_dead()) return;
  start_scaler(*life);
}

void Cluster::start_scaler(Life& life) {
  scaler::ScalerOptions options;
  options.bounds = {0, world_.config.workers_max, seconds(10)};
  const std::string prefix = "e" + std::to_string(life.service->host().shards().front()->epoch());
  life.provider = std::make_unique<Provider>(world_, life.machines, life.process);
  life.scaler =
      std::make_unique<scaler::Scaler>(*life.process, *life.service, *life.provider,
                                       scaler::make_drain_time_policy({}), options, prefix, Logger());
  life.service->attach(life.scaler.get(), life.provider->name());
  life.scaler->start();
}

void Cluster::note_trouble() {
  ++world_.manager_troubles;
  world_.tell([](Checker& checker) { checker.on_manager_trouble(); });
}

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
  life->store->kill();
  break_connections(*life);
  count_machines();
  if (life->machines != lasting_machines_) {
    for (const auto& id : life->machines->existing_ids()) life->machines->end(id, "its manager died");
  }
  world_.executor.post([life] { take_apart(*life); });
}

void Cluster::take_apart(Life& life) {
  if (life.service != nullptr) life.service->attach(nullptr, "none");
  life.scaler.reset();
  life.provider.reset();
  life.front.reset();
  life.service.reset();
  life.store.reset();
  life.machines.reset();
}

// Calls under way and the manager that has them hold each other.
Cluster::~Cluster() {
  if (current_ == nullptr) return;
  current_->process->kill();
  current_->connections.clear();
  take_apart(*current_);
}

void Cluster::crash() {
  if (current_ == nullptr) return;
  const auto life = std::move(current_);
  current_ = nullptr;
  note_trouble();
  end(life);
  if (world_.random.chance(world_.config.power_loss)) {
    world_.event("manager crashed, power lost", std::to_string(life->number));
    world_.disk.lose_power();
  } else {
    world_.event("manager crashed", std::to_string(life->number));
  }
  start_later(milliseconds(200) + world_.up_to(seconds(8)));
}

void Cluster::start_later(Duration delay) {
  if (std::exchange(is_starting_, true)) return;
  world_.executor.post_at(world_.now() + delay, [this] { start(); });
}

void Cluster::hang() {
  if (current_ == nullptr || !current_->process->runs()) return;
  note_trouble();
  const auto life = current_;
  life->process->stop();
  world_.event("manager hangs", std::to_string(life->number));
  const Duration span = milliseconds(500) + world_.up_to(seconds(20));
  if (world_.random.chance(world_.config.replaced)) {
    world_.executor.post_at(world_.now() + span / 2, [this, life] {
      if (current_ == life) replace();
    });
  }
  world_.executor.post_at(world_.now() + span, [this, life] {
    if (life->process->is_dead()) return;
    note_trouble();
    world_.event("manager goes on", std::to_string(life->number));
    life->process->go_on();
    life->store->go_on();
  });
}

// It is presumed dead; another opens its directory.
void Cluster::replace() {
  const auto life = std::move(current_);
  current_ = nullptr;
  world_.event("manager replaced", std::to_string(life->number));
  life->store->lose_directory();
  life->front->silence();
  if (life->provider != nullptr) life->provider->refuse();
  break_connections(*life);
  if (life->machines != lasting_machines_) {
    for (const auto& id : life->machines->existing_ids()) life->machines->end(id, "its manager was replaced");
  }
  replaced_.push_back(life);
  start();
  world_.executor.post_at(world_.now() + seconds(10) + world_.up_to(seconds(40)), [this, life] {
    if (!life->process->is_dead()) end(life);
  });
}

void Cluster::stop() {
  if (current_ == nullptr || !current_->process->runs() || current_->scaler == nullptr) return;
  const auto life = current_;
  note_trouble();
  world_.event("manager is stopped", std::to_string(life->number));
  life->process->post([life, this] {
    life->front->begin_drain();
    life->scaler->stop(world_.now() + seconds(2), [life, this] {
      life->service->stop([life, this] {
        if (current_ != life) return;
        note_trouble();
        world_.event("manager stopped", std::to_string(life->number));
        current_ = nullptr;
        end(life);
        start_later(milliseconds(200) + world_.up_to(seconds(3)));
      });
    });
  });
}

void Cluster::heal() {
  for (const auto& life : replaced_) {
    if (!life->process->is_dead()) end(life);
  }
  replaced_.clear();
  if (current_ != nullptr && current_->process->is_stopped()) {
    note_trouble();
    current_->process->go_on();
    current_->store->go_on();
  }
  if (current_ == nullptr) start_later(milliseconds(500));
  for (const auto& weak : machines_) {
    if (const auto machines = weak.lock()) machines->script = script();
  }
}

}  // namespace skep::sim
