// SPDX-License-Identifier: Apache-2.0
// What a reconciler counts: what runs, what boots, what may exist, and how many more there may be.
#include <algorithm>

#include "scaler/reconciler.h"

namespace skep::scaler {
namespace {

// A worker may be heard from before the list, which may be late, says that its instance runs.
bool is_alive(const Instance& instance) {
  return instance.state == InstanceState::kRunning || instance.state == InstanceState::kStarting;
}

}  // namespace

std::uint32_t Reconciler::room(std::uint32_t workers_max) const {
  const std::uint32_t there = existing() + others_running_ + others_draining_;
  return workers_max - std::min(workers_max, there);
}

bool Reconciler::is_failing(Instant now) const {
  return now < backoff_.until() || now < crash_backoff_.until() || backoff_.in_a_row() >= kProbeAfter;
}

bool Reconciler::is_up(const Known& known) const {
  return known.phase == Phase::kUp && known.seen != nullptr && !known.seen->is_lost &&
         known.draining_since == kNoInstant && known.terminate_first == kNoInstant &&
         is_alive(known.instance);
}

// One whose worker signed off unasked may be about to register again.
bool Reconciler::is_booting(const Known& known) const {
  return known.phase != Phase::kUp && known.draining_since == kNoInstant &&
         known.terminate_first == kNoInstant && is_alive(known.instance);
}

std::uint32_t Reconciler::existing() const {
  std::uint32_t count = 0;
  for (const auto& [id, known] : instances_) {
    if (!known.is_stuck) ++count;
  }
  for (const Pending& launch : launches_) count += launch.count;
  return count;
}

std::vector<Instant> Reconciler::booting_ready_at() const {
  const auto expected = [&](Instant begun, const std::string& type) {
    if (boots_.is_empty()) return begun + options_.boot;
    const Instant usual = begun + boots_.within(type, 0.5);
    return usual > seen_at_ ? usual : begun + boots_.within(type, 0.9);
  };
  const std::string not_known_yet;
  std::vector<Instant> ready;
  for (const auto& [id, known] : instances_) {
    if (!is_booting(known)) continue;
    const bool has_left = known.phase == Phase::kLeft;
    const Instant begun = has_left ? known.boot_deadline - options_.boot_timeout : known.launched_at;
    ready.push_back(expected(begun, known.instance.type));
  }
  for (const Pending& launch : launches_) {
    if (launch.answered_at != kNoInstant) continue;
    ready.insert(ready.end(), launch.count, expected(launch.asked_at, not_known_yet));
  }
  return ready;
}

}  // namespace skep::scaler
