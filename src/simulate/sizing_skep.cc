// SPDX-License-Identifier: Apache-2.0
// skep's own policy, the code that the manager runs.
#include <iterator>

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

struct Knob {
  const char* name;
  double scaler::Tuning::*value;
  double low;
  double high;
  bool is_log;
};

constexpr Knob kKnobs[] = {
    {"hold_s", &scaler::Tuning::hold_s, 20, 240, true},
    {"hold_growth", &scaler::Tuning::hold_growth, 1, 2.5, false},
    {"hold_boots_min", &scaler::Tuning::hold_boots_min, 0.5, 3, true},
    {"wait_share", &scaler::Tuning::wait_share, 0.1, 0.9, false},
    {"wait_caution", &scaler::Tuning::wait_caution, 0, 0.3, false},
    {"reserve", &scaler::Tuning::reserve, 0, 6, false},
    {"reserve_caution", &scaler::Tuning::reserve_caution, 0, 2, false},
    {"reserve_share", &scaler::Tuning::reserve_share, 0, 0.5, false},
    {"trend_share", &scaler::Tuning::trend_share, 0, 2, false},
    {"grow_from", &scaler::Tuning::grow_from, 0, 0.7, false},
    {"keep_from", &scaler::Tuning::keep_from, 0, 0.5, false},
    {"caution_first", &scaler::Tuning::caution_first, 0, 4, false},
    {"caution_unproved", &scaler::Tuning::caution_unproved, 0, 4, false},
};

scaler::Tuning tuning_of(const std::vector<double>& values) {
  scaler::Tuning tuning;
  for (std::size_t i = 0; i < std::size(kKnobs); ++i) tuning.*kKnobs[i].value = values[i];
  return tuning;
}

}  // namespace

SizingKind skep_kind() {
  const scaler::Tuning usual;
  SizingKind kind;
  kind.name = "skep";
  kind.what = "the wait objective at the least cost: what the manager runs";
  for (const Knob& knob : kKnobs)
    kind.parameters.push_back({knob.name, usual.*knob.value, knob.low, knob.high, knob.is_log, false});
  kind.make = [](const std::vector<double>& values, const Setting& setting) -> std::unique_ptr<Sizing> {
    scaler::DrainTimeOptions options;
    options.boot = setting.boot;
    options.tuning = tuning_of(values);
    return std::make_unique<SkepSizing>(scaler::make_drain_time_policy(options));
  };
  return kind;
}

Result<scaler::Tuning> parse_tuning(std::string_view text) {
  SKEP_TRY(const auto choice, parse_sizing(text));
  if (choice.kind.name != "skep") {
    return fail(Code::kInvalid, "policy '" + std::string(text) +
                                    "' can only be simulated: a manager runs skep, with settings as in " +
                                    "skep:hold_s=90");
  }
  return tuning_of(choice.values);
}

}  // namespace skep::simulate
