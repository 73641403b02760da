// SPDX-License-Identifier: Apache-2.0
#include "scaler/fleet_share.h"

#include <algorithm>
#include <optional>

namespace skep::scaler {
namespace {

// Of two limits of which 0 is none.
double lower_limit(double one, double other) {
  return one > 0 && other > 0 ? std::min(one, other) : std::max(one, other);
}

struct Slot {
  const FleetPart* part = nullptr;
  std::uint32_t share = 0;
  std::uint32_t most = 0;
  std::uint32_t idle = 0;  // that may still be taken
  std::uint32_t least = 0;
};

Slot slot_of(const FleetPart& part) {
  Slot slot{&part, part.own, part.own + (part.can_launch ? part.room : 0), part.own_idle, 0};
  // What it was told to start and does not fail to counts as there.
  if (part.can_launch && !part.is_failing) slot.share = std::clamp(part.share, part.own, slot.most);
  if (part.is_silent) slot.most = slot.share;
  slot.least = std::min(part.bounds.workers_min, part.can_launch ? slot.most : 0);
  return slot;
}

Slot* emptiest(std::vector<Slot>& slots, bool is_failing) {
  Slot* found = nullptr;
  for (Slot& slot : slots) {
    if (slot.share >= slot.most || slot.part->is_failing != is_failing) continue;
    if (found == nullptr || slot.share < found->share) found = &slot;
  }
  return found;
}

// Takes one away where it hurts least. False: there is nothing to take.
bool take_one(std::vector<Slot>& slots) {
  const auto rank = [](const Slot& slot) { return slot.share > slot.part->own ? 2 : slot.idle > 0 ? 1 : 0; };
  Slot* found = nullptr;
  for (Slot& slot : slots) {
    if (slot.share <= slot.least) continue;
    const bool is_better = found == nullptr || rank(slot) > rank(*found) ||
                           (rank(slot) == rank(*found) && slot.share > found->share);
    if (is_better) found = &slot;
  }
  if (found == nullptr) return false;
  if (rank(*found) == 1) --found->idle;
  --found->share;
  return true;
}

void add_load(const QueueLoad& load, QueueLoad& sum) {
  sum.queued += load.queued;
  sum.leased += load.leased;
  sum.queued_seconds += load.queued_seconds;
  sum.leased_seconds += load.leased_seconds;
  sum.arrival_seconds += load.arrival_seconds;
  sum.oldest_wait = std::max(sum.oldest_wait, load.oldest_wait);
  sum.started += load.started;
  // The same queues, mostly: each is in the shards of all.
  sum.queues = std::max(sum.queues, load.queues);
}

// What a part tells by queue; all of it is the rest where it knows no objective.
std::vector<QueueLoad> loads_of(const Observation& seen) {
  if (!seen.loads.empty()) return seen.loads;
  QueueLoad rest;
  rest.queued = seen.queued;
  rest.leased = seen.leased;
  rest.queued_seconds = seen.queued_seconds;
  rest.leased_seconds = seen.leased_seconds;
  rest.arrival_seconds = seen.arrival_seconds;
  rest.oldest_wait = seen.oldest_wait;
  rest.started = seen.started;
  return {rest};
}

std::vector<QueueLoad> whole_loads(const std::vector<FleetPart>& parts) {
  const bool is_all_one =
      std::all_of(parts.begin(), parts.end(), [](const FleetPart& part) { return part.seen.loads.empty(); });
  if (is_all_one) return {};
  std::vector<QueueLoad> whole;
  QueueLoad rest;
  for (const FleetPart& part : parts) {
    for (const QueueLoad& load : loads_of(part.seen)) {
      if (load.queue.empty()) {
        add_load(load, rest);
        continue;
      }
      auto found = std::find_if(whole.begin(), whole.end(),
                                [&](const QueueLoad& other) { return other.queue == load.queue; });
      if (found == whole.end()) {
        whole.emplace_back().queue = load.queue;
        found = whole.end() - 1;
      }
      add_load(load, *found);
    }
  }
  whole.push_back(std::move(rest));
  return whole;
}

void add_objectives(const std::vector<QueueObjective>& objectives, std::vector<QueueObjective>& whole) {
  for (const QueueObjective& objective : objectives) {
    const auto found = std::find_if(whole.begin(), whole.end(), [&](const QueueObjective& other) {
      return other.queue == objective.queue;
    });
    if (found == whole.end()) {
      whole.push_back(objective);
    } else {
      found->target_wait = std::min(found->target_wait, objective.target_wait);
      found->weight = std::max(found->weight, objective.weight);
    }
  }
}

}  // namespace

Observation whole_observation(Instant now, const std::vector<FleetPart>& parts) {
  Observation whole;
  whole.now = now;
  std::uint64_t slots = 0;
  for (const FleetPart& part : parts) {
    const Observation& seen = part.seen;
    whole.queued += seen.queued;
    whole.leased += seen.leased;
    whole.queued_seconds += seen.queued_seconds;
    whole.leased_seconds += seen.leased_seconds;
    whole.arrival_seconds += seen.arrival_seconds;
    whole.oldest_wait = std::max(whole.oldest_wait, seen.oldest_wait);
    whole.started += seen.started;
    whole.running += seen.running;
    whole.idle += seen.idle;
    whole.draining += seen.draining;
    slots += std::uint64_t{seen.running} * seen.slots_per_worker;
    whole.booting_ready_at.insert(whole.booting_ready_at.end(), seen.booting_ready_at.begin(),
                                  seen.booting_ready_at.end());
    whole.boot = std::max(whole.boot, seen.boot);
  }
  whole.loads = whole_loads(parts);
  if (whole.running > 0)
    whole.slots_per_worker = static_cast<std::uint32_t>(std::max<std::uint64_t>(1, slots / whole.running));
  return whole;
}

Bounds whole_bounds(const std::vector<FleetPart>& parts) {
  std::optional<Bounds> whole;
  for (const FleetPart& part : parts) {
    if (!part.can_launch) continue;
    if (!whole) {
      whole = part.bounds;
      continue;
    }
    whole->workers_min += part.bounds.workers_min;
    whole->workers_max += part.bounds.workers_max;
    whole->launches_minute_max += part.bounds.launches_minute_max;
    whole->cost_hour_max += part.bounds.cost_hour_max;
    whole->cost_month_max = lower_limit(whole->cost_month_max, part.bounds.cost_month_max);
    whole->price_hour = std::max(whole->price_hour, part.bounds.price_hour);
    whole->target_wait = std::min(whole->target_wait, part.bounds.target_wait);
  }
  Bounds bounds = whole.value_or(parts.empty() ? Bounds{} : parts.front().bounds);
  for (const FleetPart& part : parts) add_objectives(part.bounds.objectives, bounds.objectives);
  return bounds;
}

FleetCounts whole_counts(const std::vector<FleetPart>& parts) {
  FleetCounts whole;
  for (const FleetPart& part : parts) {
    whole.running += part.counts.running;
    whole.booting += part.counts.booting;
    whole.draining += part.counts.draining;
    whole.started += part.counts.started;
    whole.stopped += part.counts.stopped;
    whole.boot_failures += part.counts.boot_failures;
    whole.crashed += part.counts.crashed;
  }
  return whole;
}

std::vector<std::uint32_t> share_out(std::uint32_t wanted, const std::vector<FleetPart>& parts) {
  std::vector<Slot> slots;
  std::uint32_t there = 0;
  std::uint32_t least = 0;
  for (const FleetPart& part : parts) {
    slots.push_back(slot_of(part));
    least += slots.back().least + part.others;
  }
  for (Slot& slot : slots) {
    // Less than the minimum is wanted where an order or a budget says so.
    if (least > wanted) slot.least = 0;
    slot.share = std::max(slot.share, slot.least);
    there += slot.share + slot.part->others;
  }
  for (; there < wanted; ++there) {
    Slot* slot = emptiest(slots, false);
    if (slot == nullptr) slot = emptiest(slots, true);
    if (slot == nullptr) break;
    ++slot->share;
  }
  while (there > wanted && take_one(slots)) --there;
  std::vector<std::uint32_t> shares;
  for (const Slot& slot : slots) shares.push_back(slot.share);
  return shares;
}

}  // namespace skep::scaler
