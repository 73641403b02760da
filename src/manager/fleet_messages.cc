// SPDX-License-Identifier: Apache-2.0
#include "manager/fleet_messages.h"

#include <algorithm>

namespace skep::manager {
namespace {

constexpr std::int64_t kSpanMax = 1'000LL * 60 * 60 * 24 * 365;  // ms: a year

std::uint64_t to_ms(Duration span) {
  return static_cast<std::uint64_t>(duration_cast<milliseconds>(std::max(span, Duration::zero())).count());
}
template <class Number>
Duration from_ms(Number ms) {
  return milliseconds(static_cast<std::int64_t>(std::clamp<Number>(ms, 0, kSpanMax)));
}

scaler::QueueLoad load_of(const api::v1::QueueObjective& message) {
  scaler::QueueLoad load;
  load.queue = message.queue();
  load.queues = message.queues();
  load.queued = message.queued();
  load.leased = message.leased();
  load.queued_seconds = message.queued_seconds();
  load.leased_seconds = message.leased_seconds();
  load.arrival_seconds = message.arrival_seconds();
  load.oldest_wait = from_ms(message.oldest_wait_ms());
  load.started = message.started();
  return load;
}

}  // namespace

void to_messages(const std::vector<scaler::TypeBoots>& boots,
                 google::protobuf::RepeatedPtrField<api::v1::TypeBoots>& out) {
  for (const scaler::TypeBoots& one : boots) {
    api::v1::TypeBoots& message = *out.Add();
    message.set_type(one.type);
    message.set_count(one.count);
    message.set_p50_ms(to_ms(one.p50));
    message.set_p90_ms(to_ms(one.p90));
  }
}

void to_messages(const scaler::Bounds& bounds, const std::vector<scaler::QueueLoad>& loads,
                 google::protobuf::RepeatedPtrField<api::v1::QueueObjective>& out) {
  for (const scaler::QueueLoad& load : loads) {
    api::v1::QueueObjective& message = *out.Add();
    message.set_queue(load.queue);
    message.set_target_wait_ms(to_ms(bounds.target_wait));
    message.set_weight(1);
    for (const scaler::QueueObjective& objective : bounds.objectives) {
      if (objective.queue != load.queue) continue;
      message.set_target_wait_ms(to_ms(objective.target_wait));
      message.set_weight(objective.weight);
    }
    message.set_queues(load.queues);
    message.set_queued(load.queued);
    message.set_leased(load.leased);
    message.set_queued_seconds(load.queued_seconds);
    message.set_leased_seconds(load.leased_seconds);
    message.set_arrival_seconds(load.arrival_seconds);
    message.set_oldest_wait_ms(to_ms(load.oldest_wait));
    message.set_started(load.started);
  }
}

void to_message(const scaler::FleetPart& part, Instant now, api::v1::FleetPart& out) {
  out.set_address(part.address);
  out.set_provisioner(part.provisioner);
  out.set_can_launch(part.can_launch);
  out.set_failing(part.is_failing);
  out.set_held_because(part.held_because);
  out.set_queued(part.seen.queued);
  out.set_leased(part.seen.leased);
  out.set_queued_seconds(part.seen.queued_seconds);
  out.set_leased_seconds(part.seen.leased_seconds);
  out.set_arrival_seconds(part.seen.arrival_seconds);
  out.set_oldest_wait_ms(to_ms(part.seen.oldest_wait));
  out.set_started(part.seen.started);
  out.set_slots_per_worker(part.seen.slots_per_worker);
  out.set_registered(part.seen.running);
  out.set_idle(part.seen.idle);
  out.set_leaving(part.seen.draining);
  for (const Instant ready_at : part.seen.booting_ready_at)
    out.add_boots()->set_ready_in_ms(duration_cast<milliseconds>(ready_at - now).count());
  out.set_boot_ms(to_ms(part.seen.boot));
  out.set_min_workers(part.bounds.workers_min);
  out.set_max_workers(part.bounds.workers_max);
  out.set_target_wait_ms(to_ms(part.bounds.target_wait));
  out.set_running(part.counts.running);
  out.set_booting(part.counts.booting);
  out.set_draining(part.counts.draining);
  out.set_started_instances(part.counts.started);
  out.set_stopped_instances(part.counts.stopped);
  out.set_boot_failures(part.counts.boot_failures);
  out.set_crashed(part.counts.crashed);
  out.set_own(part.own);
  out.set_own_idle(part.own_idle);
  out.set_others(part.others);
  out.set_room(part.room);
  out.set_share(part.share);
  out.set_silence_ms(part.is_silent ? to_ms(part.silence) : 0);
  out.set_launches_minute(part.bounds.launches_minute_max);
  out.set_budget_hour(part.bounds.cost_hour_max);
  out.set_budget_month(part.bounds.cost_month_max);
  out.set_price_hour(part.bounds.price_hour);
  to_messages(part.boots, *out.mutable_boot_times());
  to_messages(part.bounds, part.seen.loads, *out.mutable_objectives());
}

scaler::FleetPart from_message(const api::v1::FleetPart& message, Instant now) {
  scaler::FleetPart part;
  part.address = message.address();
  part.provisioner = message.provisioner();
  part.can_launch = message.can_launch();
  part.is_failing = message.failing();
  part.held_because = message.held_because();
  part.seen.now = now;
  part.seen.queued = message.queued();
  part.seen.leased = message.leased();
  part.seen.queued_seconds = message.queued_seconds();
  part.seen.leased_seconds = message.leased_seconds();
  part.seen.arrival_seconds = message.arrival_seconds();
  part.seen.oldest_wait = from_ms(message.oldest_wait_ms());
  part.seen.started = message.started();
  part.seen.slots_per_worker = std::max(1u, message.slots_per_worker());
  part.seen.running = message.registered();
  part.seen.idle = message.idle();
  part.seen.draining = message.leaving();
  for (const auto& boot : message.boots())
    part.seen.booting_ready_at.push_back(now +
                                         milliseconds(std::clamp(boot.ready_in_ms(), -kSpanMax, kSpanMax)));
  part.seen.boot = from_ms(message.boot_ms());
  part.bounds.workers_min = message.min_workers();
  part.bounds.workers_max = message.max_workers();
  part.bounds.target_wait = from_ms(message.target_wait_ms());
  part.counts.running = message.running();
  part.counts.booting = message.booting();
  part.counts.draining = message.draining();
  part.counts.started = message.started_instances();
  part.counts.stopped = message.stopped_instances();
  part.counts.boot_failures = message.boot_failures();
  part.counts.crashed = message.crashed();
  part.own = message.own();
  part.own_idle = message.own_idle();
  part.others = message.others();
  part.room = message.room();
  part.share = message.share();
  part.silence = from_ms(message.silence_ms());
  part.is_silent = message.silence_ms() > 0;
  part.bounds.launches_minute_max = message.launches_minute();
  part.bounds.cost_hour_max = message.budget_hour();
  part.bounds.cost_month_max = message.budget_month();
  part.bounds.price_hour = message.price_hour();
  for (const auto& one : message.boot_times())
    part.boots.push_back({one.type(), one.count(), from_ms(one.p50_ms()), from_ms(one.p90_ms())});
  for (const auto& one : message.objectives()) {
    part.seen.loads.push_back(load_of(one));
    if (!one.queue().empty())
      part.bounds.objectives.push_back(
          {one.queue(), from_ms(one.target_wait_ms()), std::max(1u, one.weight())});
  }
  return part;
}

void to_message(const scaler::WorkerSeen& worker, Instant now, api::v1::FleetWorker& out) {
  out.set_worker(worker.worker);
  out.set_instance(worker.instance);
  out.set_draining(worker.is_draining);
  out.set_lost(worker.is_lost);
  out.set_leases(worker.leases);
  out.set_slots(worker.slots);
  out.set_silence_ms(to_ms(now - worker.heard_at));
  if (worker.idle_since != kNoInstant)
    out.set_idle_ms(std::max<std::uint64_t>(1, to_ms(now - worker.idle_since)));
}

scaler::WorkerSeen from_message(const api::v1::FleetWorker& message, Instant now) {
  scaler::WorkerSeen worker;
  worker.worker = message.worker();
  worker.instance = message.instance();
  worker.is_draining = message.draining();
  worker.is_lost = message.lost();
  worker.leases = message.leases();
  worker.slots = std::max(1u, message.slots());
  worker.heard_at = now - from_ms(message.silence_ms());
  worker.idle_since = message.idle_ms() == 0 ? kNoInstant : now - from_ms(message.idle_ms());
  return worker;
}

}  // namespace skep::manager
