// SPDX-License-Identifier: Apache-2.0
// fake_cluster.h - a scaler between a fake fleet and a fake provisioner, wired as in production; for tests.
//
// Threads:   one thread.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "base/testing/virtual_executor.h"
#include "scaler/scaler.h"
#include "scaler/testing/fake_fleet.h"
#include "scaler/testing/fake_provisioner.h"

namespace skep::scaler::testing {

class FakeCluster {
 public:
  explicit FakeCluster(std::uint32_t workers_max, std::uint64_t seed = 1)
      : provisioner(executor, Random(seed)), fleet(executor) {
    options.bounds = {0, workers_max, seconds(30)};
    provisioner.on_boot = [this](const Instance& instance) { fleet.worker_up(instance.token); };
    provisioner.on_end = [this](const Instance& instance) { fleet.worker_down(instance.token); };
    fleet.on_exit = [this](const std::string& instance) { provisioner.end(instance, "exit code 0"); };
    fleet.on_change = [this] {
      if (scaler) scaler->poke();
    };
  }

  void start() { start_with(make_drain_time_policy({})); }
  void start_with(std::unique_ptr<Policy> policy) {
    scaler =
        std::make_unique<Scaler>(executor, fleet, provisioner, std::move(policy), options, "m", Logger());
    scaler->start();
  }

  // Runs until it is so, at most for `patience`. False: it was not.
  template <class F>
  bool run_until(F is_so, Duration patience) {
    const Instant end = executor.now() + patience;
    while (!is_so()) {
      if (executor.next_at() > end || !executor.run_next()) return false;
    }
    return true;
  }

  skep::testing::VirtualExecutor executor;
  FakeProvisioner provisioner;
  FakeFleet fleet;
  ScalerOptions options;
  std::unique_ptr<Scaler> scaler;
};

}  // namespace skep::scaler::testing
