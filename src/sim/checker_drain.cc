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
    for (const auto& id : names_[process]) drained_.insert(id);
    for (const auto& [id, record] : world_.disk.records()) look_at(record);
  }
  void on_written(const Written& written) override {
    if (written.after != nullptr && !drained_.empty()) look_at(*written.after);
  }

 private:
  void look_at(const TaskRecord& record) {
    for (const auto& error : record.errors) {
      const bool is_users = error.end == AttemptEnd::kFailed || error.end == AttemptEnd::kRunTimeout;
      if (is_users || !drained_.contains(error.worker)) continue;
      broken("worker " + error.worker + " was drained in time and task " + record.id.to_string() +
             " counts it as lost: " + std::string(attempt_end_name(error.end)) + ", " + error.message);
    }
  }

  std::map<std::uint64_t, std::vector<std::string>> names_;
  std::set<std::string> drained_;
};

}  // namespace

std::unique_ptr<Checker> make_drain_checker(World& world) {
  return std::make_unique<DrainChecker>(world);
}

}  // namespace skep::sim
