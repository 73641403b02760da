// SPDX-License-Identifier: Apache-2.0
// Goal: what holds after every command, whatever the order. Method: random command sequences with restarts
// from a mirror of the stored records; indexes are recomputed from the records after each step.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <set>

#include "queue/testing/shard_world.h"
#include "task/record_check.h"

namespace skep::queue {
namespace {

using testing::blob;

// What a store would hold: the records that durable commits have carried.
struct Mirror {
  std::map<TaskId, TaskRecord> tasks;
  std::map<std::string, QueueRecord> queues;

  void take(Effects& effects, Epoch epoch) {
    for (auto& change : effects.changes) {
      if (const auto* put = std::get_if<PutTask>(&change)) {
        // What goes to the store is what `skep verify` calls sound.
        const auto problems = check_record(*put->record, epoch);
        if (!problems.empty()) RC_FAIL(put->record->id.to_string() + ": " + problems.front());
        tasks[put->record->id] = *put->record;
      } else if (const auto* body = std::get_if<EraseBody>(&change)) {
        const TaskState state = tasks.at(body->id).state;
        RC_ASSERT((state == TaskState::kDone || state == TaskState::kCancelled));
      } else if (const auto* erase = std::get_if<EraseTask>(&change)) {
        tasks.erase(erase->id);
      } else {
        const auto& record = std::get<PutQueue>(change).record;
        queues[record.name] = record;
      }
    }
    hold_decisions(effects.decisions);
    effects = {};
  }

  // The same input is judged in the same way again, and the last verdict on a task is what became of it.
  void hold_decisions(const std::vector<TaskDecision>& decisions) const {
    std::map<TaskId, const TaskDecision*> last;
    for (const auto& decision : decisions) {
      RC_ASSERT(judge(decision.input) == decision.ruling);
      last[decision.id] = &decision;
    }
    for (const auto& [id, decision] : last) {
      const auto found = tasks.find(id);
      if (found == tasks.end()) continue;  // parked, and its retention is over in the same step
      const TaskRecord& record = found->second;
      switch (decision->ruling.verdict) {
        case Verdict::kRetry:
          RC_ASSERT((record.state == TaskState::kDelayed && record.ready_at == decision->ready_at));
          break;
        case Verdict::kRequeue:
        case Verdict::kQuarantine:
          RC_ASSERT((record.state == TaskState::kQueued || record.state == TaskState::kDelayed));
          RC_ASSERT(
              (decision->ruling.verdict != Verdict::kQuarantine || record.workers_lost >= kSuspectAfter));
          break;
        case Verdict::kPark:
          RC_ASSERT(record.state == TaskState::kDead);
          break;
      }
    }
  }
};

class RandomRun {
 public:
  explicit RandomRun(std::uint64_t seed) : random_(seed) { load(); }

  void step() {
    switch (random_.below(12)) {
      case 0:
      case 1:
      case 2:
        enqueue();
        break;
      case 3:
      case 4:
        lease();
        break;
      case 5:
        complete();
        break;
      case 6:
        fail_one();
        break;
      case 7:
        release();
        break;
      case 8:
        by_hand();
        break;
      case 9:
        pull();
        break;
      case 10:
        pass();
        break;
      case 11:
        rare();
        break;
    }
    mirror_.take(effects_, epoch_);
    shard_->check_invariants();
    check_terminal();
  }

 private:
  void load() {
    shard_ = std::make_unique<Shard>(0, ++epoch_, random_.split(), ShardOptions{});
    for (const auto& [name, queue] : mirror_.queues) shard_->load(queue);
    for (const auto& [id, record] : mirror_.tasks) shard_->load(record);
    shard_->finish_load(now_);
  }

  void enqueue() {
    TaskSpec spec;
    spec.queue = "q" + std::to_string(random_.below(3));
    spec.iterations = 1 + random_.below(10);
    spec.keep_checkpoints = random_.chance(0.9);
    if (random_.chance(0.2)) {
      spec.kind = "command";
      spec.program = "prog";
      spec.iterations = 0;
    }
    spec.priority = static_cast<std::uint32_t>(random_.below(10));
    spec.attempts_max = 1 + static_cast<std::uint32_t>(random_.below(3));
    if (random_.chance(0.2)) spec.delay = seconds(random_.below(60));
    if (random_.chance(0.2)) spec.start_deadline = seconds(1 + random_.below(60));
    if (random_.chance(0.2)) spec.run_timeout = seconds(1 + random_.below(60));
    if (random_.chance(0.2)) spec.idempotency_key = "k" + std::to_string(random_.below(5));
    const auto reply = shard_->apply(Enqueue{{{spec, blob("b")}}}, now_, effects_);
    RC_ASSERT(reply.has_value());
    ids_.push_back(reply.value()[0].id);
  }

  std::string worker() { return "w" + std::to_string(random_.below(3)); }

  void lease() {
    Lease command;
    command.worker = worker();
    command.max = 1 + static_cast<std::uint32_t>(random_.below(4));
    command.kinds = {"sha512", "command"};
    command.programs = {"prog"};
    for (const auto& task : shard_->apply(command, now_, effects_)) {
      RC_ASSERT(!is_terminal(mirror_.tasks.contains(task.token.task) ? mirror_.tasks[task.token.task].state
                                                                     : TaskState::kQueued));
      // The next attempt begins where the last known checkpoint is.
      const auto kept = checkpoints_.find(task.token.task);
      RC_ASSERT(task.checkpoint.has_value() == (kept != checkpoints_.end()));
      if (task.checkpoint) RC_ASSERT(task.checkpoint->iterations == kept->second);
      tokens_.push_back(task.token);
    }
  }

  // Often one that fits its task.
  Progress any_progress() {
    return {random_.below(12), random_.chance(0.2) ? "" : std::string(60 + random_.below(5), 'd')};
  }
  bool is_live(const LeaseToken& token) {
    const auto record = shard_->find(token.task);
    return record && record->state == TaskState::kLeased && record->lease_token() == token;
  }
  // What the core is to make of a live lease's checkpoint, in other words than the core's.
  void expect_kept(const LeaseToken& token, const Progress& progress) {
    const TaskSpec spec = shard_->find(token.task)->spec;
    const bool is_fit = spec.keep_checkpoints && progress.checkpoint.size() == 64 &&
                        progress.iterations_done > 0 && progress.iterations_done < spec.iterations;
    if (is_fit) checkpoints_[token.task] = std::max(checkpoints_[token.task], progress.iterations_done);
  }

  LeaseToken any_token() {
    if (tokens_.empty()) return LeaseToken{TaskId{0, 1, 1}, 1, 1};
    return tokens_[random_.below(tokens_.size())];
  }

  void complete() {
    const auto token = any_token();
    const auto before = shard_->state_of(token.task);
    const bool was_open = before && !is_terminal(*before);
    const auto reply = shard_->apply(Complete{worker(), token, blob("result")}, now_, effects_);
    if (was_open && !tokens_.empty()) RC_ASSERT(reply.has_value());
  }
  void fail_one() {
    (void)shard_->apply(Fail{worker(), any_token(), "no", random_.chance(0.1), random_.chance(0.3)}, now_,
                        effects_);
  }
  void release() {
    const LeaseToken token = any_token();
    const bool is_started = random_.chance(0.7);
    const Progress progress = any_progress();
    const bool was_live = is_live(token);
    if (random_.chance(0.3)) {
      (void)shard_->apply(Release{worker(), token, is_started, progress}, now_, effects_);
      if (was_live && is_started) expect_kept(token, progress);
    } else {
      (void)shard_->apply(Extend{worker(), seconds(15), {{token, is_started, progress}}}, now_, effects_);
      if (is_live(token) && is_started) expect_kept(token, progress);
    }
  }
  void by_hand() {
    if (ids_.empty()) return;
    const TaskId id = ids_[random_.below(ids_.size())];
    if (random_.chance(0.5)) {
      (void)shard_->apply(Cancel{id}, now_, effects_);
    } else {
      (void)shard_->apply(Retry{id}, now_, effects_);
    }
  }
  void pull() {
    const auto max = 1 + static_cast<std::uint32_t>(random_.below(3));
    const auto pulled = shard_->apply(Pull{max, 1 + random_.below(20), "", seconds(30)}, now_, effects_);
    for (const auto& item : pulled.items) RC_ASSERT(!delivered_.contains(item.id));
    std::vector<TaskId> withheld;
    for (const auto& item : pulled.items) {
      if (random_.chance(0.2)) withheld.push_back(item.id);
    }
    if (!withheld.empty()) shard_->apply(Withhold{pulled.receipt, withheld}, now_, effects_);
    PutBack unused{{pulled.receipt}, {}};
    for (const auto& item : pulled.items) {
      if (random_.chance(0.2)) unused.ids.push_back(item.id);
    }
    const auto is_in = [](const std::vector<TaskId>& ids, const TaskId& id) {
      return std::find(ids.begin(), ids.end(), id) != ids.end();
    };
    std::set<TaskId> left;
    std::size_t put_back = 0;
    for (const auto& item : pulled.items) {
      if (is_in(withheld, item.id)) continue;
      if (is_in(unused.ids, item.id)) {
        ++put_back;
      } else {
        left.insert(item.id);
      }
    }
    RC_ASSERT(shard_->apply(unused, now_, effects_).put_back == put_back);
    if (pulled.receipt == 0 || random_.chance(0.5)) return;
    const auto delivered = shard_->apply(Ack{pulled.receipt, {}}, now_, effects_).delivered;
    RC_ASSERT(std::set<TaskId>(delivered.begin(), delivered.end()) == left);
    delivered_.insert(left.begin(), left.end());
  }
  void pass() {
    now_ += seconds(random_.below(40));
    shard_->tick(now_, 1 + random_.below(20), effects_);
  }
  void rare() {
    switch (random_.below(4)) {
      case 0:
        shard_->apply(LoseWorker{worker(), 1, "gone"}, now_, effects_);
        break;
      case 1:
        load();
        break;  // a crash after the last commit
      case 2:
        now_ += hours(random_.below(3));
        break;
      case 3: {
        QueueRecord settings;
        settings.name = "q" + std::to_string(random_.below(3));
        settings.is_paused = random_.chance(0.3);
        settings.leased_max = random_.below(3);
        settings.retention = seconds(random_.below(100));
        settings.retention_bytes = random_.below(3 * kKeptTaskBytes);
        RC_ASSERT(shard_->apply(SetQueue{settings}, now_, effects_).has_value());
        break;
      }
    }
  }
  // A terminal state is final, but for a dead task that is retried by hand.
  void check_terminal() {
    for (const auto& [id, record] : mirror_.tasks) {
      const auto was = ended_.find(id);
      if (was != ended_.end() && was->second != TaskState::kDead) RC_ASSERT(record.state == was->second);
      if (is_terminal(record.state)) ended_[id] = record.state;
      if (record.state == TaskState::kDone || record.state == TaskState::kCancelled) checkpoints_.erase(id);
      const auto kept = checkpoints_.find(id);
      RC_ASSERT(record.checkpoint.has_value() == (kept != checkpoints_.end()));
      if (record.checkpoint) RC_ASSERT(record.checkpoint->iterations == kept->second);
    }
  }

  Random random_;
  Epoch epoch_ = 0;
  Instant now_ = Instant(seconds(1'000'000));
  Effects effects_;
  Mirror mirror_;
  std::unique_ptr<Shard> shard_;
  std::vector<TaskId> ids_;
  std::vector<LeaseToken> tokens_;
  std::set<TaskId> delivered_;
  std::map<TaskId, TaskState> ended_;
  std::map<TaskId, std::uint64_t> checkpoints_;  // iterations
};

RC_GTEST_PROP(ShardProperty, IndexesAndPromisesHoldAfterEveryCommand, (std::uint64_t seed)) {
  RandomRun run(seed);
  for (int i = 0; i < 200; ++i) run.step();
}

}  // namespace
}  // namespace skep::queue
