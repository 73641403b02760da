// SPDX-License-Identifier: Apache-2.0
// What a dead worker held goes back in bounded time: within the worker timeout, and within a lease where the
// manager has been restarted since and knows the worker only by its leases.
#include "sim/checkers.h"
#include "sim/world.h"

namespace skep::sim {
namespace {

// Time in which a commit kept the manager from hearing anybody does not count, so it comes on top.
constexpr Duration kSlack = seconds(4);  // messages on their way, the sweep, a commit

class DetectionChecker final : public Checker {
 public:
  using Checker::Checker;
  std::string name() const override { return "detection"; }

  void on_worker_named(std::uint64_t process, const std::string& id) override {
    names_[process][id] = world_.now();
  }
  void on_worker_left(std::uint64_t process) override {
    for (const auto& [id, named_at] : names_[process])
      gone_.try_emplace(id, Gone{named_at, world_.now(), world_.slow_commits});
  }
  void on_manager_trouble() override { trouble_at_ = world_.now(); }

  void on_tick() override {
    if (!world_.is_manager_serving()) {
      trouble_at_ = world_.now();
      return;
    }
    for (const auto& [id, record] : world_.disk.records()) {
      if (record.state != TaskState::kLeased) continue;
      const auto found = gone_.find(record.worker);
      if (found == gone_.end()) continue;
      const Gone& gone = found->second;
      const Duration patience =
          (trouble_at_ >= gone.named_at ? world_.config.lease : world_.config.worker_timeout) + kSlack +
          (world_.slow_commits - gone.slow_commits) + world_.settle_time();
      const Instant since = std::max(gone.at, trouble_at_);
      if (world_.now() - since <= patience) continue;
      broken("task " + id.to_string() + " is still leased to worker " + record.worker +
             ", which is gone for " + describe_duration(world_.now() - gone.at));
    }
  }

 private:
  struct Gone {
    Instant named_at{};
    Instant at{};
    Duration slow_commits{};  // at that time
  };

  std::map<std::uint64_t, std::map<std::string, Instant>> names_;
  std::map<std::string, Gone> gone_;
  Instant trouble_at_{};
};

}  // namespace

std::unique_ptr<Checker> make_detection_checker(World& world) {
  return std::make_unique<DetectionChecker>(world);
}

}  // namespace skep::sim
