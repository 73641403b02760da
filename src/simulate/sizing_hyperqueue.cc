// SPDX-License-Identifier: Apache-2.0
// HyperQueue's automatic allocation: as many more workers as waiting tasks could use, a few at a time; a
// worker goes by itself when it was idle for long.
#include <algorithm>

#include "simulate/sizing.h"

namespace skep::simulate {
namespace {

class HyperqueueSizing final : public Sizing {
 public:
  HyperqueueSizing(std::uint32_t backlog, double idle_timeout_s)
      : backlog_(backlog), idle_timeout_s_(idle_timeout_s) {}

  scaler::Decision decide(const Sight& sight, const scaler::Bounds& bounds) override {
    const scaler::Observation& seen = sight.seen;
    const auto queued_allocations = static_cast<std::uint32_t>(seen.booting_ready_at.size());
    const std::uint32_t there = seen.running + queued_allocations;
    const std::uint64_t slots = std::max(1u, seen.slots_per_worker);
    const auto usable =
        static_cast<std::uint32_t>(std::min<std::uint64_t>((seen.queued + slots - 1) / slots, backlog_));
    const std::uint32_t more = usable - std::min(usable, queued_allocations);
    if (more > 0) return {there + more, "waiting tasks could use more"};
    const auto overdue = static_cast<std::uint32_t>(std::count_if(
        sight.idle_s.begin(), sight.idle_s.end(), [&](double idle_s) { return idle_s >= idle_timeout_s_; }));
    const std::uint32_t spare = there - std::min(there, bounds.workers_min);
    return {there - std::min(overdue, spare), "the idle timeout"};
  }
  Duration period() const override { return seconds(5); }
  Duration busy_hold() const override { return hours(10'000); }

 private:
  std::uint32_t backlog_;
  double idle_timeout_s_;
};

}  // namespace

SizingKind hyperqueue_kind() {
  return {"hyperqueue",
          "allocations while tasks wait, and an idle timeout",
          {{"backlog", 1, 1, 10, true, true}, {"idle_timeout", 300, 5, 600, true, false}},
          [](const std::vector<double>& values, const Setting&) -> std::unique_ptr<Sizing> {
            return std::make_unique<HyperqueueSizing>(static_cast<std::uint32_t>(values[0]), values[1]);
          }};
}

}  // namespace skep::simulate
