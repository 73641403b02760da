// SPDX-License-Identifier: Apache-2.0
// A task has at most one live lease in an epoch, no lease is given twice, and a finished task is never leased
// again. Live is what nobody has ended, what was given or shown for less than a lease, and whose worker was
// heard from within the worker timeout.
#include "sim/checkers.h"
#include "sim/world.h"

namespace skep::sim {
namespace {

// How much later than its run timeout the shard gives a run up (docs/task_states.md).
constexpr Duration kGrace = seconds(10);
// A lease is seen given a little after it begins: its body is read from the disk first, and it may come by
// another manager.
constexpr Duration kReading = milliseconds(100);

class LeaseChecker final : public Checker {
 public:
  using Checker::Checker;
  std::string name() const override { return "leases"; }

  void on_granted(std::uint64_t process, const api::v1::AcquireReply& reply) override {
    for (const auto& lease : reply.leases()) {
      const LeaseToken token = LeaseToken::parse(lease.lease()).value();
      const std::string id = token.task.to_string();
      if (!given_.insert(token).second) broken("lease " + lease.lease() + " was given twice");
      const auto& promises = world_.auditor.of(token.task);
      const bool is_late = world_.now() - promises.ended_at <=
                           (world_.is_shared() ? seconds(2) : kReading);  // decided before the end was told
      if (!is_late && promises.is_result_told)
        broken("task " + id + " was leased again after its result was acknowledged");
      if (!is_late && promises.is_cancelled)
        broken("task " + id + " was leased after its cancel was answered");
      Grant& grant = grants_[token.task];
      if (token < grant.token) continue;  // overtaken by one that was given later
      if (grant.token.epoch == token.epoch && is_live(grant)) {
        broken("task " + id + " was leased to worker " + std::to_string(process) + " while worker " +
               std::to_string(grant.process) + " has it");
      }
      grant = {token, process, world_.now(), world_.now(), gone_.contains(process)};
    }
  }

  // Between managers what a worker says may be lost, and the owner does not know it.
  void on_manager_trouble() override {
    if (!world_.is_shared()) return;
    for (auto& [id, grant] : grants_) grant.is_over = true;
  }
  void on_heard(std::uint64_t process) override {
    Instant& heard = heard_[process];
    // It was silent for so long that it was lost, or may have been.
    if (world_.now() - heard >= world_.config.worker_timeout) end_all(process);
    heard = world_.now();
  }
  void on_presented(std::uint64_t process, const api::v1::HeartbeatRequest& request) override {
    for (const auto& held : request.leases()) {
      Grant* grant = find(process, held.lease());
      if (grant == nullptr) continue;
      if (is_live(*grant)) {
        grant->shown_at = world_.now();
      } else {
        grant->is_over = true;
      }
    }
  }
  void on_outcome(std::uint64_t process, const api::v1::Outcome& outcome) override {
    if (!outcome.failed()) {
      // A success ends the task whoever brings it.
      const auto found = grants_.find(LeaseToken::parse(outcome.lease()).value().task);
      if (found != grants_.end()) found->second.is_over = true;
    } else if (Grant* grant = find(process, outcome.lease())) {
      grant->is_over = true;
    }
  }
  void on_settled(std::uint64_t, const api::v1::Outcome& outcome, const std::string& status) override {
    if (status != "ok" || outcome.failed()) return;
    auto& promises = world_.auditor.of(LeaseToken::parse(outcome.lease()).value().task);
    promises.is_result_told = true;
    promises.ended_at = std::min(promises.ended_at, world_.now());
  }
  void on_released(std::uint64_t process, const api::v1::ReleaseRequest& request) override {
    for (const auto& lease : request.leases()) {
      if (Grant* grant = find(process, lease.lease())) grant->is_over = true;
    }
  }
  void on_worker_left(std::uint64_t process) override {
    gone_.insert(process);
    end_all(process);
  }

 private:
  struct Grant {
    LeaseToken token;
    std::uint64_t process = 0;
    Instant given_at{};
    Instant shown_at{};
    bool is_over = true;
  };

  Grant* find(std::uint64_t process, const std::string& lease) {
    const LeaseToken token = LeaseToken::parse(lease).value();
    const auto found = grants_.find(token.task);
    if (found == grants_.end() || found->second.token != token || found->second.process != process)
      return nullptr;
    return &found->second;
  }
  void end_all(std::uint64_t process) {
    for (auto& [id, grant] : grants_) {
      if (grant.process == process) grant.is_over = true;
    }
  }
  bool is_live(const Grant& grant) const {
    if (grant.is_over || world_.now() - grant.shown_at >= world_.config.lease - kReading) return false;
    if (world_.now() - heard_.at(grant.process) >= world_.config.worker_timeout) return false;
    const Intent* intent = world_.auditor.all().at(grant.token.task).intent;
    const Duration timeout = intent == nullptr ? Duration::zero() : intent->spec.run_timeout;
    return timeout == Duration::zero() || world_.now() - grant.given_at < timeout + kGrace;
  }

  std::set<LeaseToken> given_;
  std::map<TaskId, Grant> grants_;
  std::map<std::uint64_t, Instant> heard_;
  std::set<std::uint64_t> gone_;
};

}  // namespace

std::unique_ptr<Checker> make_lease_checker(World& world) {
  return std::make_unique<LeaseChecker>(world);
}

}  // namespace skep::sim
