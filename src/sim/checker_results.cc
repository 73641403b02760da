// SPDX-License-Identifier: Apache-2.0
// Every result, wherever it is seen, is what the auditor computes from what the client sent.
#include "sim/checkers.h"
#include "sim/world.h"

namespace skep::sim {
namespace {

class ResultChecker final : public Checker {
 public:
  using Checker::Checker;
  std::string name() const override { return "results"; }

  void on_written(const Written& written) override {
    if (written.result != nullptr) hold(written.after->id, **written.result, "the disk has");
    const bool lacks_one = written.after != nullptr && written.after->state == TaskState::kDone &&
                           (written.before == nullptr || written.before->state != TaskState::kDone) &&
                           written.result == nullptr;
    if (lacks_one) broken("task " + written.after->id.to_string() + " is done on the disk without a result");
  }
  void on_pulled(const Pulled& pulled) override {
    for (const auto& item : pulled.reply->items()) {
      hold(TaskId::parse(item.id()).value(), item.result(), "a pull brings");
    }
  }
  void on_seen(const api::v1::Task& task, Instant) override {
    if (task.state() == "done" && !task.result().empty())
      hold(TaskId::parse(task.id()).value(), task.result(), "a look shows");
  }
  void on_result(const TaskId& id, const std::string& result) override { hold(id, result, "a read gives"); }

 private:
  void hold(const TaskId& id, const std::string& result, const std::string& where) {
    const Intent* intent = world_.auditor.of(id).intent;
    if (intent == nullptr)
      return broken(where + " a result of task " + id.to_string() + ", which no client asked for");
    world_.counters.add("results checked");
    if (result == intent->result) return;
    broken(where + " another result of task " + id.to_string() + " than the reference: " +
           result.substr(0, 16) + "... instead of " + intent->result.substr(0, 16) + "...");
  }
};

}  // namespace

std::unique_ptr<Checker> make_result_checker(World& world) {
  return std::make_unique<ResultChecker>(world);
}

}  // namespace skep::sim
