// SPDX-License-Identifier: Apache-2.0
// task.h - the nouns: a task, its states, and the one table of moves between them.
//
// docs/task_states.md draws the table. Bodies and results are not here: the store keeps them under the task's
// id.
//
// Threads:   value.
// Units:     instants and durations are base/time.h types; sizes are bytes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "task/id.h"
#include "task/limits.h"
#include "task/trace_context.h"

namespace skep {

// The numbers are stored and must not change.
enum class TaskState : std::uint8_t {
  kDelayed = 1,    // not before ready_at
  kQueued = 2,     // waits for a worker
  kLeased = 3,     // a worker has it
  kDone = 4,       // has a result
  kDead = 5,       // gave up; kept with its errors, can be retried by hand
  kCancelled = 6,  // by a client
};

std::string_view state_name(TaskState state);
std::optional<TaskState> parse_state(std::string_view name);
constexpr bool is_terminal(TaskState state) {
  return state == TaskState::kDone || state == TaskState::kDead || state == TaskState::kCancelled;
}

// What makes a task change its state.
enum class TaskEvent : std::uint8_t {
  kDelayPassed,  // delayed -> queued
  kLease,        // queued -> leased
  kBackOff,      // leased -> delayed: failed, will be tried again later
  kHandBack,     // leased -> queued: worker lost, lease expired or released; at once
  kComplete,     // queued, delayed or leased -> done: the first success of an attempt that was issued wins
  kGiveUp,  // delayed, queued or leased -> dead: attempts or infrastructure budget used up, too late to start
  kCancel,  // delayed, queued or leased -> cancelled
  kRetryByHand,  // dead -> queued
};

std::string_view event_name(TaskEvent event);

// The state after `event`, or nothing if the table has no such move. The only source of moves in the project.
std::optional<TaskState> next_state(TaskState state, TaskEvent event);

// What a client asks for.
struct TaskSpec {
  std::string queue = "default";
  std::string kind = "sha512";
  std::uint64_t iterations = 0;  // sha512: how many hashes, from 1
  std::string program;           // command: a name that the worker's own configuration lists
  std::uint32_t priority = limits::kPriorityDefault;  // 0-9, 9 goes first
  std::uint32_t attempts_max = limits::kAttemptsMaxDefault;
  Duration delay{};             // before it may start
  Duration start_deadline{};    // after it could start; not started by then is dead. 0 is none
  Duration run_timeout{};       // of one attempt. 0 is none
  std::string idempotency_key;  // "" is none
  std::vector<std::string> tags;
  bool keep_checkpoints = true;         // sha512: what an attempt has done is left to the next one
  std::vector<std::string> parameters;  // command: NAME=VALUE, each name once
  TraceContext trace;                   // of the request that enqueued it

  bool operator==(const TaskSpec&) const = default;
};

// kInvalid with a sentence that names the field, its value and the range.
Result<void> validate(const TaskSpec& spec);
// The same check for a name of a queue, kind, program or tag: 1-64 of a-z A-Z 0-9 . _ - :
Result<void> validate_name(std::string_view what, std::string_view name);

// How far an unfinished sha512 task is: another attempt can go on from here instead of from the body.
struct Checkpoint {
  std::uint64_t iterations = 0;  // done; from 1 and before the last
  std::string digest;            // after so many, limits::kCheckpointBytes
  Instant at{};                  // when it came

  bool operator==(const Checkpoint&) const = default;
};

// Of kind sha512, and the client did not say otherwise.
inline bool keeps_checkpoints(const TaskSpec& spec) {
  return spec.kind == "sha512" && spec.keep_checkpoints;
}
// kInvalid with a sentence: a task of `spec` can not go on from this digest after so many iterations.
Result<void> validate_checkpoint(const TaskSpec& spec, std::uint64_t iterations, std::string_view digest);

// What the programs of a task's attempts used, as their workers measured it.
struct Usage {
  std::uint64_t cpu_us = 0;             // processor time, of all attempts that ended
  std::uint64_t memory_peak_bytes = 0;  // the most that one of them had

  void add(const Usage& attempt) {
    cpu_us += std::min(attempt.cpu_us, ~std::uint64_t{0} - cpu_us);
    memory_peak_bytes = std::max(memory_peak_bytes, attempt.memory_peak_bytes);
  }
  bool operator==(const Usage&) const = default;
};

// How one attempt ended without a result. The numbers are stored.
enum class AttemptEnd : std::uint8_t {
  kFailed = 1,        // the work itself failed; spends the user's attempts
  kRunTimeout = 2,    // ran longer than run_timeout; spends the user's attempts
  kWorkerLost = 3,    // the worker stopped answering; spends the infrastructure budget
  kLeaseExpired = 4,  // nobody extended the lease; spends the infrastructure budget
  kReleased = 5,      // handed back after it was started; spends the infrastructure budget
};

std::string_view attempt_end_name(AttemptEnd end);

struct AttemptError {
  std::uint32_t number = 0;  // of the lease
  AttemptEnd end = AttemptEnd::kFailed;
  Instant at{};
  std::string worker;
  std::string message;

  bool operator==(const AttemptError&) const = default;
};

// A task as it is stored, without its body and result.
struct TaskRecord {
  TaskId id;
  TaskSpec spec;
  TaskState state = TaskState::kQueued;
  std::uint64_t body_bytes = 0;
  Instant enqueued_at{};
  Instant ready_at{};     // when it may start: enqueued_at + delay, or after a back-off
  Instant queued_at{};    // since when it waits in the state queued
  Instant finished_at{};  // when it became terminal

  std::uint32_t attempts_failed = 0;  // spent of attempts_max
  std::uint32_t workers_lost = 0;     // spent of limits::kWorkersLostMax
  std::vector<AttemptError> errors;   // newest last, at most limits::kErrorsKept
  std::string reason;                 // why it is dead or cancelled, one sentence

  // The last lease given; live only in the state leased.
  Epoch lease_epoch = 0;
  std::uint32_t lease_number = 0;
  std::string worker;  // who had or has it
  Instant leased_at{};
  Instant started_at{};  // when the worker said it began to run; kNoInstant while it only waits there
  Instant lease_expires_at{};
  std::uint64_t resumed_from = 0;  // iterations of the checkpoint that came with it

  std::optional<Checkpoint> checkpoint;  // none once it is done or cancelled
  std::uint64_t result_bytes = 0;
  std::uint64_t result_hash = 0;  // fnv1a of the result, to compare a second one with
  std::uint64_t completion = 0;   // order of completion within the shard and epoch, from 1
  Epoch completion_epoch = 0;
  Instant delivered_at{};  // kNoInstant until pulled or acknowledged
  Usage usage{};           // of kind command

  bool operator==(const TaskRecord&) const = default;
  LeaseToken lease_token() const { return {id, lease_epoch, lease_number}; }
};

// A queue's settings. A queue exists once a task names it or an operator sets it.
struct QueueRecord {
  std::string name;
  bool is_paused = false;        // nothing new is leased
  std::uint64_t depth_max = 0;   // queued and delayed tasks; more are refused as kExhausted. 0 is no limit
  std::uint64_t leased_max = 0;  // tasks leased at once. 0 is no limit
  Duration retention = limits::kRetentionDefault;  // of delivered results and of cancelled tasks
  std::uint64_t retention_bytes =
      limits::kRetentionBytesDefault;                       // of delivered results; the oldest go first
  Duration dead_retention = limits::kDeadRetentionDefault;  // of dead tasks

  bool operator==(const QueueRecord&) const = default;
};

}  // namespace skep
