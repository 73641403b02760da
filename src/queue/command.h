// SPDX-License-Identifier: Apache-2.0
// command.h - what can be asked of a shard, and what it answers.
//
// Each command is a plain record with the reply type it gets. A refusal is an Error of the reply's Result.
//
// Threads:   value.
// Units:     instants and durations are base/time.h types; sizes are bytes.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "task/task.h"

namespace skep::queue {

using Blob = std::shared_ptr<const std::string>;

// ---- commands that change tasks ----

// All or none. kExhausted: a queue is full; kInvalid: a spec is wrong (the message names the index).
struct Enqueue {
  struct Item {
    TaskSpec spec;
    Blob body;
  };
  std::vector<Item> items;
};
struct Enqueued {
  TaskId id;
  TaskState state = TaskState::kQueued;
  bool is_existing = false;  // the idempotency key named this task
};
using EnqueueReply = std::vector<Enqueued>;

// Up to `max` ready tasks for `worker` until now + lease. None is a normal answer.
struct Lease {
  std::string worker;
  std::uint32_t max = 1;
  Duration lease = seconds(15);
  std::vector<std::string> kinds{"sha512"};
  std::vector<std::string> programs;  // that tasks of kind command may name
};
struct LeasedTask {
  LeaseToken token;
  std::string queue;
  std::string kind;
  std::uint64_t iterations = 0;
  std::string program;
  Duration run_timeout{};
  std::uint64_t body_bytes = 0;
  bool keeps_checkpoints = false;
  std::optional<Checkpoint> checkpoint{};  // to go on from
  Duration waited{};                       // since it could start
  std::vector<std::string> parameters{};   // NAME=VALUE
  TraceContext trace{};
};
using LeaseReply = std::vector<LeasedTask>;

// How far a started attempt is. `checkpoint`: the digest after `iterations_done`; "" is none to keep.
struct Progress {
  std::uint64_t iterations_done = 0;
  std::string checkpoint;
};

// Extends what `worker` holds. A lease of an earlier owner that a crash made this one forget is taken up
// again. The progress of a live lease is remembered, and its checkpoint stored if it is ahead of the one that
// is. One that does not fit its task is refused; its lease is extended all the same.
struct Extend {
  struct Held {
    LeaseToken token;
    bool is_started = false;
    Progress progress{};
  };
  std::string worker;
  Duration lease = seconds(15);
  std::vector<Held> leases;
};
struct ExtendReply {
  std::vector<LeaseToken> lost;       // not the worker's any more
  std::vector<LeaseToken> cancelled;  // the task was cancelled
  struct Refused {
    LeaseToken token;
    std::string why;  // one sentence
  };
  std::vector<Refused> refused;  // checkpoints
};

// A result. The first of a task wins, from any attempt that was issued, while the task is unfinished. The
// same one again is a success. kConflict: another result, or a task that is dead or cancelled. kNotFound: no
// such task. kStaleLease: the attempt was never issued.
struct Complete {
  std::string worker;
  LeaseToken token;
  Blob result;
  Usage usage{};  // of the attempt
};
struct Completed {
  bool is_duplicate = false;
  // Of the task, if this is the first result.
  std::uint64_t iterations = 0;
  std::uint64_t body_bytes = 0;
  std::uint64_t resumed_from = 0;  // iterations done by an earlier attempt
};

// A failure of the work itself. kStaleLease: the lease is over. kNotFound.
struct Fail {
  std::string worker;
  LeaseToken token;
  std::string message;
  bool is_permanent = false;
  bool is_timeout = false;
  Usage usage{};  // of the attempt
};
struct Failed {
  TaskState state = TaskState::kDelayed;
};

// Hands a lease back. One that was started spends the infrastructure budget and leaves its checkpoint, as
// with Extend, in the same commit. kStaleLease, kNotFound.
struct Release {
  std::string worker;
  LeaseToken token;
  bool is_started = false;
  Progress progress{};
  Duration pause{};  // not given again before, if it never began
};
struct Released {
  TaskState state = TaskState::kQueued;
  std::string checkpoint_refused;  // one sentence; "" if there was none or it was taken
};

// Everything `worker` holds goes back at once. What may have begun spends the infrastructure budget, as it
// may have killed the worker: what is known to run, and the oldest of the rest, as many as there are places
// that those leave. Of what the last heartbeat said to wait there, no more than have ended since it.
struct LoseWorker {
  std::string worker;
  std::uint32_t slots = 1;     // places for tasks of other kinds than command
  std::string message;         // how it was lost, for the attempts' errors
  std::uint32_t commands = 1;  // places for those
  std::uint32_t ended = 0;     // attempts since the last heartbeat
};
struct LostWorker {
  std::uint32_t returned = 0;
};

// kConflict: finished already (a repeated cancel of a cancelled task is a success). kNotFound.
struct Cancel {
  TaskId id;
};
// Queues a dead task again with fresh budgets. kConflict: not dead. kNotFound.
struct Retry {
  TaskId id;
};

// ---- results ----

// The oldest completed first; they come again after `visibility` unless they are acknowledged. At most `max`,
// and no further one once there are `bytes_max`. None is a normal answer.
struct Pull {
  std::uint32_t max = 100;
  std::uint64_t bytes_max = limits::kPullBytesMax;
  std::string queue;  // "" is all
  Duration visibility = seconds(30);
};
struct PulledTask {
  TaskId id;
  std::string queue;
  Instant finished_at{};
  std::pair<Epoch, std::uint64_t> order;  // of completion, within the shard
  std::uint64_t result_bytes = 0;
};
struct PullReply {
  std::vector<PulledTask> items;
  std::uint64_t receipt = 0;  // 0 with no items
  Instant redelivered_at{};
};
// Those of a receipt that could not be sent: an acknowledgement of it does not cover them. They come again
// when they would have. Unknown ids and receipts are passed over.
struct Withhold {
  std::uint64_t receipt = 0;
  std::vector<TaskId> ids;
};
struct WithholdReply {
  std::uint32_t withheld = 0;
};
// Those of these receipts that nobody used: an acknowledgement does not cover them, and they may be pulled
// again at once. Unknown ids and receipts are passed over.
struct PutBack {
  std::vector<std::uint64_t> receipts;
  std::vector<TaskId> ids;
};
struct PutBackReply {
  std::uint32_t put_back = 0;
};
// Delivered for good. Unknown ids and receipts are passed over. `receipt` 0: only the ids.
struct Ack {
  std::uint64_t receipt = 0;
  std::vector<TaskId> ids;
};
struct AckReply {
  std::vector<TaskId> delivered;  // those that were not before
};

// ---- queues ----

// kExhausted: too many queues.
struct SetQueue {
  QueueRecord record;
};

// ---- queries ----

struct ListTasks {
  std::optional<TaskState> state;
  std::string queue;  // "" is all
  std::string tag;    // "" is all
  TaskId after{};     // exclusive
  std::size_t limit = 100;
};
struct ListReply {
  std::vector<TaskRecord> tasks;
  std::optional<TaskId> next;  // where to go on; nothing more if absent
};

// What a running attempt last said of itself. Not stored: unknown after a restart until it says so again.
struct RunProgress {
  std::uint64_t iterations_done = 0;
  Instant at{};
  std::uint64_t first_done = 0;  // what it said first: the rate follows from both
  Instant first_at{};
};

struct Counts {
  std::array<std::uint64_t, 7> by_state{};  // index: TaskState
  std::uint64_t undelivered = 0;

  std::uint64_t of(TaskState state) const { return by_state[static_cast<std::size_t>(state)]; }
};
struct QueueStatus {
  QueueRecord settings;
  Counts counts;
  Instant oldest_queued_at{};  // kNoInstant if none waits
};

// Work in one state, so that time can be estimated.
struct Work {
  std::uint64_t tasks = 0;       // of every kind
  std::uint64_t iterations = 0;  // of kind sha512, without those before a checkpoint
  std::uint64_t bytes = 0;       // bodies of kind sha512
  std::uint64_t others = 0;      // tasks of other kinds

  bool operator==(const Work&) const = default;
};
// The same of one class of tasks: those of a queue that have the kind and, of kind command, the program.
struct ClassWork {
  Work queued;
  Work leased;

  bool is_empty() const { return queued.tasks + leased.tasks == 0; }
  bool operator==(const ClassWork&) const = default;
};

// Since the shard was loaded.
struct Totals {
  std::uint64_t enqueued = 0;
  std::uint64_t leased = 0;
  std::uint64_t completed = 0;
  std::uint64_t completed_iterations = 0;
  std::uint64_t failed = 0;
  std::uint64_t retried = 0;  // of these, and by hand: the task runs again
  std::uint64_t dead = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t delivered = 0;
  std::uint64_t workers_lost = 0;  // leases that went back so
  std::uint64_t lease_expired = 0;
  std::uint64_t released = 0;
  std::uint64_t duplicate_results = 0;
  std::uint64_t mismatches = 0;
  std::uint64_t checkpoints = 0;  // stored
  std::uint64_t checkpoints_refused = 0;

  Totals& operator+=(const Totals& other);
};

}  // namespace skep::queue
