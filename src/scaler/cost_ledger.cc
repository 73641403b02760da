// SPDX-License-Identifier: Apache-2.0
#include "scaler/cost_ledger.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace skep::scaler {
namespace {

constexpr double kNanosMax = 9e18;

void add_to(CostSum& sum, const CostSum& cost) {
  sum.attempts += cost.attempts;
  sum.seconds += cost.seconds;
  sum.used += cost.used;
  sum.overhead += cost.overhead;
}

}  // namespace

Nanos CostLedger::price_of(double seconds) const {
  const double nanos = std::floor(options_.price_hour * 1e9 / 3'600 * seconds);
  return static_cast<Nanos>(std::clamp(nanos, 0.0, kNanosMax));
}

void CostLedger::accrue(Instant now, Machine& machine) {
  const Nanos by_now = price_of(std::chrono::duration<double>(now - machine.from).count());
  const Nanos more = std::max<Nanos>(0, by_now - machine.accrued);
  const Nanos used =
      static_cast<Nanos>(static_cast<double>(more) * std::min(machine.busy, machine.slots) / machine.slots);
  machine.accrued += more;
  machine.used += std::min(used, more);
  machine.idle += more - std::min(used, more);
  total_ += more;
}

void CostLedger::machine_at(Instant now, const std::string& name, Instant from, std::uint32_t slots,
                            std::uint32_t busy) {
  const auto [at, is_new] = machines_.try_emplace(name);
  Machine& machine = at->second;
  if (is_new) machine.from = from;
  accrue(now, machine);
  machine.slots = std::max(1u, slots);
  machine.busy = busy;
  if (busy > 0) return;
  // What a slot did for nobody: a worker that handed back, a result that was not taken.
  machine.idle += machine.used;
  machine.used = 0;
}

void CostLedger::machine_gone(Instant now, const std::string& name) {
  const auto found = machines_.find(name);
  if (found == machines_.end()) return;
  accrue(now, found->second);
  machines_.erase(found);
}

void CostLedger::attempt_ended(Instant now, const std::string& name, const TaskId& id, const TaskSpec& spec,
                               double seconds) {
  const auto found = machines_.find(name);
  if (found == machines_.end() || !std::isfinite(seconds)) return;
  Machine& machine = found->second;
  accrue(now, machine);
  const Nanos due = price_of(std::max(0.0, seconds) / machine.slots);
  CostSum cost{1, std::max(0.0, seconds), std::min(due, machine.used), 0};
  machine.used -= cost.used;
  const Nanos rest = std::min(due - cost.used, machine.idle);
  cost.used += rest;
  machine.idle -= rest;
  cost.overhead = std::min(cost.used, machine.idle);
  machine.idle -= cost.overhead;
  add_to(tasks_, cost);
  add(queues_, spec.queue, cost);
  for (const std::string& tag : spec.tags) add(tags_, tag, cost);
  remember(id, cost);
}

void CostLedger::add(std::map<std::string, CostSum>& sums, const std::string& name,
                     const CostSum& cost) const {
  const bool fits = sums.size() < options_.names_max || sums.contains(name);
  add_to(sums[fits ? name : "(others)"], cost);
}

void CostLedger::remember(const TaskId& id, const CostSum& cost) {
  const auto [at, is_new] = by_task_.try_emplace(id);
  add_to(at->second, cost);
  if (!is_new) return;
  remembered_.push_back(id);
  while (remembered_.size() > options_.tasks_max) {
    by_task_.erase(remembered_.front());
    remembered_.pop_front();
  }
}

std::optional<CostSum> CostLedger::of_task(const TaskId& id) const {
  const auto found = by_task_.find(id);
  if (found == by_task_.end()) return std::nullopt;
  return found->second;
}

std::string describe_money(double amount) {
  char text[32];
  std::snprintf(text, sizeof text, amount >= 1 || amount <= 0 ? "%.2f" : "%.4g", amount);
  return text;
}

}  // namespace skep::scaler
