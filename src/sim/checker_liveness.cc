// SPDX-License-Identifier: Apache-2.0
// After all faults stop, the system becomes idle by itself: every task is finished and every result
// delivered; and a restart from the disk changes none of it.
#include "sim/checkers.h"
#include "sim/world.h"

namespace skep::sim {
namespace {

class LivenessChecker final : public Checker {
 public:
  using Checker::Checker;
  std::string name() const override { return "liveness"; }

  void on_quiet() override {
    for (const auto& [id, record] : world_.disk.records()) {
      if (!is_terminal(record.state)) {
        return broken("task " + id.to_string() + " is still " + std::string(state_name(record.state)) +
                      " long after the faults stopped");
      }
      if (record.state == TaskState::kDone && record.delivered_at == kNoInstant)
        return broken("the result of task " + id.to_string() +
                      " was not delivered long after the faults stopped");
      states_[id] = record.state;
    }
  }
  void at_end() override {
    for (const auto& [id, state] : states_) {
      const auto found = world_.disk.records().find(id);
      if (found == world_.disk.records().end() || found->second.state == state) continue;
      broken("task " + id.to_string() + " was " + std::string(state_name(state)) +
             " before the last restart and is " + std::string(state_name(found->second.state)));
    }
  }

 private:
  std::map<TaskId, TaskState> states_;
};

}  // namespace

std::unique_ptr<Checker> make_liveness_checker(World& world) {
  return std::make_unique<LivenessChecker>(world);
}

}  // namespace skep::sim
