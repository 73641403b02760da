// SPDX-License-Identifier: Apache-2.0
// At most `max` instances exist at any time, and none that nobody owns outlives the reaper: when there is
// nothing to do for long enough, there are none. Where managers share a provisioner, one that leads launches.
#include "sim/checkers.h"
#include "sim/world.h"

namespace skep::sim {
namespace {

class FleetChecker final : public Checker {
 public:
  using Checker::Checker;
  std::string name() const override { return "fleet"; }

  // Of several managers the owner of shard 0 leads.
  void on_launch(std::size_t node) override {
    for (const auto& serving : world_.served()) {
      if (serving.shard == 0 && serving.node == node) return;
    }
    broken("manager " + std::to_string(node) + " launches instances, and does not lead the fleet");
  }
  void on_tick() override { count(); }
  void at_end() override { count(); }
  void on_quiet() override {
    const std::uint32_t left = world_.machines_existing();
    if (left > 0)
      broken(std::to_string(left) + " instances are left with nothing to do, and nobody stops them");
  }

 private:
  void count() {
    const std::uint32_t peak = world_.machines_peak();
    if (peak <= world_.config.workers_max) return;
    broken(std::to_string(peak) + " instances existed at a time, and the maximum is " +
           std::to_string(world_.config.workers_max));
  }
};

}  // namespace

std::unique_ptr<Checker> make_fleet_checker(World& world) {
  return std::make_unique<FleetChecker>(world);
}

}  // namespace skep::sim
