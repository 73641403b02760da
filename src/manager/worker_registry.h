// SPDX-License-Identifier: Apache-2.0
// worker_registry.h - the workers that a manager has heard of.
//
// Soft state: after a restart workers register again. An id holds the name of the manager's life, so ids are
// never given twice. A worker of the seed's protocol has no heartbeat; it is known by its address
// ("seed-10.0.0.7") and only its leases run out.
//
// Threads:   one executor at a time.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "api/skep.pb.h"
#include "base/time.h"
#include "task/id.h"

namespace skep::manager {

struct WorkerInfo {
  std::string id;
  std::string name;
  std::uint32_t slots = 1;
  std::uint32_t commands = 1;  // at once
  std::vector<std::string> kinds;
  std::vector<std::string> programs;
  std::string host;
  std::int64_t pid = 0;
  std::string instance;
  std::string version;
  Instant registered_at{};
  Instant heard_at{};
  Instant idle_since{};  // kNoInstant while it has leases
  std::string notice;    // what its machine was told of its end
  bool is_draining = false;
  bool is_lost = false;
  bool is_seed = false;
  std::uint64_t completed = 0;
  std::uint64_t failed = 0;
  std::uint64_t mismatches = 0;
  std::uint32_t ended = 0;      // outcomes since the last heartbeat
  std::uint32_t elsewhere = 0;  // leases of shards that siblings serve
  std::string move_to;          // it is asked to go on there; until then nothing is leased to it
  Instant move_asked_at{};
  bool is_staying = false;  // it was asked, and did not go
  double iterations_per_second = 0;
};

// Of the seed worker at an address.
std::string seed_worker_id(const std::string& address);

class WorkerRegistry {
 public:
  // A new worker. `life`: the name of this life of the manager.
  WorkerInfo& add(const api::v1::RegisterRequest& request, const std::string& life, Instant now);
  // The seed worker at `address`, made if it is new.
  WorkerInfo& seed(const std::string& address, Instant now);
  // Null if unknown. heard() also notes that it answered and is not lost.
  WorkerInfo* find(const std::string& id);
  WorkerInfo* heard(const std::string& id, Instant now);
  void remove(const std::string& id);

  // Marks those that were silent for longer than `timeout` as lost and gives their ids, each once.
  std::vector<std::string> sweep(Instant now, Duration timeout);
  // Those that were asked to move so long ago and are still here stay.
  void end_moves(Instant now, Duration patience);
  // Takes `span` off the silence of every worker that is not lost.
  void forgive(Duration span);
  // Forgets lost workers and idle seed workers that were silent for so long.
  void drop_silent(Instant now, Duration keep);

  const std::map<std::string, WorkerInfo>& all() const { return workers_; }
  std::map<std::string, WorkerInfo>& all() { return workers_; }

 private:
  std::map<std::string, WorkerInfo> workers_;                // in an order that does not change
  std::unordered_map<std::string_view, WorkerInfo*> by_id_;  // each request asks
  std::uint64_t next_ = 1;
};

void to_message(const WorkerInfo& worker, std::uint32_t leases, api::v1::Worker& out);

}  // namespace skep::manager
