// SPDX-License-Identifier: Apache-2.0
// AutoScale (Gandhi, Harchol-Balter, Raghunathan, Kozuch: ACM TOCS 30(4), 2012): as many servers as the tasks
// in the system need at a known number for each; a server goes only after it was idle for a while.
#include <algorithm>
#include <cmath>

#include "simulate/sizing.h"

namespace skep::simulate {
namespace {

class AutoscaleSizing final : public Sizing {
 public:
  AutoscaleSizing(double tasks_per_worker, double idle_wait_s)
      : tasks_per_worker_(tasks_per_worker), idle_wait_s_(idle_wait_s) {}

  scaler::Decision decide(const Sight& sight, const scaler::Bounds&) override {
    const scaler::Observation& seen = sight.seen;
    const auto there = static_cast<std::uint32_t>(seen.running + seen.booting_ready_at.size());
    const auto tasks = static_cast<double>(seen.queued + seen.leased);
    const auto needed = static_cast<std::uint32_t>(std::ceil(tasks / tasks_per_worker_));
    if (needed >= there) return {needed, "tasks in the system"};
    const auto overdue = static_cast<std::uint32_t>(std::count_if(
        sight.idle_s.begin(), sight.idle_s.end(), [&](double idle_s) { return idle_s >= idle_wait_s_; }));
    return {std::max(needed, there - std::min(there, overdue)), "idle for long enough"};
  }
  Duration period() const override { return seconds(5); }
  Duration busy_hold() const override { return hours(10'000); }

 private:
  double tasks_per_worker_;
  double idle_wait_s_;
};

}  // namespace

SizingKind autoscale_kind() {
  return {
      "autoscale",
      "tasks in the system, and servers that go when idle for long",
      {{"wait_share", 1.0 / 3, 0.03, 1.5, true, false},  // of the target wait that a worker's tasks may fill
       {"idle_wait", 120, 5, 600, true, false}},
      [](const std::vector<double>& values, const Setting& setting) -> std::unique_ptr<Sizing> {
        const double target_s = std::chrono::duration<double>(setting.bounds.target_wait).count();
        const double tasks = values[0] * target_s / std::max(setting.service_mean_s, 1e-3);
        return std::make_unique<AutoscaleSizing>(std::max(1.0, tasks) * setting.slots, values[1]);
      }};
}

}  // namespace skep::simulate
