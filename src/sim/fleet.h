// SPDX-License-Identifier: Apache-2.0
// fleet.h - the workers of a run: those on machines that the scaler started, those started by hand, and those
// of the seed's protocol.
//
// Who started a worker by hand starts it again when it died.
//
// Threads:   one thread.
// Ownership: shares the workers.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "sim/seed_worker.h"
#include "sim/sim_worker.h"

namespace skep::sim {

class Fleet {
 public:
  Fleet(World& world, Network& network, Cluster& cluster);

  void begin();
  // Faults for one of them; nothing happens if there is none.
  void kill_one();
  void hang_one();
  void drain_one();
  void cut_one_off();
  void heal();  // what hangs goes on, nobody is cut off

  const std::map<std::uint64_t, std::shared_ptr<SimWorker>>& workers() const { return workers_; }

 private:
  std::shared_ptr<SimWorker> any();
  void cut_off_from_one(const SimWorker& worker);
  void start(std::string instance, std::function<void()> on_gone);
  void start_by_hand();
  void start_seed(const std::string& address);

  World& world_;
  Network& network_;
  std::uint64_t next_ = 1;
  std::uint32_t seeds_begun_ = 0;
  std::map<std::uint64_t, std::shared_ptr<SimWorker>> workers_;  // alive
  std::vector<std::shared_ptr<SeedWorker>> seeds_;
};

}  // namespace skep::sim
