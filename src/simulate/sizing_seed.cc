// SPDX-License-Identifier: Apache-2.0
// The seed's rule: every ten seconds, by the mean gap between the last ten requests for work.
//
// Its signal holds neither backlog nor arrivals, and counts a request that got nothing like any other.
#include "simulate/sizing.h"

namespace skep::simulate {
namespace {

class SeedSizing final : public Sizing {
 public:
  SeedSizing(double spawn_gap_s, double kill_gap_s) : spawn_gap_s_(spawn_gap_s), kill_gap_s_(kill_gap_s) {}

  scaler::Decision decide(const Sight& sight, const scaler::Bounds& bounds) override {
    const auto there = static_cast<std::uint32_t>(sight.seen.running + sight.seen.booting_ready_at.size());
    const auto& polls = sight.polls_s;
    const double gap_s =
        polls.size() < 2 ? 0 : (polls.back() - polls.front()) / static_cast<double>(polls.size() - 1);
    if (there < bounds.workers_min) return {there + 1, "fewer than the minimum"};
    if (gap_s > spawn_gap_s_ && there < bounds.workers_max) return {there + 1, "work is asked for rarely"};
    if (gap_s < kill_gap_s_ && there > bounds.workers_min) return {there - 1, "work is asked for often"};
    return {there, "neither"};
  }
  Duration period() const override { return seconds(10); }
  Duration pause_before_task() const override { return seconds(1); }
  bool wants_polls() const override { return true; }

 private:
  double spawn_gap_s_;
  double kill_gap_s_;
};

}  // namespace

SizingKind seed_kind() {
  return {"seed",
          "one more or less every 10 s, by the gap between requests for work",
          {{"spawn_gap", 1, 0.1, 3, true, false}, {"kill_gap", 0.1, 0.01, 0.5, true, false}},
          [](const std::vector<double>& values, const Setting&) -> std::unique_ptr<Sizing> {
            return std::make_unique<SeedSizing>(values[0], values[1]);
          }};
}

}  // namespace skep::simulate
