// SPDX-License-Identifier: Apache-2.0
// Who waits is answered when there is something, and not with nothing before the time is over: a look at a
// task, a pull, and a worker that holds nothing while tasks are queued.
#include <algorithm>

#include "sim/checkers.h"
#include "sim/world.h"

namespace skep::sim {
namespace {

constexpr Duration kPrompt = seconds(8);  // two slow commits and a read
constexpr Duration kIdle = seconds(10);

class WaitChecker final : public Checker {
 public:
  using Checker::Checker;
  std::string name() const override { return "waits"; }

  void on_waited(const Waited& waited) override {
    if (trouble_at_ + world_.settle_time() >= waited.arrived_at || waited.wait == Duration::zero()) return;
    if (waited.task != nullptr) {
      looked(waited);
    } else if (waited.pulled->items_size() == 0) {
      found_nothing(waited);
    }
  }
  void on_pulled(const Pulled& pulled) override {
    if (pulled.is_once) return;
    for (const auto& item : pulled.reply->items()) {
      redelivered_at_[TaskId::parse(item.id()).value()] = from_unix_ms(pulled.reply->redelivered_at_ms());
    }
  }

  void on_worker_named(std::uint64_t process, const std::string& id) override { processes_[id] = process; }
  void on_parked(std::uint64_t ticket, const Parked& parked) override { parked_[ticket] = parked; }
  void on_unparked(std::uint64_t ticket) override { parked_.erase(ticket); }
  void on_manager_trouble() override {
    trouble_at_ = world_.now();
    parked_.clear();
  }

  void on_tick() override {
    if (!world_.is_manager_serving()) on_manager_trouble();
    // A paused queue may hold what it likes.
    if (world_.config.has_pauses || world_.now() - trouble_at_ < kIdle + world_.settle_time()) return;
    for (const auto& [ticket, parked] : parked_) {
      const bool is_waiting =
          world_.now() - parked.arrived_at >= kIdle && world_.now() + seconds(1) < parked.until;
      if (!is_waiting || holds_something(parked.process) || !parked.is_wanted()) continue;
      const TaskRecord* waiting = oldest_waiting(parked.kinds);
      if (waiting == nullptr) continue;
      broken("task " + waiting->id.to_string() + " of kind " + waiting->spec.kind + " is queued since " +
             describe_duration(world_.now() - waiting->queued_at) + " and worker " +
             std::to_string(parked.process) + " waits for work");
    }
  }

 private:
  // The clock of the manager may be fast.
  Duration least_wait(const Waited& waited) const {
    const auto wait = static_cast<double>(waited.wait.count());
    const Duration early(static_cast<Duration::rep>(wait * world_.config.drift_max));
    return waited.wait - early - (world_.is_shared() ? milliseconds(1) : Duration::zero());
  }
  void looked(const Waited& waited) {
    const auto& task = *waited.task;
    const Instant now = world_.now();
    if (is_terminal(parse_state(task.state()).value_or(TaskState::kQueued))) {
      world_.counters.add("waits for a task that ended with it");
      const Instant since = std::max(waited.arrived_at, from_unix_ms(task.finished_at_ms()));
      if (now - since > kPrompt + world_.clock_slack()) {
        broken("who waits for task " + task.id() + " was told " + describe_duration(now - since) +
               " after it was finished");
      }
    } else if (now < waited.arrived_at + least_wait(waited)) {
      broken("who waits for task " + task.id() + " was told before it was finished or the time was over");
    }
  }

  void found_nothing(const Waited& waited) {
    // What could not be read is left out, and is in delivery all the same.
    if (world_.config.faults.read_refused > 0) return;
    const Instant now = world_.now();
    if (now < waited.arrived_at + least_wait(waited))
      return broken("a pull that waits was answered with nothing too soon");
    for (const auto& [id, record] : world_.disk.records()) {
      if (record.state != TaskState::kDone || record.delivered_at != kNoInstant) continue;
      if (!waited.queue.empty() && record.spec.queue != waited.queue) continue;
      const auto sent = redelivered_at_.find(id);
      const Instant since =
          std::max(record.finished_at, sent == redelivered_at_.end() ? kNoInstant : sent->second);
      if (now - since < kPrompt + world_.clock_slack()) continue;
      broken("a pull waited and got nothing, and the result of task " + id.to_string() + " is there since " +
             describe_duration(now - since));
    }
  }

  const TaskRecord* oldest_waiting(const std::vector<std::string>& kinds) const {
    const TaskRecord* oldest = nullptr;
    for (const auto& [id, record] : world_.disk.records()) {
      if (std::find(kinds.begin(), kinds.end(), record.spec.kind) == kinds.end()) continue;
      if (record.state != TaskState::kQueued || world_.now() - record.queued_at < kIdle) continue;
      if (oldest == nullptr || record.queued_at < oldest->queued_at) oldest = &record;
    }
    return oldest;
  }
  bool holds_something(std::uint64_t process) const {
    for (const auto& [id, record] : world_.disk.records()) {
      if (record.state != TaskState::kLeased) continue;
      const auto found = processes_.find(record.worker);
      if (found != processes_.end() && found->second == process) return true;
    }
    return false;
  }

  Instant trouble_at_{};
  std::map<TaskId, Instant> redelivered_at_;
  std::map<std::string, std::uint64_t> processes_;
  std::map<std::uint64_t, Parked> parked_;
};

}  // namespace

std::unique_ptr<Checker> make_wait_checker(World& world) {
  return std::make_unique<WaitChecker>(world);
}

}  // namespace skep::sim
