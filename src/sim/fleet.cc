// SPDX-License-Identifier: Apache-2.0
#include "sim/fleet.h"

#include <algorithm>

namespace skep::sim {

Fleet::Fleet(World& world, Network& network, Cluster& cluster) : world_(world), network_(network) {
  cluster.on_boot = [this](const scaler::Instance& instance, std::weak_ptr<Machines> machines) {
    start(instance.token, [machines, id = instance.id] {
      if (const auto there = machines.lock()) there->end(id, "its worker ended");
    });
  };
  cluster.on_end = [this](const scaler::Instance& instance) {
    for (const auto& [number, worker] : workers_) {
      if (worker->instance() != instance.token || worker->is_gone()) continue;
      const auto doomed = worker;
      doomed->die("worker ended with its instance");
      return;
    }
  };
}

void Fleet::begin() {
  for (std::uint32_t i = 0; i < world_.config.workers_by_hand; ++i) start_by_hand();
  for (std::uint32_t i = 0; i < world_.config.workers_seed; ++i)
    start_seed("10.0.0." + std::to_string(i + 1));
}

void Fleet::start(std::string instance, std::function<void()> on_gone) {
  const std::uint64_t number = next_++;
  auto worker = std::make_shared<SimWorker>(world_, network_, number, std::move(instance),
                                            [this, number, on_gone = std::move(on_gone)] {
                                              world_.executor.post([this, number, on_gone] {
                                                workers_.erase(number);
                                                on_gone();
                                              });
                                            });
  workers_[number] = worker;
  worker->begin();
}

void Fleet::start_by_hand() {
  start("", [this] {
    world_.executor.post_at(world_.now() + seconds(1) + world_.up_to(seconds(8)),
                            [this] { start_by_hand(); });
  });
}

void Fleet::start_seed(const std::string& address) {
  seeds_.push_back(std::make_shared<SeedWorker>(world_, network_, address, seeds_begun_++));
  seeds_.back()->begin();
}

std::shared_ptr<SimWorker> Fleet::any() {
  std::vector<std::shared_ptr<SimWorker>> alive;
  for (const auto& [number, worker] : workers_) {
    if (!worker->is_gone()) alive.push_back(worker);
  }
  return alive.empty() ? nullptr : alive[world_.random.below(alive.size())];
}

void Fleet::kill_one() {
  if (!seeds_.empty() && world_.random.chance(0.2)) {
    const auto seed = seeds_.back();
    world_.event("seed worker dies");
    seeds_.pop_back();
    seed->die();
    start_seed(seed->address());
    return;
  }
  if (const auto worker = any()) worker->die("worker dies");
}

void Fleet::hang_one() {
  const auto worker = any();
  if (worker == nullptr || worker->process()->is_stopped()) return;
  ++worker->troubles;
  worker->process()->stop();
  // One to five leases long, or only a hiccup.
  const Duration span = world_.random.chance(0.3)
                            ? world_.up_to(seconds(4))
                            : world_.config.lease + world_.up_to(4 * world_.config.lease);
  world_.event("worker hangs", std::to_string(worker->number()));
  world_.executor.post_at(world_.now() + span, [this, worker] {
    if (worker->is_gone() || !worker->process()->is_stopped()) return;
    world_.event("worker goes on", std::to_string(worker->number()));
    worker->process()->go_on();
  });
}

void Fleet::drain_one() {
  const auto worker = any();
  if (worker == nullptr || worker->id().empty()) return;
  if (world_.random.chance(0.5)) {
    world_.event("worker gets a signal to drain", std::to_string(worker->number()));
    worker->drain(worker::DrainCause::kSignal);
    return;
  }
  world_.event("worker is drained by hand", std::to_string(worker->number()));
  auto operator_process = std::make_shared<Process>(world_.executor);
  network_.call<api::v1::Worker>(
      operator_process, worker->own_way(), seconds(5),
      [id = worker->id()](Front& front, manager::IsWanted, manager::Reply<api::v1::Worker> reply) {
        front.drain_worker(id, std::move(reply));
      },
      [](const Result<api::v1::Worker>&) {});
}

void Fleet::cut_one_off() {
  const auto worker = any();
  if (worker == nullptr) return;
  ++worker->link()->troubles;
  if (world_.is_shared() && world_.random.chance(0.5)) return cut_off_from_one(*worker);
  const Instant until = world_.now() + seconds(1) + world_.up_to(seconds(25));
  const auto direction = world_.random.below(3);
  if (direction != 1) worker->link()->requests_cut_until = until;
  if (direction != 0) worker->link()->replies_cut_until = until;
  world_.event(direction == 2 ? "worker cut off" : "worker cut off in one direction",
               std::to_string(worker->number()));
}

// From one of the managers; it may go on at another.
void Fleet::cut_off_from_one(const SimWorker& worker) {
  world_.trouble();
  const auto node = static_cast<Place>(world_.random.below(world_.config.managers));
  const Instant until = world_.now() + seconds(1) + world_.up_to(seconds(25));
  const auto direction = world_.random.below(3);
  if (direction != 1) world_.cuts.cut(worker.link()->place, node, until);
  if (direction != 0) world_.cuts.cut(node, worker.link()->place, until);
  world_.event("worker cut off from one manager", std::to_string(worker.number()));
}

void Fleet::heal() {
  for (const auto& [number, worker] : workers_) {
    worker->link()->requests_cut_until = worker->link()->replies_cut_until = kNoInstant;
    worker->process()->go_on();
  }
}

}  // namespace skep::sim
