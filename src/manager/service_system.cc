// SPDX-License-Identifier: Apache-2.0
// The system as a whole: numbers, queues, scaling, events.
#include <algorithm>

#include "api/convert.h"
#include "api/protocol.h"
#include "manager/fleet_messages.h"
#include "manager/service.h"

namespace skep::manager {
namespace {

void add_counts(const queue::Counts& counts, api::v1::TaskCounts& out) {
  out.set_delayed(out.delayed() + counts.of(TaskState::kDelayed));
  out.set_queued(out.queued() + counts.of(TaskState::kQueued));
  out.set_leased(out.leased() + counts.of(TaskState::kLeased));
  out.set_done(out.done() + counts.of(TaskState::kDone));
  out.set_dead(out.dead() + counts.of(TaskState::kDead));
  out.set_cancelled(out.cancelled() + counts.of(TaskState::kCancelled));
  out.set_undelivered(out.undelivered() + counts.undelivered);
}

void fill_totals(const queue::Totals& totals, api::v1::Totals& out) {
  out.set_enqueued(totals.enqueued);
  out.set_leased(totals.leased);
  out.set_completed(totals.completed);
  out.set_failed(totals.failed);
  out.set_retried(totals.retried);
  out.set_dead(totals.dead);
  out.set_cancelled(totals.cancelled);
  out.set_delivered(totals.delivered);
  out.set_workers_lost(totals.workers_lost);
  out.set_lease_expired(totals.lease_expired);
  out.set_released(totals.released);
  out.set_duplicate_results(totals.duplicate_results);
  out.set_mismatches(totals.mismatches);
  out.set_iterations_completed(totals.completed_iterations);
  out.set_checkpoints(totals.checkpoints);
  out.set_checkpoints_refused(totals.checkpoints_refused);
}

std::string_view role_name(scaler::FleetRole role) {
  switch (role) {
    case scaler::FleetRole::kAlone:
      return "alone";
    case scaler::FleetRole::kLeads:
      return "leads";
    case scaler::FleetRole::kFollows:
      return "follows";
    case scaler::FleetRole::kWaits:
      break;
  }
  return "waits";
}

void fill_order(const scaler::Scaler& scaler, Instant now, api::v1::ScalingState& out) {
  const FleetOrder& order = scaler.order();
  out.set_mode("policy");
  if (!order.holds_at(now)) return;
  out.set_mode(order.kind == FleetOrderKind::kPause ? "paused" : "ordered");
  out.set_ordered_workers(order.workers);
  out.set_order_given_ms(to_unix_ms(order.given_at));
  out.set_order_until_ms(to_unix_ms(order.until));
}

void fill_costs(const scaler::Scaler& scaler, api::v1::ScalingState& out) {
  const auto& bounds = scaler.bounds();
  out.set_launches_minute(bounds.launches_minute_max);
  out.set_budget_hour(bounds.cost_hour_max);
  out.set_budget_month(bounds.cost_month_max);
  out.set_price_hour(bounds.price_hour);
  out.set_month(scaler.month());
  out.set_spent_month(scaler.spent_month());
  const scaler::CostLedger& costs = scaler.costs();
  out.set_cost(scaler::in_money(costs.total()));
  out.set_cost_used(scaler::in_money(costs.tasks().used));
  out.set_cost_overhead(scaler::in_money(costs.tasks().overhead));
  out.set_cost_idle(scaler::in_money(costs.idle()));
}

void fill_line(const std::string& name, const scaler::CostSum& sum, api::v1::CostLine& out) {
  out.set_name(name);
  out.set_attempts(sum.attempts);
  out.set_seconds(sum.seconds);
  out.set_used(scaler::in_money(sum.used));
  out.set_overhead(scaler::in_money(sum.overhead));
}

void fill_lines(const std::map<std::string, scaler::CostSum>& sums,
                google::protobuf::RepeatedPtrField<api::v1::CostLine>& out) {
  std::vector<const std::pair<const std::string, scaler::CostSum>*> order;
  for (const auto& sum : sums) order.push_back(&sum);
  std::stable_sort(order.begin(), order.end(),
                   [](const auto* a, const auto* b) { return a->second.all() > b->second.all(); });
  for (const auto* sum : order) fill_line(sum->first, sum->second, *out.Add());
}

void fill_state(const scaler::Scaler* scaler, const std::string& provisioner, const std::string& address,
                Instant now, api::v1::ScalingState& out) {
  out.set_provisioner(provisioner);
  if (scaler == nullptr) return;
  fill_order(*scaler, now, out);
  out.set_dry_run(scaler->is_dry_run());
  fill_costs(*scaler, out);
  if (!scaler->problem().empty()) {
    out.set_problem(scaler->problem());
    out.set_problem_since_ms(to_unix_ms(scaler->problem_since()));
  }
  const auto state = scaler->state();
  out.set_min_workers(state.bounds.workers_min);
  out.set_max_workers(state.bounds.workers_max);
  out.set_target_wait_ms(
      static_cast<std::uint64_t>(duration_cast<milliseconds>(state.bounds.target_wait).count()));
  out.set_wanted(state.wanted);
  out.set_running(state.counts.running);
  out.set_booting(state.counts.booting);
  out.set_draining(state.counts.draining);
  out.set_started(state.counts.started);
  out.set_stopped(state.counts.stopped);
  out.set_boot_failures(state.counts.boot_failures);
  out.set_crashed(state.counts.crashed);
  to_messages(state.bounds, state.loads, *out.mutable_objectives());
  if (!state.parts.empty()) to_messages(state.parts.front().boots, *out.mutable_boot_times());
  out.set_role(std::string(role_name(state.role)));
  out.set_leader(state.role == scaler::FleetRole::kLeads ? address : state.leader);
}

std::uint64_t in_ms(Duration duration) {
  return static_cast<std::uint64_t>(
      duration_cast<milliseconds>(std::max(Duration::zero(), duration)).count());
}

std::string_view action_name(scaler::ActionKind kind) {
  switch (kind) {
    case scaler::ActionKind::kLaunch:
      return "launch";
    case scaler::ActionKind::kDrain:
      return "drain";
    case scaler::ActionKind::kTerminate:
      return "terminate";
    case scaler::ActionKind::kForget:
      return "forget";
  }
  return "hold";
}

void fill_decision(const scaler::LedgerEntry& entry, const scaler::Action* action,
                   api::v1::ScalingDecision& out) {
  out.set_at_ms(to_unix_ms(entry.at));
  out.set_wanted(entry.decision.wanted);
  out.set_before(entry.counts.running + entry.counts.booting);
  out.set_action(action == nullptr ? "hold" : std::string(action_name(action->kind)));
  if (action != nullptr && action->kind == scaler::ActionKind::kLaunch)
    out.add_targets(std::to_string(action->count));
  if (action != nullptr && !action->worker.empty()) out.add_targets(action->worker);
  if (action != nullptr && !action->instance.empty()) out.add_targets(action->instance);
  out.set_reason(action == nullptr || action->reason.empty() ? entry.decision.reason
                                                             : action->reason + "; " + entry.decision.reason);
  out.set_queued(entry.seen.queued);
  out.set_leased(entry.seen.leased);
  out.set_backlog_seconds(entry.seen.queued_seconds + entry.seen.leased_seconds);
  out.set_arrival_seconds(entry.seen.arrival_seconds);
  out.set_running(entry.counts.running);
  out.set_booting(entry.counts.booting);
  out.set_draining(entry.counts.draining);
  out.set_rule(std::string(scaler::rule_name(entry.rule)));
  out.set_oldest_wait_ms(in_ms(entry.seen.oldest_wait));
  out.set_idle(entry.seen.idle);
  out.set_slots_per_worker(entry.seen.slots_per_worker);
  out.set_boot_ms(in_ms(entry.seen.boot));
  out.set_spent_month(entry.seen.spent_month);
  out.set_min_workers(entry.bounds.workers_min);
  out.set_max_workers(entry.bounds.workers_max);
  out.set_target_wait_ms(in_ms(entry.bounds.target_wait));
}

// What was done to a worker, an instance or the fleet by one decision.
void to_decision(const scaler::LedgerEntry& entry, const scaler::Action& action, api::v1::Decision& out) {
  out.set_at_ms(to_unix_ms(entry.at));
  out.set_kind(std::string(action_name(action.kind)));
  const bool is_launch = action.kind == scaler::ActionKind::kLaunch;
  out.set_subject(is_launch ? "fleet" : (action.worker.empty() ? action.instance : action.worker));
  out.set_worker(action.worker);
  out.set_rule(std::string(scaler::rule_name(entry.rule)));
  const auto input = [&](const char* name, std::uint64_t value) {
    auto& added = *out.add_inputs();
    added.set_name(name);
    added.set_value(std::to_string(value));
  };
  if (is_launch) input("count", action.count);
  input("wanted", entry.decision.wanted);
  input("running", entry.counts.running);
  input("booting", entry.counts.booting);
  input("draining", entry.counts.draining);
  input("queued", entry.seen.queued);
  input("leased", entry.seen.leased);
  out.set_outcome(action.reason + "; " + entry.decision.reason);
}

}  // namespace

void Service::cluster(Reply<api::v1::ClusterReply> reply) {
  api::v1::ClusterReply message;
  message.set_version(SKEP_VERSION);
  message.set_protocol(api::kProtocol);
  message.set_address(options_.address);
  message.set_started_at_ms(to_unix_ms(started_at_));
  message.set_now_ms(to_unix_ms(executor_.now()));
  message.set_draining(is_draining_);
  for (const auto& shard : host_.shards()) {
    add_counts(shard->counts(), *message.mutable_tasks());
    auto& item = *message.add_shards();
    item.set_shard(shard->id());
    item.set_epoch(shard->epoch());
    item.set_state(std::string(host_state_name(host_.state())));
    item.set_tasks(shard->size());
    item.set_owner(options_.address);
    message.set_backlog_seconds(message.backlog_seconds() + backlog_seconds(*shard));
    const Instant oldest = shard->oldest_queued_at();
    if (oldest == kNoInstant) continue;
    const auto age =
        duration_cast<milliseconds>(std::max(Duration::zero(), executor_.now() - oldest)).count();
    message.set_oldest_queued_ms(std::max(message.oldest_queued_ms(), static_cast<std::uint64_t>(age)));
  }
  fill_totals(host_.totals(), *message.mutable_totals());
  waits_.fill(executor_.now(), *message.mutable_waits());
  const auto stats = store_.stats();
  auto& store = *message.mutable_store();
  store.set_engine(stats.engine);
  store.set_place(stats.place);
  store.set_disk_bytes(stats.disk_bytes);
  store.set_free_bytes(stats.free_bytes);
  store.set_durability(stats.durability);
  store.set_available(host_.state() == HostState::kServing);
  store.set_problem(host_.problem());
  for (const auto& [id, worker] : registry_.all()) {
    if (worker.is_lost) continue;
    if (worker.is_draining) {
      message.set_workers_draining(message.workers_draining() + 1);
    } else {
      message.set_workers_active(message.workers_active() + 1);
      message.set_slots(message.slots() + worker.slots);
    }
  }
  fill_state(scaler_, provisioner_, options_.address, executor_.now(), *message.mutable_scaling());
  fill_refusals(*message.mutable_refusals());
  for (const auto& manager : managers()) message.add_managers(manager);
  if (auto warning = warning_ ? warning_() : ""; !warning.empty())
    message.add_warnings(options_.address + ": " + warning);
  reply(std::move(message));
}

// Its own, or that of all.
void Service::fill_objective(const std::string& name, api::v1::Queue& out) const {
  const auto own = std::find_if(options_.objectives.begin(), options_.objectives.end(),
                                [&](const auto& objective) { return objective.queue == name; });
  const bool has_own = own != options_.objectives.end();
  out.set_weight(has_own ? own->weight : 1);
  if (has_own) {
    out.set_target_wait_ms(in_ms(own->target_wait));
  } else if (scaler_ != nullptr) {
    out.set_target_wait_ms(in_ms(scaler_->bounds().target_wait));
  }
}

void Service::list_queues(Reply<api::v1::QueuesReply> reply) {
  std::map<std::string, api::v1::Queue> by_name;
  const Instant now = executor_.now();
  for (const auto& shard : host_.shards()) {
    for (const auto& status : shard->queues()) {
      auto& queue = by_name[status.settings.name];
      api::from_queue(status.settings, queue);
      add_counts(status.counts, *queue.mutable_tasks());
      if (status.oldest_queued_at == kNoInstant) continue;
      const auto age =
          duration_cast<milliseconds>(std::max(Duration::zero(), now - status.oldest_queued_at)).count();
      queue.set_oldest_queued_ms(std::max(queue.oldest_queued_ms(), static_cast<std::uint64_t>(age)));
    }
  }
  api::v1::QueuesReply message;
  for (auto& [name, queue] : by_name) {
    queue_waits_.fill(now, name, *queue.mutable_waits());
    fill_objective(name, queue);
    *message.add_queues() = std::move(queue);
  }
  reply(std::move(message));
}

void Service::patch_queue(std::string name, api::v1::PatchQueueRequest request, Reply<api::v1::Queue> reply) {
  host_.submit<api::v1::Queue>(
      [name = std::move(name), request = std::move(request)](Turn& turn) -> Result<api::v1::Queue> {
        api::v1::Queue message;
        for (const auto& shard : turn.shards()) {
          const auto* known = shard->find_queue(name);
          QueueRecord record = known != nullptr ? *known : QueueRecord{};
          record.name = name;
          SKEP_TRY(auto wanted, api::patched(std::move(record), request));
          SKEP_TRY(const auto stored, turn.apply(*shard, queue::SetQueue{std::move(wanted)}));
          api::from_queue(stored, message);
          for (const auto& status : shard->queues()) {
            if (status.settings.name == name) add_counts(status.counts, *message.mutable_tasks());
          }
        }
        return message;
      },
      std::move(reply));
}

void Service::scaling(std::uint32_t limit, Instant until, Reply<api::v1::ScalingReply> reply) {
  api::v1::ScalingReply message;
  fill_state(scaler_, provisioner_, options_.address, executor_.now(), *message.mutable_state());
  if (scaler_ == nullptr) {
    message.set_explanation("Nothing scales: this manager was started without a provisioner.");
    reply(std::move(message));
    return;
  }
  message.set_explanation(scaler_->explain());
  if (keeper_) {
    for (const auto& part : scaler_->state().parts) to_message(part, executor_.now(), *message.add_parts());
  }
  const auto& ledger = scaler_->ledger();
  for (auto entry = ledger.rbegin(); entry != ledger.rend(); ++entry) {
    if (static_cast<std::uint32_t>(message.decisions_size()) >= limit) break;
    if (entry->at > until) continue;
    if (entry->actions.empty()) fill_decision(*entry, nullptr, *message.add_decisions());
    for (const auto& action : entry->actions) fill_decision(*entry, &action, *message.add_decisions());
  }
  reply(std::move(message));
}

void Service::decisions(const DecisionQuery& query, Reply<api::v1::DecisionsReply> reply) {
  api::v1::DecisionsReply message;
  decisions_.fill(query, message);
  std::size_t found = 0;
  const bool has_scaler = scaler_ != nullptr && query.task.empty();
  const std::deque<scaler::LedgerEntry> none;
  const auto& ledger = has_scaler ? scaler_->ledger() : none;
  for (auto entry = ledger.rbegin(); entry != ledger.rend() && found < query.limit; ++entry) {
    if (entry->at > query.until) continue;
    for (const auto& action : entry->actions) {
      if (!query.worker.empty() && action.worker != query.worker) continue;
      to_decision(*entry, action, *message.add_decisions());
      ++found;
    }
  }
  merge_decisions(query.limit, message);
  for (auto& decision : *message.mutable_decisions()) decision.set_manager(options_.address);
  reply(std::move(message));
}

void Service::cost(Reply<api::v1::CostReply> reply) {
  api::v1::CostReply message;
  message.set_since_ms(to_unix_ms(started_at_));
  message.mutable_tasks();
  if (scaler_ != nullptr) {
    const scaler::CostLedger& costs = scaler_->costs();
    message.set_price_hour(costs.price_hour());
    message.set_cost(scaler::in_money(costs.total()));
    fill_line("", costs.tasks(), *message.mutable_tasks());
    message.set_idle(scaler::in_money(costs.idle()));
    fill_lines(costs.queues(), *message.mutable_queues());
    fill_lines(costs.tags(), *message.mutable_tags());
    message.set_month(scaler_->month());
    message.set_spent_month(scaler_->spent_month());
  }
  reply(std::move(message));
}

void Service::order_fleet(const api::v1::OrderFleetRequest& request, Reply<api::v1::ScalingState> reply) {
  if (request.has_workers() == request.pause()) {
    return reply(fail(Code::kInvalid, "an order is either 'workers', how many shall run, or 'pause'"));
  }
  const auto most = static_cast<std::uint64_t>(kFleetOrderMax / milliseconds(1));
  if (request.for_ms() == 0 || request.for_ms() > most) {
    return reply(fail(Code::kInvalid, "'for_ms' is " + std::to_string(request.for_ms()) +
                                          "; an order ends after 1 ms to 30 days (" + std::to_string(most) +
                                          " ms)"));
  }
  if (request.workers() > kFleetOrderWorkersMax) {
    return reply(fail(Code::kInvalid, "'workers' is " + std::to_string(request.workers()) +
                                          "; it is at most " + std::to_string(kFleetOrderWorkersMax)));
  }
  FleetOrder order;
  order.kind = request.pause() ? FleetOrderKind::kPause : FleetOrderKind::kSize;
  order.workers = request.workers();
  order.given_at = from_unix_ms(to_unix_ms(executor_.now()));
  order.until = order.given_at + milliseconds(static_cast<std::int64_t>(request.for_ms()));
  give_order(order, request.pause() ? "paused" : "ordered", std::move(reply));
}

void Service::end_fleet_order(Reply<api::v1::ScalingState> reply) {
  give_order({}, "by policy", std::move(reply));
}

void Service::give_order(const FleetOrder& order, const std::string& what,
                         Reply<api::v1::ScalingState> reply) {
  if (scaler_ == nullptr || !keep_order_) {
    return reply(fail(Code::kConflict, "nothing scales: this manager was started without a provisioner"));
  }
  keep_order_(order, [this, order, what, reply = std::move(reply)](Result<void> kept) mutable {
    if (!kept) return reply(kept.error());
    events_.add(executor_.now(), "scaling", "fleet", what,
                order.kind == FleetOrderKind::kNone ? "" : "until " + format_instant(order.until));
    api::v1::ScalingState state;
    fill_state(scaler_, provisioner_, options_.address, executor_.now(), state);
    reply(std::move(state));
  });
}

void Service::subscribe(std::uint64_t after, EventLog::Kinds kinds, EventLog::Subscriber subscriber) {
  events_.subscribe(after, std::move(kinds), std::move(subscriber));
}

Result<void> Service::readiness() const {
  if (is_draining_) return fail(Code::kUnavailable, "the manager is draining");
  return store_serves();
}

Result<void> Service::store_serves() const {
  if (host_.state() == HostState::kServing) return ok();
  return fail(Code::kUnavailable, "the store is " + std::string(host_state_name(host_.state())) +
                                      (host_.problem().empty() ? "" : ": " + host_.problem()));
}

void Service::fill_refusals(google::protobuf::RepeatedPtrField<api::v1::Refusal>& out) {
  const auto add = [&](const char* reason, std::string detail, const std::string& queue = {}) {
    auto& refusal = *out.Add();
    refusal.set_manager(options_.address);
    refusal.set_reason(reason);
    refusal.set_queue(queue);
    refusal.set_detail(std::move(detail));
  };
  if (const auto serves = store_serves(); !serves) {
    add("store", serves.error().message);
  } else if (const auto admitted = admit(0); !admitted) {
    add("disk", admitted.error().message);
  }
  if (is_draining_) add("draining", "the manager is draining");
  std::map<std::string, std::uint64_t> full;
  for (const auto& shard : host_.shards()) {
    for (const auto& [name, depth] : shard->full_queues()) full[name] += depth;
  }
  for (const auto& [name, depth] : full) {
    add("queue_full",
        "queue '" + name + "' is full: " + std::to_string(depth) +
            (depth == 1 ? " task waits" : " tasks wait") + " in it, as many as its max_depth lets in",
        name);
  }
}

}  // namespace skep::manager
