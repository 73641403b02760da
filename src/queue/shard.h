// SPDX-License-Identifier: Apache-2.0
// shard.h - one shard of all queues, as a pure state machine.
//
// Holds the tasks of one shard and decides what each command does to them. It never reads a clock, a socket
// or a disk: the caller passes `now` and carries out the effects in the order of effects.h. Not here:
// durability (store/store.h), waiting clients and batching (manager/shard_host.h).
//
// Order of lease: among queues in turn, where a queue with a weight gets as many leases in its turn; within a
// queue by priority, then by age. A task that lost several
// workers is a suspect: it is leased alone, to a worker that holds nothing else, so that it takes no
// neighbours with it.
//
// Threads:   one executor at a time; no locks inside.
// Errors:    refusals come back in the reply; a broken invariant aborts (SKEP_CHECK).
// Ownership: owns its records; shares blobs only with the effects.
// Cost:      every command O(log n) a task it touches; list() bounded by kListScanMax.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/random.h"
#include "queue/command.h"
#include "queue/effects.h"
#include "queue/ready_line.h"
#include "queue/task_table.h"

namespace skep::queue {

// Records that one ListTasks looks at; the cursor goes on from there.
inline constexpr std::size_t kListScanMax = 20'000;
// A delivered result stays at least so long, whatever the settings: its answer is still on the way.
inline constexpr Duration kRetentionMin = seconds(10);
// What a delivered result counts of its queue's retention_bytes beside its own: its record takes memory too.
inline constexpr std::uint64_t kKeptTaskBytes = 512;
// The worker enforces run_timeout itself; this is how much later the shard does.
inline constexpr Duration kRunTimeoutGrace = seconds(10);
// Where there are too many queues, one makes room for a new one that has no settings, keeps at most so many
// tasks, and in which nothing was unfinished or undelivered for so long.
inline constexpr std::uint64_t kRestingTasksMax = 1'000;
inline constexpr Duration kRestMin = minutes(1);

struct ShardOptions {
  // A lease that is found when the shard is loaded runs at least so long: its worker needs time to come back.
  Duration recovered_lease = seconds(15);
  // How many leases a queue gets before the next one's turn, where that is not one; from 1.
  std::map<std::string, std::uint32_t> weights{};
};

class Shard {
 public:
  Shard(ShardId id, Epoch epoch, Random random, ShardOptions options);
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  // Recovery: every stored record, then finish_load once, before any command.
  void load(QueueRecord record);
  void load(TaskRecord record);
  void finish_load(Instant now);

  // What apply() of it would refuse it for.
  Result<void> check(const Enqueue& command, Instant now);
  Result<EnqueueReply> apply(const Enqueue& command, Instant now, Effects& effects);
  LeaseReply apply(const Lease& command, Instant now, Effects& effects);
  ExtendReply apply(const Extend& command, Instant now, Effects& effects);
  Result<Completed> apply(const Complete& command, Instant now, Effects& effects);
  Result<Failed> apply(const Fail& command, Instant now, Effects& effects);
  Result<Released> apply(const Release& command, Instant now, Effects& effects);
  LostWorker apply(const LoseWorker& command, Instant now, Effects& effects);
  Result<TaskRecord> apply(const Cancel& command, Instant now, Effects& effects);
  Result<TaskRecord> apply(const Retry& command, Instant now, Effects& effects);
  PullReply apply(const Pull& command, Instant now, Effects& effects);
  WithholdReply apply(const Withhold& command, Instant now, Effects& effects);
  PutBackReply apply(const PutBack& command, Instant now, Effects& effects);
  AckReply apply(const Ack& command, Instant now, Effects& effects);
  Result<QueueRecord> apply(const SetQueue& command, Instant now, Effects& effects);

  // Every lease lasts `span` longer: its owner could hear nobody for so long.
  void extend_all(Duration span);

  // What time alone changes: delays that end, leases and run times that run out, deadlines, retention,
  // receipts. Handles at most `events_max`; call again while wake_at() has passed.
  void tick(Instant now, std::size_t events_max, Effects& effects);
  Instant wake_at() const;  // kNever: nothing is due

  // Queries.
  std::optional<TaskRecord> find(const TaskId& id) const { return tasks_.get(id); }
  std::optional<TaskState> state_of(const TaskId& id) const { return tasks_.state_of(id); }
  std::shared_ptr<const TaskSpec> spec_of(const TaskId& id) const { return tasks_.spec_of(id); }
  ListReply list(const ListTasks& query) const;
  std::vector<QueueStatus> queues() const;
  // Queues that take no new tasks, with how many wait there.
  std::vector<std::pair<std::string, std::uint64_t>> full_queues() const;
  const QueueRecord* find_queue(const std::string& name) const;
  // Of a leased task; nothing while it is not known.
  std::optional<RunProgress> progress_of(const TaskId& id) const;
  std::size_t lease_count(const std::string& worker) const;
  std::vector<LeaseToken> leases_of(const std::string& worker) const;  // the oldest first
  const Counts& counts() const { return counts_; }
  const Totals& totals() const { return totals_; }
  const Work& queued_work() const { return queued_work_; }
  const Work& leased_work() const { return leased_work_; }
  Instant oldest_queued_at() const;
  // `visit(queue, kind, program, const ClassWork&)` for every class of which something is queued or leased.
  template <class Visit>
  void visit_classes(Visit visit) const {
    static const std::string kSha512 = "sha512", kNoProgram;
    for (const auto& [name, queue] : queues_) {
      if (!queue.hashes.is_empty()) visit(name, kSha512, kNoProgram, queue.hashes);
      for (const auto& [task_class, work] : queue.others)
        visit(name, task_class.first, task_class.second, work);
    }
  }
  // `visit(queue, oldest, leases)` for every queue: since when its oldest queued task waits, kNoInstant if
  // none does; how many leases it got since it came into being here.
  template <class Visit>
  void visit_queues(Visit visit) const {
    for (const auto& [name, queue] : queues_) {
      const Instant oldest = oldest_in(queue);
      visit(name, oldest == kNever ? kNoInstant : oldest, queue.leases_given);
    }
  }
  // Grows whenever a worker that got nothing might get something now, but for what time alone brings.
  std::uint64_t openings() const { return openings_; }
  // Kind and, of a command, program. And whether a worker of these kinds and programs could take one such.
  using TaskClass = std::pair<std::string, std::string>;
  static bool is_for(const TaskClass& task_class, const std::vector<std::string>& kinds,
                     const std::vector<std::string>& programs);
  // Those of which something waits.
  std::set<TaskClass> queued_classes() const;
  // Something waits that a worker of these kinds and programs could take, were its queue not paused.
  bool has_queued_for(const std::vector<std::string>& kinds, const std::vector<std::string>& programs) const;
  // Completion order of the oldest result a pull would get; nothing if there is none.
  std::optional<std::pair<Instant, TaskId>> oldest_undelivered(const std::string& queue) const;

  ShardId id() const { return id_; }
  Epoch epoch() const { return epoch_; }
  std::size_t size() const { return tasks_.size(); }

  // Recomputes every index and count from the records and aborts on a difference. For tests and simulation.
  void check_invariants() const;

 private:
  using ReadyKey = std::pair<std::uint32_t, TaskId>;         // 9 - priority, id
  using DoneKey = std::tuple<Epoch, std::uint64_t, TaskId>;  // completion order
  using DeliveredKey = std::pair<Instant, TaskId>;
  using ClassName = TaskClass;

  // The tasks of one class that wait, by 9 - priority.
  struct ReadyClass {
    std::map<std::uint32_t, Line<TaskId>> lines;
    std::uint64_t waiting = 0;
  };
  struct Queue {
    QueueRecord settings;
    bool is_stored = false;
    std::map<ClassName, ReadyClass> ready;
    std::map<ClassName, std::set<ReadyKey>> suspects;
    Line<DoneKey> undelivered;
    std::deque<DeliveredKey> delivered;                  // the oldest first
    std::set<std::pair<Instant, TaskId>> waiting_since;  // queued tasks that are not fresh, by age
    std::uint64_t delivered_bytes = 0;                   // with kKeptTaskBytes for each
    Counts counts;
    std::uint32_t weight = 1;
    std::uint64_t leases_given = 0;
    ClassWork hashes;                       // of kind sha512: it wants no search
    std::map<ClassName, ClassWork> others;  // of the other classes that have something queued or leased
    Instant last_end = kNoInstant;          // when a task of it was finished, or delivered, last

    std::uint64_t depth() const { return counts.of(TaskState::kQueued) + counts.of(TaskState::kDelayed); }
  };
  // How many tasks a command would add, by the queues that it names.
  using Wanted = std::map<std::string, std::uint64_t>;
  struct Receipt {
    std::vector<TaskId> ids;
    Instant until{};
  };

  // Takes the record, which is as it is stored, out of every index, lets `change` alter it, and puts it back.
  template <class Change>
  void update(TaskRecord& record, Change change) {
    unindex(record);
    change(record);
    tasks_.set(record);
    index(record);
  }
  void move(TaskRecord& record, TaskEvent event);
  void index(const TaskRecord& record);
  void unindex(const TaskRecord& record);
  void index_ready(const TaskRecord& record, Queue& queue);
  void unindex_ready(const TaskRecord& record, Queue& queue);
  void index_delivered(const TaskRecord& record, Queue& queue);
  Instant oldest_in(const Queue& queue) const;
  std::map<ClassName, std::map<std::uint32_t, std::vector<TaskId>>> ready_ids(const Queue& queue) const;
  void count(const TaskRecord& record, Queue& queue, std::int64_t by);
  Queue& add_queue(const std::string& name);
  Instant timer_of(const TaskRecord& record) const;
  bool is_pullable(const TaskRecord& record) const;
  bool is_pullable(const DoneKey& key) const;
  void put(TaskRecord record, Effects& effects, bool is_durable, Blob body = nullptr, Blob result = nullptr);
  void erase(TaskId id, Effects& effects);  // by value: it may be named by what goes

  Queue& queue_of(const TaskRecord& record);
  Queue* make_queue(const std::string& name);
  void drop_unused_queues();
  std::vector<std::string> resting_queues(const Wanted& wanted, Instant now) const;
  // Lets resting queues go, with the tasks that they keep, if those of `wanted` do not fit in beside them.
  void make_room(const Wanted& wanted, Instant now, Effects& effects);
  void replace_settings(Queue& queue, const QueueRecord& settings);
  bool was_issued(const TaskRecord& record, const LeaseToken& token) const;
  Result<TaskRecord> current_lease(const LeaseToken& token, std::string_view verb);

  Result<Wanted> check_tasks(const Enqueue& command) const;
  Result<void> check_room(const Wanted& wanted, Instant now);
  std::size_t count_new(const Wanted& wanted) const;
  Enqueued enqueue_one(const Enqueue::Item& item, Instant now, Effects& effects);
  enum class Pick : std::uint8_t { kSuspects, kOthers };
  std::optional<TaskId> best_in(const Queue& queue, const Lease& command, Pick pick) const;
  std::optional<TaskId> next_candidate(const Lease& command, Pick pick) const;
  enum class SuspectRule : std::uint8_t { kGoOn, kGiveNothing, kGaveIt };
  SuspectRule lease_suspect(const Lease& command, Instant now, Effects& effects, LeaseReply& reply);
  void give(TaskRecord record, const Lease& command, Instant now, Effects& effects, LeaseReply& reply);
  bool take_up(TaskRecord& record, const std::string& worker, const Extend::Held& held, Duration lease,
               Instant now, Effects& effects);
  Result<bool> take_progress(TaskRecord& record, const Progress& progress, Instant now);
  void extend_one(TaskRecord& record, const Extend& command, const Extend::Held& held, Instant now,
                  Effects& effects, ExtendReply& reply);
  // How an attempt ended, beside what the record says.
  struct Ending {
    AttemptEnd end = AttemptEnd::kFailed;
    std::string message;
    bool is_permanent = false;
  };
  void end_attempt(TaskRecord& record, const Ending& ending, Instant now, Effects& effects);
  Ruling rule_on(const TaskRecord& record, VerdictInput input, const std::string& message, Effects& effects);
  void spend_infrastructure(TaskRecord& record, AttemptEnd end, const std::string& message, Instant now,
                            Effects& effects);
  void hand_back(TaskRecord& record, Instant now, Effects& effects);
  void hand_back_unstarted(TaskRecord& record, const Ending& ending, Duration pause, Instant now,
                           Effects& effects);
  std::vector<bool> may_have_begun(const LoseWorker& command, const std::vector<LeaseToken>& held) const;
  void die(TaskRecord& record, std::string reason, Instant now, Effects& effects);
  void remember_error(TaskRecord& record, AttemptEnd end, const std::string& message, Instant now);
  void on_timer(TaskRecord record, Instant now, Effects& effects);
  void on_lease_timer(TaskRecord& record, Instant now, Effects& effects);
  void deliver(TaskRecord record, Instant now, Effects& effects);
  // Lets at most `events_max` go; how many did.
  std::size_t trim_retention(Queue& queue, Instant now, std::size_t events_max, Effects& effects);
  Instant next_trim(const Queue& queue) const;
  std::optional<DoneKey> first_undelivered(const std::string& queue) const;
  std::uint64_t open_receipt(std::vector<TaskId> ids, Instant until);
  void close_receipt(std::uint64_t number);

  const ShardId id_;
  const Epoch epoch_;
  Random random_;
  const ShardOptions options_;

  TaskTable tasks_;
  std::map<std::string, Queue> queues_;
  std::string last_queue_;         // the one that got the last lease: the turn goes on after it,
  std::uint32_t turn_left_ = 0;    // but for so many leases that it still gets
  Queue* leased_queue_ = nullptr;  // the same one; null once queues were dropped
  std::map<std::pair<std::string, std::string>, TaskId> keys_;  // (queue, idempotency key)
  std::set<std::pair<Instant, TaskId>> timers_;
  std::unordered_map<std::string, std::set<std::pair<Instant, TaskId>>>
      leases_;  // by worker, the oldest first
  std::unordered_map<TaskId, std::pair<std::string, Instant>>
      suspect_worker_;                                // who empties itself for it, until
  std::unordered_map<TaskId, RunProgress> progress_;  // of leased tasks
  std::unordered_set<TaskId> waits_there_;            // leased tasks that had not begun by the last heartbeat
  std::map<std::uint64_t, Receipt> receipts_;
  std::set<std::pair<Instant, std::uint64_t>> receipt_deadlines_;
  std::unordered_map<TaskId, std::uint64_t> in_delivery_;  // -> receipt

  Instant last_leased_at_{};  // instants of leases are distinct, so that they also give the order
  std::uint64_t next_sequence_ = 1;
  std::uint64_t next_completion_ = 1;
  std::uint64_t next_receipt_ = 1;
  Counts counts_;
  Totals totals_;
  Work queued_work_;
  Work leased_work_;
  std::uint64_t suspects_leased_ = 0;
  std::uint64_t openings_ = 0;
};

}  // namespace skep::queue
