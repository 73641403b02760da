// SPDX-License-Identifier: Apache-2.0
// Dask's adaptive deployment: as many workers as finish all known work within a target time.
//
// Up at once; down by idle workers only, each after it was proposed so many times in a row.
#include <algorithm>
#include <cmath>

#include "simulate/sizing.h"

namespace skep::simulate {
namespace {

struct DaskOptions {
  double target_duration_s = 5;
  std::uint32_t wait_count = 3;
  Duration interval = seconds(1);
};

class DaskSizing final : public Sizing {
 public:
  explicit DaskSizing(DaskOptions options) : options_(options) {}

  scaler::Decision decide(const Sight& sight, const scaler::Bounds& bounds) override {
    const scaler::Observation& seen = sight.seen;
    const auto there = static_cast<std::uint32_t>(seen.running + seen.booting_ready_at.size());
    const double work_s = seen.queued_seconds + seen.leased_seconds;
    const auto tasks = static_cast<double>(seen.queued + seen.leased);
    const double threads = std::min(std::ceil(work_s / options_.target_duration_s), tasks);
    const double workers = std::ceil(threads / std::max(1u, seen.slots_per_worker));
    const auto target =
        std::clamp(static_cast<std::uint32_t>(workers), bounds.workers_min, bounds.workers_max);
    if (target >= there) {
      in_a_row_ = 0;
      return {target, "the work within the target duration"};
    }
    const std::uint32_t closing = std::min(there - target, seen.idle);
    in_a_row_ = closing > 0 ? in_a_row_ + 1 : 0;
    if (in_a_row_ < options_.wait_count) return {there, "proposed, not yet often enough"};
    return {there - closing, "idle workers are closed"};
  }
  Duration period() const override { return options_.interval; }
  Duration busy_hold() const override { return hours(10'000); }

 private:
  DaskOptions options_;
  std::uint32_t in_a_row_ = 0;
};

}  // namespace

SizingKind dask_kind() {
  return {"dask",
          "all known work within a target duration",
          {{"target_duration", 5, 1, 60, true, false}, {"wait_count", 3, 1, 300, true, true}},
          [](const std::vector<double>& values, const Setting&) -> std::unique_ptr<Sizing> {
            DaskOptions options;
            options.target_duration_s = values[0];
            options.wait_count = static_cast<std::uint32_t>(values[1]);
            return std::make_unique<DaskSizing>(options);
          }};
}

}  // namespace skep::simulate
