// SPDX-License-Identifier: Apache-2.0
// skep's own policy, the code that the manager runs.
#include "simulate/sizing.h"

namespace skep::simulate {
namespace {

class SkepSizing final : public Sizing {
 public:
  explicit SkepSizing(std::unique_ptr<scaler::Policy> policy) : policy_(std::move(policy)) {}

  scaler::Decision decide(const Sight& sight, const scaler::Bounds& bounds) override {
    return policy_->decide(sight.seen, bounds);
  }
  Duration period() const override { return seconds(5); }
  Duration busy_hold() const override { return minutes(5); }
  bool explains() const override { return true; }

 private:
  std::unique_ptr<scaler::Policy> policy_;
};

}  // namespace

SizingKind skep_kind() {
  return {"skep",
          "the wait objective at the least cost: what the manager runs",
          {{"idle_hold", 20, 5, 300, true, false}},
          [](const std::vector<double>& values, const Setting& setting) -> std::unique_ptr<Sizing> {
            scaler::DrainTimeOptions options;
            options.idle_hold = seconds(static_cast<std::int64_t>(values[0]));
            options.boot = setting.boot;
            return std::make_unique<SkepSizing>(scaler::make_drain_time_policy(options));
          }};
}

}  // namespace skep::simulate
