// SPDX-License-Identifier: Apache-2.0
#include "manager/worker_registry.h"

#include "api/json.h"

namespace skep::manager {

std::string seed_worker_id(const std::string& address) {
  return "seed-" + address;
}

WorkerInfo& WorkerRegistry::add(const api::v1::RegisterRequest& request, const std::string& life,
                                Instant now) {
  const std::string id = "w" + life + "-" + std::to_string(next_++);
  WorkerInfo& worker = workers_[id];
  worker.id = id;
  by_id_[worker.id] = &worker;
  worker.name = request.name();
  worker.slots = request.slots() == 0 ? 1 : request.slots();
  worker.commands = request.commands() == 0 ? worker.slots : request.commands();
  worker.kinds.assign(request.kinds().begin(), request.kinds().end());
  worker.programs.assign(request.programs().begin(), request.programs().end());
  worker.host = request.host();
  worker.pid = request.pid();
  worker.instance = request.instance();
  worker.version = request.version();
  worker.registered_at = worker.heard_at = worker.idle_since = now;
  return worker;
}

WorkerInfo& WorkerRegistry::seed(const std::string& address, Instant now) {
  const std::string id = seed_worker_id(address);
  const auto [at, is_new] = workers_.try_emplace(id);
  WorkerInfo& worker = at->second;
  if (is_new) {
    worker.id = worker.name = id;
    by_id_[worker.id] = &worker;
    worker.kinds = {"sha512"};
    worker.host = address;
    worker.is_seed = true;
    worker.registered_at = worker.idle_since = now;
  }
  worker.heard_at = now;
  return worker;
}

WorkerInfo* WorkerRegistry::find(const std::string& id) {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

WorkerInfo* WorkerRegistry::heard(const std::string& id, Instant now) {
  WorkerInfo* worker = find(id);
  if (worker == nullptr) return nullptr;
  worker->heard_at = now;
  worker->is_lost = false;
  return worker;
}

void WorkerRegistry::remove(const std::string& id) {
  by_id_.erase(id);  // first: its key is in what goes
  workers_.erase(id);
}

std::vector<std::string> WorkerRegistry::sweep(Instant now, Duration timeout) {
  std::vector<std::string> lost;
  for (auto& [id, worker] : workers_) {
    if (worker.is_lost || worker.is_seed || now - worker.heard_at <= timeout) continue;
    worker.is_lost = true;
    lost.push_back(id);
  }
  return lost;
}

void WorkerRegistry::end_moves(Instant now, Duration patience) {
  for (auto& [id, worker] : workers_) {
    if (worker.move_to.empty() || now - worker.move_asked_at < patience) continue;
    worker.move_to.clear();
    worker.is_staying = true;
  }
}

void WorkerRegistry::forgive(Duration span) {
  for (auto& [id, worker] : workers_) {
    if (!worker.is_lost) worker.heard_at += span;
  }
}

void WorkerRegistry::drop_silent(Instant now, Duration keep) {
  std::erase_if(workers_, [&](const auto& entry) {
    const WorkerInfo& worker = entry.second;
    const bool may_go = worker.is_lost || (worker.is_seed && worker.idle_since != kNoInstant);
    if (!may_go || now - worker.heard_at <= keep) return false;
    by_id_.erase(worker.id);
    return true;
  });
}

void to_message(const WorkerInfo& worker, std::uint32_t leases, api::v1::Worker& out) {
  out.set_id(worker.id);
  out.set_name(worker.name);
  out.set_state(worker.is_lost ? "lost" : worker.is_draining ? "draining" : "active");
  out.set_slots(worker.slots);
  out.set_leases(leases);
  out.set_host(worker.host);
  out.set_pid(worker.pid);
  out.set_instance(worker.instance);
  out.set_registered_at_ms(to_unix_ms(worker.registered_at));
  out.set_heard_at_ms(to_unix_ms(worker.heard_at));
  out.set_completed(worker.completed);
  out.set_failed(worker.failed);
  out.set_mismatches(worker.mismatches);
  out.set_iterations_per_second(worker.iterations_per_second);
  out.set_version(worker.version);
  out.set_notice(worker.notice);
  for (const auto& kind : worker.kinds) out.add_kinds(kind);
}

}  // namespace skep::manager
