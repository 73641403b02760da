// SPDX-License-Identifier: Apache-2.0
// Every acknowledged task is never lost, ends in exactly one terminal state, and stays in it until its
// retention is over. A cancel that was answered stands. Nothing is stored that no client asked for.
#include "sim/checkers.h"
#include "sim/world.h"

namespace skep::sim {
namespace {

// The moves that a client of docs/task_states.md would allow; not the product's own table.
bool may_follow(TaskState from, TaskState to) {
  switch (from) {
    case TaskState::kDelayed:
      return to != TaskState::kLeased;
    case TaskState::kQueued:
      return to != TaskState::kDelayed;
    case TaskState::kLeased:
      return true;
    case TaskState::kDone:
    case TaskState::kCancelled:
      return to == from;
    case TaskState::kDead:
      return to == from || to == TaskState::kQueued;
  }
  return false;
}

class TaskChecker final : public Checker {
 public:
  using Checker::Checker;
  std::string name() const override { return "tasks"; }

  void on_written(const Written& written) override {
    if (written.after == nullptr) {
      erased(*written.before);
    } else if (written.before == nullptr) {
      created(written);
    } else {
      changed(*written.before, *written.after);
    }
  }

  void on_body_erased(const TaskRecord& record) override {
    if (record.state == TaskState::kDone || record.state == TaskState::kCancelled) return;
    broken("the body of task " + record.id.to_string() + " went while it is " +
           std::string(state_name(record.state)));
  }

  void on_seen(const api::v1::Task& task, Instant asked_at) override {
    const TaskId id = TaskId::parse(task.id()).value();
    const auto state = parse_state(task.state());
    if (!state) return broken("a manager says that task " + task.id() + " is '" + task.state() + "'");
    Told& told = told_[id];
    // What a retry did to a dead task is counted where it is written.
    const bool may_be_retried = told.state == TaskState::kDead && world_.auditor.of(id).retries_asked > 0;
    // An answer from elsewhere may have been overtaken on its way by one that was asked for later.
    const bool may_be_older = world_.is_shared() && asked_at < told.at;
    if (is_terminal(told.state) && *state != told.state && !may_be_retried && !may_be_older) {
      broken("task " + task.id() + " was told to be " + std::string(state_name(told.state)) +
             " and is now told to be " + task.state());
    }
    if (is_terminal(*state)) told = {*state, world_.now()};
  }

  void on_tick() override { look_for_all(); }
  void at_end() override { look_for_all(); }

 private:
  void created(const Written& written) {
    const TaskRecord& record = *written.after;
    const std::string id = record.id.to_string();
    if (written.body == nullptr) return broken("task " + id + " is on the disk without its body");
    Intent* intent = world_.auditor.of_body(**written.body);
    if (intent == nullptr) return broken("task " + id + " is on the disk and no client asked for it");
    intent->ids.insert(record.id);
    world_.auditor.of(record.id).intent = intent;
    world_.counters.add("tasks stored");
    if (record.spec.iterations != intent->spec.iterations || record.spec.kind != intent->spec.kind) {
      broken("task " + id + " is stored with other parameters than the client gave");
    }
  }

  void changed(const TaskRecord& before, const TaskRecord& after) {
    const std::string id = after.id.to_string();
    const std::string move =
        std::string(state_name(before.state)) + " to " + std::string(state_name(after.state));
    if (before.state != after.state) {
      world_.counters.add("task " + std::string(state_name(after.state)));
      const bool has_failed = after.errors.size() > before.errors.size();
      const std::string why = has_failed ? ": " + after.errors.back().message : "";
      world_.note("task " + std::string(state_name(after.state)), id + why);
    }
    if (!may_follow(before.state, after.state)) return broken("task " + id + " went from " + move);
    const auto& promises = world_.auditor.of(after.id);
    const bool is_revived = before.state == TaskState::kDead && after.state == TaskState::kQueued;
    if (is_revived && ++revived_[after.id] > promises.retries_asked) {
      broken("task " + id + " went from " + move + " and nobody asked for a retry");
    }
    if (before.state == TaskState::kDone &&
        (before.result_hash != after.result_hash || before.completion != after.completion)) {
      broken("the result of task " + id + " changed after it was done");
    }
    if (promises.is_cancelled && after.state != TaskState::kCancelled) {
      broken("task " + id + " is " + std::string(state_name(after.state)) + " and its cancel was answered");
    }
  }

  void erased(const TaskRecord& record) {
    const std::string id = record.id.to_string();
    const Duration retention = world_.config.retention;
    if (!is_terminal(record.state)) return broken("task " + id + " was erased unfinished");
    if (record.state == TaskState::kDead) return broken("task " + id + " was erased while it is dead");
    const bool is_done = record.state == TaskState::kDone;
    if (is_done && record.delivered_at == kNoInstant)
      return broken("task " + id + " was erased before its result was delivered");
    const Instant since = is_done ? record.delivered_at : record.finished_at;
    if (world_.now() + world_.clock_slack() < since + retention)
      broken("task " + id + " was erased " + describe_duration(world_.now() - since) +
             " after it was delivered or cancelled, before its retention of " + describe_duration(retention));
    world_.auditor.of(record.id).is_erased = true;
    world_.counters.add("tasks erased after their retention");
  }

  void look_for_all() {
    for (const auto& [id, promises] : world_.auditor.all()) {
      if (!promises.is_acknowledged || promises.is_erased) continue;
      const auto found = world_.disk.records().find(id);
      if (found == world_.disk.records().end())
        return broken("task " + id.to_string() + " was acknowledged and is not on the disk");
      if (promises.is_cancelled && found->second.state != TaskState::kCancelled) {
        return broken("task " + id.to_string() + " is " + std::string(state_name(found->second.state)) +
                      " on the disk and its cancel was answered");
      }
      if (promises.is_result_told && found->second.state != TaskState::kDone) {
        return broken("task " + id.to_string() + " is " + std::string(state_name(found->second.state)) +
                      " on the disk and its result was acknowledged");
      }
    }
  }

  struct Told {
    TaskState state = TaskState::kQueued;
    Instant at{};
  };
  std::map<TaskId, Told> told_;  // terminal states
  std::map<TaskId, std::uint32_t> revived_;
};

}  // namespace

std::unique_ptr<Checker> make_task_checker(World& world) {
  return std::make_unique<TaskChecker>(world);
}

}  // namespace skep::sim
