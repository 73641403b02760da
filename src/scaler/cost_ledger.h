// SPDX-License-Identifier: Apache-2.0
// cost_ledger.h - what machines cost, and which task, tag and queue it was for.
//
// A machine costs its price from its start to its end. While its slots are at work that money is the tasks';
// the rest (boot, idle slots, what a lost worker had begun) is overhead. An attempt that ends takes what its
// slot cost for as long as it ran, and of the overhead of its machine since the attempt before at most as
// much again. What nothing has taken is the idle line. So the sum over tasks and the idle line are what the
// machines cost, to the last part.
//
// Machines that the provisioner does not list cost nothing here, and tasks on them neither.
//
// Threads:   value; one executor at a time.
// Units:     money in billionths (nanos) of the unit of the price; whole numbers, so that sums are exact.
// Cost:      O(log n) a call. Names of queues and tags beyond names_max are counted as one, the tasks that
//            ended longest ago are forgotten beyond tasks_max.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>

#include "base/time.h"
#include "task/task.h"

namespace skep::scaler {

using Nanos = std::int64_t;

struct CostSum {
  std::uint64_t attempts = 0;
  double seconds = 0;  // of one slot
  Nanos used = 0;      // of the slots while it ran
  Nanos overhead = 0;  // its share of boot and idle
  Nanos all() const { return used + overhead; }
};

struct CostLedgerOptions {
  double price_hour = 0;  // of a machine
  std::size_t names_max = 500;
  std::size_t tasks_max = 10'000;
};

class CostLedger {
 public:
  explicit CostLedger(CostLedgerOptions options) : options_(options) {}

  // A machine is there, and counts from `from`, which may be still to come; `busy` of its slots are at work
  // from now on.
  void machine_at(Instant now, const std::string& machine, Instant from, std::uint32_t slots,
                  std::uint32_t busy);
  // It is no more. Unknown: nothing happens.
  void machine_gone(Instant now, const std::string& machine);
  // So much was not this ledger's to count: taken from the idle line, as far as that goes.
  void give_back(Nanos amount) { total_ -= std::clamp<Nanos>(amount, 0, idle()); }
  // An attempt of the task has ended there, after `seconds` of a slot.
  void attempt_ended(Instant now, const std::string& machine, const TaskId& id, const TaskSpec& spec,
                     double seconds);

  bool has_machine(const std::string& machine) const { return machines_.contains(machine); }
  // Calls `visit` with the name of each.
  template <class Visit>
  void visit_machines(Visit visit) const {
    for (const auto& [name, machine] : machines_) visit(name);
  }

  // total() == tasks().all() + idle(), always.
  Nanos total() const { return total_; }
  const CostSum& tasks() const { return tasks_; }
  Nanos idle() const { return total_ - tasks_.all(); }
  double price_hour() const { return options_.price_hour; }
  // By name; those beyond names_max together under "(others)". A task counts once for each of its tags.
  const std::map<std::string, CostSum>& queues() const { return queues_; }
  const std::map<std::string, CostSum>& tags() const { return tags_; }
  // All its attempts here, if it is among the last.
  std::optional<CostSum> of_task(const TaskId& id) const;

 private:
  struct Machine {
    Instant from{};
    std::uint32_t slots = 1;
    std::uint32_t busy = 0;
    Nanos accrued = 0;
    Nanos used = 0;  // accrued by slots at work and not taken yet
    Nanos idle = 0;  // by the others
  };
  void accrue(Instant now, Machine& machine);
  Nanos price_of(double seconds) const;
  void add(std::map<std::string, CostSum>& sums, const std::string& name, const CostSum& cost) const;
  void remember(const TaskId& id, const CostSum& cost);

  CostLedgerOptions options_;
  std::map<std::string, Machine> machines_;
  Nanos total_ = 0;
  CostSum tasks_;
  std::map<std::string, CostSum> queues_;
  std::map<std::string, CostSum> tags_;
  std::map<TaskId, CostSum> by_task_;
  std::deque<TaskId> remembered_;  // oldest first
};

// "0.0123": four digits that count.
std::string describe_money(double amount);
inline double in_money(Nanos nanos) {
  return static_cast<double>(nanos) * 1e-9;
}

}  // namespace skep::scaler
