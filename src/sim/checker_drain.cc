// SPDX-License-Identifier: Apache-2.0
// A drained worker loses nothing: one that had its time and no trouble spends no task's budget.
#include "sim/checkers.h"
#include "sim/world.h"

namespace skep::sim {
namespace {

class DrainChecker final : public Checker {
 public:
  using Checker::Checker;
  std::string name() const override { return "drain"; }

  void on_worker_named(std::uint64_t process, const std::string& id) override {
    names_[process].push_back(id);
  }
  void on_worker_drained(std::uint64_t process) override {
    for (const auto& id : names_[process]) {
      drained_.insert(id);
      look_at(id);
    }
  }
  void on_written(const Written& written) override {
    if (written.before == nullptr || written.after == nullptr) return;
    const TaskRecord& after = *written.after;
    if (after.workers_lost <= written.before->workers_lost) return;
    const auto& error = after.errors.back();
    charged_[error.worker] = "task " + after.id.to_string() +
                             " counts it as lost: " + std::string(attempt_end_name(error.end)) + ", " +
                             error.message;
    look_at(error.worker);
  }

 private:
  void look_at(const std::string& worker) {
    const auto found = charged_.find(worker);
    if (found == charged_.end() || !drained_.contains(worker)) return;
    broken("worker " + worker + " was drained in time and " + found->second);
  }

  std::map<std::uint64_t, std::vector<std::string>> names_;
  std::set<std::string> drained_;
  std::map<std::string, std::string> charged_;  // by the worker for whose loss a task's budget was spent: how
};

}  // namespace

std::unique_ptr<Checker> make_drain_checker(World& world) {
  return std::make_unique<DrainChecker>(world);
}

}  // namespace skep::sim
