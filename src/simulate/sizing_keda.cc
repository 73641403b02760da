// SPDX-License-Identifier: Apache-2.0
// KEDA's queue scaler with the horizontal pod autoscaler behind it: tasks a worker, waiting and in flight.
//
// Up at once, at most twofold or by four in a period; down only to the most that was recommended within the
// stabilisation window; from one to none only after the cool-down without a task.
#include <algorithm>
#include <cmath>
#include <deque>

#include "simulate/sizing.h"

namespace skep::simulate {
namespace {

constexpr double kTolerance = 0.1;
constexpr Duration kPeriod = seconds(15);

struct KedaOptions {
  double tasks_per_worker = 5;
  Duration stabilisation{};
  Duration cooldown{};
};

class KedaSizing final : public Sizing {
 public:
  explicit KedaSizing(KedaOptions options) : options_(options) {}

  scaler::Decision decide(const Sight& sight, const scaler::Bounds& bounds) override {
    const scaler::Observation& seen = sight.seen;
    const auto replicas = static_cast<std::uint32_t>(seen.running + seen.booting_ready_at.size());
    const auto metric = static_cast<double>(seen.queued + seen.leased);
    if (metric > 0) active_at_ = seen.now;
    if (replicas == 0) return {metric > 0 ? 1u : 0u, "from nothing"};
    const std::uint32_t wanted = stabilised(seen.now, replicas, recommended(metric, replicas));
    const bool may_be_none =
        bounds.workers_min == 0 && metric <= 0 && seen.now - active_at_ >= options_.cooldown;
    return {std::max(wanted, may_be_none ? 0u : 1u), "tasks a worker"};
  }
  Duration period() const override { return kPeriod; }

 private:
  std::uint32_t recommended(double metric, std::uint32_t replicas) const {
    const double ratio = metric / (options_.tasks_per_worker * replicas);
    if (std::abs(1 - ratio) <= kTolerance) return replicas;
    return static_cast<std::uint32_t>(std::ceil(metric / options_.tasks_per_worker));
  }

  std::uint32_t stabilised(Instant now, std::uint32_t replicas, std::uint32_t wanted) {
    recommendations_.emplace_back(now, wanted);
    while (recommendations_.front().first < now - options_.stabilisation) recommendations_.pop_front();
    if (wanted > replicas) return std::min(wanted, std::max(2 * replicas, replicas + 4));
    std::uint32_t most = 0;
    for (const auto& [at, recommendation] : recommendations_) most = std::max(most, recommendation);
    return std::min(most, replicas);
  }

  KedaOptions options_;
  std::deque<std::pair<Instant, std::uint32_t>> recommendations_;
  Instant active_at_ = kNoInstant;
};

}  // namespace

SizingKind keda_kind() {
  return {"keda",
          "tasks waiting and in flight a worker, through a horizontal autoscaler",
          {{"queue_length", 5, 0.5, 30, true, false},
           {"stabilisation", 300, 15, 900, true, false},
           {"cooldown", 300, 30, 900, true, false}},
          [](const std::vector<double>& values, const Setting&) -> std::unique_ptr<Sizing> {
            return std::make_unique<KedaSizing>(KedaOptions{values[0],
                                                            seconds(static_cast<std::int64_t>(values[1])),
                                                            seconds(static_cast<std::int64_t>(values[2]))});
          }};
}

}  // namespace skep::simulate
