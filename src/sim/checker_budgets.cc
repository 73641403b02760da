// SPDX-License-Identifier: Apache-2.0
// Attempts never pass their limits, attempts of the user's are spent only by failures of the work itself, and
// the numbers of a task's leases rise. A lease lasts as long as it was given for, also over a restart. What
// had not begun by its worker's last heartbeat is not charged for the loss of that worker, unless an attempt
// ended there since.
#include "sim/checkers.h"
#include "sim/world.h"

namespace skep::sim {
namespace {

class BudgetChecker final : public Checker {
 public:
  using Checker::Checker;
  std::string name() const override { return "budgets"; }

  void on_outcome(std::uint64_t process, const api::v1::Outcome& outcome) override {
    waiting_.erase(process);  // it made room for one of them
    presented_.erase(process);
    if (outcome.failed()) ++of(outcome).failures_sent;
  }
  void on_presented(std::uint64_t process, const api::v1::HeartbeatRequest& request) override {
    auto& waiting = presented_[process];
    waiting.clear();
    for (const auto& held : request.leases()) {
      if (held.started()) begun_.insert(held.lease());
      if (!begun_.contains(held.lease())) waiting.insert(held.lease());
    }
  }
  void on_beat(std::uint64_t process) override {
    if (auto presented = presented_.extract(process)) waiting_[process] = std::move(presented.mapped());
  }
  // A heartbeat that counted before may be answered long after.
  void on_manager_trouble() override {
    waiting_.clear();
    presented_.clear();
  }
  void on_settled(std::uint64_t, const api::v1::Outcome& outcome, const std::string& status) override {
    if (!outcome.failed() || status != "ok") return;
    auto& promises = of(outcome);
    ++promises.failures_told;
    if (promises.intent == nullptr) return;
    const std::uint32_t most = promises.intent->spec.attempts_max * (1 + promises.retries_asked);
    if (promises.failures_told > most) {
      broken("lease " + outcome.lease() + " was the " + std::to_string(promises.failures_told) +
             "th failed attempt of a task that may have " + std::to_string(most));
    }
  }

  void on_written(const Written& written) override {
    if (written.after == nullptr) return;
    const TaskRecord& after = *written.after;
    const std::string id = after.id.to_string();
    if (after.attempts_failed > after.spec.attempts_max)
      broken("task " + id + " has failed more often than it may");
    if (after.workers_lost > limits::kWorkersLostMax)
      broken("task " + id + " has lost more workers than it may");
    if (written.before == nullptr) return;
    const TaskRecord& before = *written.before;
    if (after.lease_token() < before.lease_token()) broken("the lease number of task " + id + " went back");
    const bool is_other_lease = before.state == TaskState::kLeased && after.state == TaskState::kLeased &&
                                before.lease_token() != after.lease_token();
    if (is_other_lease) broken("task " + id + " went from one lease to another without an end of the first");
    // Extensions are not stored, so what is stored is the least that was promised, also by an owner before.
    const bool has_run_out = before.state == TaskState::kLeased && after.workers_lost > before.workers_lost &&
                             after.errors.back().end == AttemptEnd::kLeaseExpired;
    if (has_run_out && world_.now() + world_.clock_slack() < before.lease_expires_at)
      broken("the lease of task " + id + " ran out before its time");
    if (after.attempts_failed > before.attempts_failed) spent(after);
    if (before.state == TaskState::kLeased && after.state != TaskState::kLeased &&
        after.errors.size() > before.errors.size() && after.errors.back().end == AttemptEnd::kWorkerLost)
      charged(before);
    if (after.workers_lost > before.workers_lost && after.workers_lost >= limits::kWorkersLostMax)
      world_.counters.add("task dead by its infrastructure budget");
  }

 private:
  Promises& of(const api::v1::Outcome& outcome) {
    return world_.auditor.of(LeaseToken::parse(outcome.lease()).value().task);
  }
  // Its worker was lost.
  void charged(const TaskRecord& record) {
    const std::string lease = record.lease_token().to_string();
    for (const auto& [process, leases] : waiting_) {
      if (leases.contains(lease))
        broken("lease " + lease + " had not begun by its worker's last heartbeat and is counted as lost");
    }
  }
  void spent(const TaskRecord& record) {
    const std::uint32_t count = ++spent_[record.id];
    if (record.spec.run_timeout > Duration::zero()) return;  // the shard may have stopped the clock itself
    if (count <= world_.auditor.of(record.id).failures_sent) return;
    broken("task " + record.id.to_string() + " spent " + std::to_string(count) +
           " attempts and fewer failed");
  }

  std::map<TaskId, std::uint32_t> spent_;
  // Of each worker, by its last heartbeat, as long as nothing ended there since.
  std::map<std::uint64_t, std::set<std::string>> waiting_;
  std::map<std::uint64_t, std::set<std::string>> presented_;  // and not answered yet
  std::set<std::string> begun_;
};

}  // namespace

std::unique_ptr<Checker> make_budget_checker(World& world) {
  return std::make_unique<BudgetChecker>(world);
}

}  // namespace skep::sim
