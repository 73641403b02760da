// SPDX-License-Identifier: Apache-2.0
// An Auto Scaling group with target tracking on the backlog per instance.
//
// A metric a minute; out after some data points over the target, in after many under nine tenths of it.
// Instances that warm up count for nothing when it sizes, so the same alarm does not launch twice.
#include <algorithm>
#include <cmath>
#include <deque>

#include "simulate/sizing.h"

namespace skep::simulate {
namespace {

constexpr double kLowShare = 0.9;
constexpr double kStepIn = 0.1;

struct AsgOptions {
  double target = 1;  // tasks waiting for each instance in service
  Duration warmup{};  // after it came up
  std::uint32_t points_high = 3;
  std::uint32_t points_low = 15;
};

class AsgSizing final : public Sizing {
 public:
  explicit AsgSizing(AsgOptions options) : options_(options) {}

  scaler::Decision decide(const Sight& sight, const scaler::Bounds&) override {
    const scaler::Observation& seen = sight.seen;
    const auto desired = static_cast<std::uint32_t>(seen.running + seen.booting_ready_at.size());
    const std::uint32_t warming = note_running(seen.now, seen.running);
    const auto queued = static_cast<double>(seen.queued);
    const double metric = queued / std::max(1u, seen.running);
    high_ = metric > options_.target ? high_ + 1 : 0;
    low_ = metric < kLowShare * options_.target ? low_ + 1 : 0;
    if (high_ >= options_.points_high) {
      const double warm = std::max(1u, seen.running - std::min(seen.running, warming));
      const auto wanted = static_cast<std::uint32_t>(std::ceil(warm * metric / options_.target));
      return {std::max(desired, wanted), "the high alarm"};
    }
    const bool is_warming = warming > 0 || !seen.booting_ready_at.empty();
    if (low_ < options_.points_low || is_warming) return {desired, "no alarm"};
    const auto step = std::max(1u, static_cast<std::uint32_t>(kStepIn * desired));
    const std::uint32_t wanted = desired - std::min(desired, step);
    const bool would_pass = queued > options_.target * wanted;
    return {would_pass ? desired : wanted, "the low alarm"};
  }
  Duration period() const override { return minutes(1); }

 private:
  // How many came up so lately that they still warm up.
  std::uint32_t note_running(Instant now, std::uint32_t running) {
    if (!has_seen_) running_ = running;
    has_seen_ = true;
    if (running > running_) came_up_.emplace_back(now, running - running_);
    running_ = running;
    while (!came_up_.empty() && now - came_up_.front().first >= options_.warmup) came_up_.pop_front();
    std::uint32_t warming = 0;
    for (const auto& [at, count] : came_up_) warming += count;
    return std::min(warming, running);
  }

  AsgOptions options_;
  bool has_seen_ = false;
  std::uint32_t running_ = 0;
  std::deque<std::pair<Instant, std::uint32_t>> came_up_;
  std::uint32_t high_ = 0;
  std::uint32_t low_ = 0;
};

}  // namespace

SizingKind asg_kind() {
  return {
      "asg",
      "target tracking on the backlog of each instance in service",
      {{"target_share", 1, 0.02, 1.5, true, false},  // of the target wait divided by the mean service time
       {"warmup", 300, 30, 300, true, false},
       {"points_high", 3, 1, 3, false, true},
       {"points_low", 15, 3, 15, false, true}},
      [](const std::vector<double>& values, const Setting& setting) -> std::unique_ptr<Sizing> {
        const double target_s = std::chrono::duration<double>(setting.bounds.target_wait).count();
        AsgOptions options;
        options.target = values[0] * target_s * setting.slots / std::max(setting.service_mean_s, 1e-3);
        options.warmup = seconds(static_cast<std::int64_t>(values[1]));
        options.points_high = static_cast<std::uint32_t>(values[2]);
        options.points_low = static_cast<std::uint32_t>(values[3]);
        return std::make_unique<AsgSizing>(options);
      }};
}

}  // namespace skep::simulate
