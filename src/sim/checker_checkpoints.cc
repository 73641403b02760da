// SPDX-License-Identifier: Apache-2.0
// What an attempt leaves to the next one is what the auditor computes, came with the lease that the record
// names, and is never lost: no lease begins before a checkpoint that was acknowledged. One of a release
// outlives everything, one of a heartbeat all but a loss of power.
#include "sim/checkers.h"
#include "sim/world.h"

namespace skep::sim {
namespace {

class CheckpointChecker final : public Checker {
 public:
  using Checker::Checker;
  std::string name() const override { return "checkpoints"; }

  void on_presented(std::uint64_t, const api::v1::HeartbeatRequest& request) override {
    for (const auto& held : request.leases()) note_shown(held);
  }
  void on_released(std::uint64_t, const api::v1::ReleaseRequest& request) override {
    for (const auto& item : request.leases()) note_shown(item);
  }

  void on_written(const Written& written) override {
    if (written.after == nullptr) return;
    const TaskRecord& after = *written.after;
    const auto* before =
        written.before != nullptr && written.before->checkpoint ? &*written.before->checkpoint : nullptr;
    const bool may_go = after.state == TaskState::kDone || after.state == TaskState::kCancelled;
    if (before != nullptr && !may_go &&
        (!after.checkpoint || after.checkpoint->iterations < before->iterations)) {
      return broken("the checkpoint of task " + after.id.to_string() + " after " +
                    std::to_string(before->iterations) + " iterations went while it is " +
                    std::string(state_name(after.state)));
    }
    if (after.checkpoint && (before == nullptr || *before != *after.checkpoint)) stored(after);
  }

  void on_kept(const LeaseToken& token, std::uint64_t iterations, bool is_synced) override {
    Kept& kept = kept_[token.task];
    if (token < kept.token) return;
    kept.token = token;
    kept.soft = std::max(kept.soft, iterations);
    if (is_synced) kept.synced = std::max(kept.synced, iterations);
    const auto found = world_.disk.records().find(token.task);
    if (found == world_.disk.records().end()) return;
    const TaskRecord& record = found->second;
    if (record.state == TaskState::kDone || record.state == TaskState::kCancelled) return;
    if (record.checkpoint && record.checkpoint->iterations >= iterations) return;
    broken("a checkpoint of lease " + token.to_string() + " after " + std::to_string(iterations) +
           " iterations was acknowledged and is not on the disk");
  }
  void on_rewound() override {
    for (auto& [id, kept] : kept_) kept.soft = kept.synced;
  }

  void on_granted(std::uint64_t, const api::v1::AcquireReply& reply) override {
    for (const auto& lease : reply.leases()) {
      const LeaseToken token = LeaseToken::parse(lease.lease()).value();
      if (!lease.checkpoint().empty()) {
        world_.counters.add("attempts given a checkpoint");
        hold(token.task, lease.iterations_done(), lease.checkpoint(), "lease " + lease.lease() + " brings");
      }
      const auto kept = kept_.find(token.task);
      if (kept == kept_.end() || token < kept->second.token) continue;
      if (lease.iterations_done() < kept->second.soft) {
        broken("lease " + lease.lease() + " begins after " + std::to_string(lease.iterations_done()) +
               " iterations and " + std::to_string(kept->second.soft) + " were acknowledged");
      }
    }
  }

 private:
  struct Kept {
    LeaseToken token;          // whose it is
    std::uint64_t soft = 0;    // iterations; a loss of power may take them back to
    std::uint64_t synced = 0;  // these
  };

  template <class Lease>
  void note_shown(const Lease& lease) {
    if (!lease.checkpoint().empty())
      shown_[LeaseToken::parse(lease.lease()).value()].insert(lease.iterations_done());
  }
  void stored(const TaskRecord& record) {
    world_.counters.add("checkpoints stored");
    const Checkpoint& checkpoint = *record.checkpoint;
    hold(record.id, checkpoint.iterations, checkpoint.digest, "the disk has");
    if (shown_[record.lease_token()].contains(checkpoint.iterations)) return;
    broken("the checkpoint of task " + record.id.to_string() + " after " +
           std::to_string(checkpoint.iterations) + " iterations did not come with its lease");
  }
  void hold(const TaskId& id, std::uint64_t iterations, const std::string& digest, const std::string& where) {
    const Intent* intent = world_.auditor.of(id).intent;
    if (intent == nullptr) return;  // the checker of tasks says so
    if (!intent->spec.keep_checkpoints)
      return broken(where + " a checkpoint of task " + id.to_string() + ", whose client wants none");
    if (digest == digest_of(intent->body, iterations)) return;
    broken(where + " a checkpoint of task " + id.to_string() + " after " + std::to_string(iterations) +
           " iterations that is not its digest");
  }

  std::map<LeaseToken, std::set<std::uint64_t>> shown_;  // iterations of what arrived
  std::map<TaskId, Kept> kept_;
};

}  // namespace

std::unique_ptr<Checker> make_checkpoint_checker(World& world) {
  return std::make_unique<CheckpointChecker>(world);
}

}  // namespace skep::sim
