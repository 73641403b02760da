// SPDX-License-Identifier: Apache-2.0
// What a scaler says of itself: orders it has, what its machines cost, what keeps it from acting, and why.
#include "scaler/internal_scaler.h"

namespace skep::scaler {
namespace {

std::string verb(std::uint64_t count, const std::string& plural) {
  return std::to_string(count) + " " + plural + (count == 1 ? "s" : "");
}

}  // namespace

void Scaler::Impl::obey(const FleetOrder& given) {
  if (given == last_given) return;  // the store is read again and again
  order = last_given = given;
  const std::string until = format_instant(order.until);
  if (!order.holds_at(executor.now())) {
    log.info("the fleet is sized by the policy: no order holds");
  } else if (order.kind == FleetOrderKind::kPause) {
    log.info("scaling is paused by an order", {{"until", until}});
  } else {
    log.info("the size of the fleet is ordered", {{"workers", order.workers}, {"until", until}});
  }
  round_by(executor.now());
}

// Machines that outlive a manager are counted by one manager after the other, each from the instant until
// which the store has them counted: so what the one before it counted and could not store, and the time in
// which nobody led, are the next one's. Where the store has counted nothing yet, from now on.
void Scaler::Impl::take_account(Instant now, bool may_act) {
  if (is_counting == may_act) return;
  if (!may_act) {
    lay_down_account(now);
  } else if (!provisioner.is_cluster_wide()) {
    is_counting = true;
  } else if (spending.can_begin()) {
    is_counting = true;
    spending.begin();
    counts_from = spending.counted_until() == kNoInstant ? now : spending.counted_until();
  }
}

void Scaler::Impl::lay_down_account(Instant now) {
  is_counting = false;
  std::vector<std::string> names;
  costs.visit_machines([&](const std::string& name) { names.push_back(name); });
  for (const std::string& name : names) costs.machine_gone(now, name);
  if (!names.empty()) spending.count(now, costs.total());
}

void Scaler::Impl::count_costs(Instant now, const std::vector<WorkerSeen>& workers) {
  if (costs.price_hour() <= 0 || !has_list || !is_counting) return;
  std::map<std::string_view, const WorkerSeen*> by_instance;
  for (const WorkerSeen& worker : workers) {
    if (!worker.instance.empty() && !worker.is_lost) by_instance[worker.instance] = &worker;
  }
  std::set<std::string_view> there;
  for (const Instance& instance : listed) {
    if (instance.state == InstanceState::kGone) continue;
    there.insert(instance.token);
    const auto found = by_instance.find(instance.token);
    const WorkerSeen* worker = found == by_instance.end() ? nullptr : found->second;
    const Instant from = std::max(std::min(instance.started_at, now), counts_from);
    costs.machine_at(now, instance.token, from, worker != nullptr ? worker->slots : 1,
                     worker != nullptr ? worker->leases : 0);
  }
  std::vector<std::string> gone;
  costs.visit_machines([&](const std::string& name) {
    if (!there.contains(name)) gone.push_back(name);
  });
  for (const std::string& name : gone) costs.machine_gone(now, name);
  spending.count(now, costs.total());
}

void Scaler::Impl::keep_spending(Instant now, bool is_last) {
  spending.look(now);
  if (!keep) return;
  auto part = spending.take(now, is_last);
  if (!part) return;
  keep(std::move(*part), guarded([this](const Result<void>& done) {
         const bool is_refused = !done && done.error().code == Code::kFenced;
         if (!is_refused || !provisioner.is_cluster_wide())
           return spending.settle(done.has_value() || is_refused);
         // Another manager counts that time; what it leaves is begun with anew where this one leads.
         lay_down_account(executor.now());
         costs.give_back(spending.unstored(costs.total()));
         spending.refuse(costs.total());
       }));
}

std::string Scaler::Impl::find_problem() const {
  if (!list_problem.empty()) return "the provisioner does not list its instances: " + list_problem;
  if (!terminate_problem.empty()) return "instances can not be terminated: " + terminate_problem;
  // Where it leads, what it can not start itself others may have.
  if (options.is_dry_run || decision.wanted <= fleet_state.counts.running) return {};
  const std::string failing = reconciler.failing_because();
  if (!failing.empty()) return failing + "; it is tried again with growing pauses";
  return launch_problem;
}

void Scaler::Impl::tell_problem(Instant now) {
  if (reconciler.counts().draining == 0) terminate_problem.clear();  // what could not be terminated is gone
  const Instant began_at = trouble.since();
  switch (trouble.update(now, find_problem())) {
    case Trouble::News::kNone:
      break;
    case Trouble::News::kBegan:
      log.error("the scaler can not do what it wants",
                {{"provisioner", provisioner.name()}, {"problem", trouble.problem()}});
      break;
    case Trouble::News::kStill:
      log.error("the scaler still can not do what it wants", {{"provisioner", provisioner.name()},
                                                              {"problem", trouble.problem()},
                                                              {"for", describe_duration(now - began_at)}});
      break;
    case Trouble::News::kEnded:
      log.info("the scaler can act again", {{"after", describe_duration(now - began_at)}});
      break;
  }
}

std::string Scaler::Impl::explain() const {
  const FleetCounts& counts = fleet_state.counts;
  std::string text = std::to_string(decision.wanted) +
                     (decision.wanted == 1 ? " worker is wanted and " : " workers are wanted and ") +
                     verb(counts.running, "run");
  if (counts.booting > 0) text += ", " + verb(counts.booting, "boot");
  if (counts.draining > 0) text += ", " + verb(counts.draining, "drain");
  text += ", because " + decision.reason;
  const bool can_launch = std::any_of(fleet_state.parts.begin(), fleet_state.parts.end(),
                                      [](const FleetPart& part) { return part.can_launch; });
  if (!can_launch && !provisioner.can_launch()) text += "; workers are started by something else";
  if (!reconciler.held_because().empty()) text += "; " + reconciler.held_because();
  for (std::size_t i = 1; i < fleet_state.parts.size(); ++i) {
    const FleetPart& part = fleet_state.parts[i];
    if (part.is_silent) {
      text += "; " + part.address + " was silent for " + describe_duration(part.silence) +
              " and counts as it last was";
    } else if (!part.held_because.empty()) {
      text += "; at " + part.address + ": " + part.held_because;
    }
  }
  if (!list_problem.empty() || !terminate_problem.empty()) text += "; " + find_problem();
  return text;
}

}  // namespace skep::scaler
